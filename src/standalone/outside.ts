/** What is done on the host for a container whose first process waits: ids, cgroup, cache shares, network devices. */
import type { Spec } from "../oci/spec.ts";
import { joinRdtGroup, makeRdtGroup, type RdtGroup, resctrlMount } from "../runtime/intel-rdt.ts";
import { moveNetDevices } from "../runtime/net-devices.ts";
import { O } from "../sys/constants.ts";
import { close, open } from "../sys/file.ts";

export function giveNetDevices({ linux }: Spec, pid: number): void {
  const devices = linux?.netDevices;
  if (!devices || Object.keys(devices).length === 0) return;
  const netns = open(`/proc/${pid}/ns/net`, O.O_RDONLY | O.O_CLOEXEC);
  try {
    moveNetDevices(netns, devices);
  } finally {
    close(netns);
  }
}

/** A group of resctrl, and where that is mounted. */
export interface CacheShare {
  readonly group: RdtGroup;
  readonly mountpoint: string;
}

export function makeCacheShare({ linux }: Spec, id: string): CacheShare | null {
  const rdt = linux?.intelRdt;
  if (!rdt) return null;
  const mountpoint = resctrlMount();
  return { group: makeRdtGroup(rdt, id, mountpoint), mountpoint };
}

export const joinCacheShare = ({ group, mountpoint }: CacheShare, pid: number): void => joinRdtGroup(group, pid, mountpoint);
