/** Limits that no container of this host can have: they are refused when it is made, in the words of Docker's daemon. */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { OnggiError } from "../lib/errors.ts";
import { limitsThere } from "../runtime/cgroups/index.ts";
import { deviceLimitFlags, deviceLimitNames } from "../runtime/index.ts";
import { signalNumber } from "./stop.ts";
import type { ContainerRequest, Resources } from "./types.ts";

/** Bytes below which no process can be started in a group. */
const LEAST_MEMORY = 6 * 2 ** 20;
const BILLION = 1_000_000_000;

/** Throws `invalid_limit`, and `invalid_signal` for a stop signal that there is not. */
export function checkHost({ resources = {}, stopSignal }: ContainerRequest): void {
  if (stopSignal) signalNumber(stopSignal);
  checkLimits(resources);
}

/** As above; also for what `update` changes. */
export function checkLimits(resources: Resources): void {
  const { memory = 0, memoryReservation = 0, memorySwappiness = 0, nanoCpus = 0 } = resources;
  const { cpusetCpus = "", cpusetMems = "", blkioWeight = 0 } = resources;
  if (memory > 0 && memory < LEAST_MEMORY) throw invalid("Minimum memory limit allowed is 6MB");
  if (memory > 0 && memory < memoryReservation)
    throw invalid("Minimum memory limit can not be less than memory reservation limit, see usage");
  const cpus = availableParallelism();
  if (nanoCpus > cpus * BILLION)
    throw invalid(`Range of CPUs is from 0.01 to ${cpus.toFixed(2)}, as there are only ${cpus} CPUs available`);
  if (memorySwappiness < 0 || memorySwappiness > 100)
    throw invalid(`Invalid value: ${memorySwappiness}, valid memory swappiness range is 0-100`);
  if (!isWeight(blkioWeight)) throw invalid("Range of blkio weight is from 10 to 1000");
  checkRealtime(resources);
  checkDevices(resources);
  if (cpusetCpus !== "") checkSet("CPUs", cpusetCpus, "/sys/devices/system/cpu/online");
  if (cpusetMems !== "") checkSet("memory nodes", cpusetMems, "/sys/devices/system/node/online");
}

const invalid = (message: string): OnggiError => new OnggiError("invalid_limit", message);

const isWeight = (value: number): boolean => value === 0 || (value >= 10 && value <= 1000);

function checkRealtime({ cpuRealtimePeriod: period = 0, cpuRealtimeRuntime: runtime = 0 }: Resources): void {
  if (period === 0 && runtime === 0) return;
  if (!limitsThere().cpuRealtime) throw invalid("Your kernel does not support CPU real-time scheduler");
  if (period < 0 || runtime < 0) throw invalid("cpu real-time period and runtime cannot be negative");
  if (period !== 0 && runtime > period) throw invalid("cpu real-time runtime cannot be higher than cpu real-time period");
}

function checkDevices(resources: Resources): void {
  for (const name of deviceLimitNames)
    for (const { path, value } of resources[name] ?? []) {
      const flag = `--${deviceLimitFlags[name]}`;
      if (!/^\/[^\0]+$/.test(path)) throw invalid(`${flag}: bad format for device path: ${path}`);
      if (name === "blkioWeightDevice" && !isWeight(value)) throw invalid(`${flag}: invalid weight for device: ${path}:${value}`);
      if (!Number.isSafeInteger(value) || value < 0) throw invalid(`${flag}: invalid rate for device: ${path}:${value}`);
    }
}

/** The limits that this host's cgroups have, and Docker's words for the one that is left out where they have not. */
export function withoutMissing({ memorySwappiness, ...rest }: Resources): { resources: Resources; warnings: string[] } {
  if (memorySwappiness === undefined) return { resources: rest, warnings: [] };
  if (limitsThere().memorySwappiness) return { resources: { ...rest, memorySwappiness }, warnings: [] };
  return {
    resources: rest,
    warnings: [
      "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.",
    ],
  };
}

/** What the kernel's file does not have cannot be asked for; without the file the kernel is left to say so itself. */
function checkSet(what: string, asked: string, file: string): void {
  let online: string;
  try {
    online = readFileSync(file, "utf8").trim();
  } catch {
    return;
  }
  const ranges = rangesOf(online);
  const there = (number: number) => ranges.some(([first, last]) => number >= first && number <= last);
  if (rangesOf(asked).some(([first, last]) => !there(first) || !there(last)))
    throw invalid(`Requested ${what} are not available - requested ${asked}, available: ${online}`);
}

/** "0-2,7" as first and last of each range; what is no list is left to the kernel. */
const rangesOf = (list: string): [number, number][] =>
  [...list.matchAll(/(\d+)(?:-(\d+))?/g)].map(([, first, last = first]) => [Number(first), Number(last)]);
