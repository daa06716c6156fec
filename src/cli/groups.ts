import { readFileSync } from "node:fs";
import { OnggiError } from "../lib/errors.ts";

/** The number of a group of this host, group(5); a number stands for itself. Throws "engine_config_invalid". */
export function groupId(name: string): number {
  if (/^\d{1,9}$/.test(name)) return Number(name);
  const line = readFileSync("/etc/group", "utf8")
    .split("\n")
    .find((one) => one.startsWith(`${name}:`));
  const id = Number(line?.split(":")[2] || Number.NaN);
  if (!Number.isInteger(id)) throw new OnggiError("engine_config_invalid", `"group": this host has no group ${name}`);
  return id;
}
