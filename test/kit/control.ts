/** What a process's cgroup says, whichever version of cgroups its controller is in. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = "/sys/fs/cgroup";

/** Reads a control file of the cgroup a process is in, by its names in v2 and v1. */
export function control(pid: number, v2: string, v1: { controller: string; file: string }): string {
  const lines = readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().split("\n");
  const own = lines.find((line) => line.split(":")[1]?.split(",").includes(v1.controller));
  if (own) return readFileSync(join(ROOT, v1.controller, own.split(":")[2]!, v1.file), "utf8").trim();
  const unified = lines.find((line) => line.startsWith("0::"))!;
  return readFileSync(join(ROOT, unified.slice(3), v2), "utf8").trim();
}

export const memoryLimit = (pid: number): string =>
  control(pid, "memory.max", { controller: "memory", file: "memory.limit_in_bytes" });

export const pidsLimit = (pid: number): string => control(pid, "pids.max", { controller: "pids", file: "pids.max" });

/** Microseconds in each 100,000. */
export const cpuQuota = (pid: number): number =>
  Number(control(pid, "cpu.max", { controller: "cpu", file: "cpu.cfs_quota_us" }).split(" ")[0]);
