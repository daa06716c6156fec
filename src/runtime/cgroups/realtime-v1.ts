/**
 * CPU time for realtime processes, of cgroup v1: a group can have what its parent has, less what the parent's other groups have, and
 * a new group has none (Linux Documentation/scheduler/sched-rt-group.rst).
 */
import { OnggiError } from "../../lib/errors.ts";
import type { LinuxResources } from "../../oci/spec.ts";
import { isErrno } from "../../sys/index.ts";
import { readNumber, writeText } from "./files.ts";

const RUNTIME = "cpu.rt_runtime_us";
const PERIOD = "cpu.rt_period_us";
const SECOND = 1_000_000;

/** Of a CPU; 0 for a group that is gone. */
function shareOf(directory: string): number {
  const [runtime, period] = [readNumber(`${directory}/${RUNTIME}`), readNumber(`${directory}/${PERIOD}`)];
  return runtime && period ? runtime / period : 0;
}

/** Gives `parent` enough for its `children` and a group with these limits. Throws `cgroup_limit_refused`. */
export function reserveRealtime(
  parent: string,
  children: readonly string[],
  { realtimeRuntime = 0, realtimePeriod = SECOND }: NonNullable<LinuxResources["cpu"]>,
): void {
  const share = children.reduce((sum, child) => sum + shareOf(child), realtimeRuntime / realtimePeriod);
  if (share <= shareOf(parent)) return;
  const needed = Math.ceil(share * (readNumber(`${parent}/${PERIOD}`) ?? SECOND));
  try {
    writeText(`${parent}/${RUNTIME}`, String(needed));
  } catch (cause) {
    if (!isErrno(cause, "EINVAL")) throw cause;
    throw new OnggiError(
      "cgroup_limit_refused",
      `limit cpu.realtimeRuntime = ${realtimeRuntime}: the host has not so much left for realtime processes: ${parent}/${RUNTIME} cannot be ${needed}`,
      { cause },
    );
  }
}
