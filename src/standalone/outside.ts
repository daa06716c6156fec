/** What is done on the host for a container whose first process waits: ids, cgroup, cache shares, network devices. */
import type { Spec } from "../oci/spec.ts";
import { joinRdtGroup, makeRdtGroup, type RdtGroup, resctrlMount } from "../runtime/intel-rdt.ts";

/** What gives a process the devices that the specification moves; null: there are none, and netlink is not loaded. */
export async function netDevicesOf({ linux }: Spec): Promise<((pid: number) => void) | null> {
  const devices = linux?.netDevices;
  if (!devices || Object.keys(devices).length === 0) return null;
  const { giveNetDevices } = await import("../runtime/net-devices.ts");
  return (pid) => giveNetDevices(pid, devices);
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
