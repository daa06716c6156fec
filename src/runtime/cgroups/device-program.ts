/** Attaches device rules to a v2 group as an eBPF program, bpf(2). Needs CAP_SYS_ADMIN, or CAP_BPF with CAP_NET_ADMIN. */
import { messageOf, OnggiError } from "../../lib/errors.ts";
import type { DeviceRule } from "../../oci/spec.ts";
import {
  BPF,
  cgroupAttach,
  cgroupDetach,
  cgroupQuery,
  close,
  isErrno,
  loadProgram,
  O,
  open,
  programById,
} from "../../sys/index.ts";
import { compileDeviceProgram } from "./devices.ts";

/** Programs kept loaded; containers of one engine have few different device lists. */
const KEPT = 16;

/**
 * Loads each distinct list of rules once and shares the program among groups. The program stays attached when its
 * descriptor is closed, and goes when the group is removed.
 */
export class DeviceProgram {
  readonly #loaded = new Map<string, number>();

  /**
   * Makes `rules` the group's only program. One that is there is replaced in one step (BPF_F_REPLACE, Linux 5.6), several
   * are detached after the new one is in force, so there is no moment without a rule. Throws `cgroup_limit_refused`.
   */
  attach(directory: string, rules: readonly DeviceRule[]): void {
    const group = open(directory, O.O_RDONLY | O.O_DIRECTORY);
    try {
      const code = compileDeviceProgram(rules);
      const old = cgroupQuery(group, BPF.BPF_CGROUP_DEVICE).flatMap(openProgram);
      try {
        attachOver(group, this.#load(code), old);
      } catch (error) {
        // A program cannot take its own place (EINVAL); a copy of it can.
        if (!isErrno(error, "EINVAL") || old.length === 0) throw error;
        const copy = loadProgram(BPF.BPF_PROG_TYPE_CGROUP_DEVICE, code);
        try {
          attachOver(group, copy, old);
        } finally {
          close(copy);
        }
      } finally {
        for (const fd of old) close(fd);
      }
    } catch (error) {
      if (error instanceof OnggiError) throw error;
      throw new OnggiError("cgroup_limit_refused", `limit devices (${rules.length} rules) of ${directory}: ${messageOf(error)}`, {
        cause: error,
      });
    } finally {
      close(group);
    }
  }

  #load(code: Uint8Array): number {
    const key = Buffer.from(code).toString("latin1");
    const known = this.#loaded.get(key);
    if (known !== undefined) return known;
    const fd = loadProgram(BPF.BPF_PROG_TYPE_CGROUP_DEVICE, code);
    const [oldest] = this.#loaded;
    if (this.#loaded.size >= KEPT && oldest) {
      this.#loaded.delete(oldest[0]);
      close(oldest[1]);
    }
    this.#loaded.set(key, fd);
    return fd;
  }
}

function openProgram(id: number): number[] {
  try {
    return [programById(id)];
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

function attachOver(group: number, program: number, old: readonly number[]): void {
  const attach = (replaced?: number): void =>
    replaced === undefined
      ? cgroupAttach(group, program, BPF.BPF_CGROUP_DEVICE, BPF.BPF_F_ALLOW_MULTI)
      : cgroupAttach(group, program, BPF.BPF_CGROUP_DEVICE, BPF.BPF_F_ALLOW_MULTI | BPF.BPF_F_REPLACE, replaced);
  attach(old.length === 1 ? old[0] : undefined);
  if (old.length > 1) for (const fd of old) cgroupDetach(group, fd, BPF.BPF_CGROUP_DEVICE);
}
