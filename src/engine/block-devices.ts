/** The block devices of the host that limits name. */
import { type Stats, statSync } from "node:fs";
import { OnggiError } from "../lib/errors.ts";
import { type BlockDevices, deviceLimitFlags, deviceLimitNames } from "../runtime/index.ts";
import { errnoText, major, minor } from "../sys/index.ts";
import type { Resources } from "./types.ts";

/** What their paths are now. Throws `not_a_device` for one that is missing, in Docker's words, or no block device. */
export function blockDevicesOf(resources: Resources = {}): BlockDevices {
  const devices = new Map<string, { major: number; minor: number }>();
  for (const name of deviceLimitNames)
    for (const { path } of resources[name] ?? [])
      if (!devices.has(path)) devices.set(path, numbersOf(path, deviceLimitFlags[name]));
  return devices;
}

function numbersOf(path: string, flag: string): { major: number; minor: number } {
  const stat = statOf(path, flag);
  if (!stat.isBlockDevice()) throw new OnggiError("not_a_device", `--${flag} ${path}: it is no block device`);
  return { major: major(stat.rdev), minor: minor(stat.rdev) };
}

function statOf(path: string, flag: string): Stats {
  try {
    return statSync(path);
  } catch (cause) {
    const why = errnoText(Math.abs((cause as NodeJS.ErrnoException).errno ?? 0));
    throw new OnggiError("not_a_device", `--${flag}: stat ${path}: ${why.toLowerCase()}`, { cause });
  }
}
