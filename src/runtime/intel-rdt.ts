/**
 * Shares of caches and of memory bandwidth, config-linux.md "IntelRdt", Linux Documentation/filesystems/resctrl.rst.
 *
 * A **group** (class of service) is a directory of resctrl: processes named in its `tasks` have what its `schemata` say. A
 * **monitoring group** below it counts what they use.
 *
 * Life: `makeRdtGroup` -> `joinRdtGroup` with the first process, before it runs -> `removeRdtGroup`. Guarantees: a group
 * that was there before is never changed nor removed; what is made is gone again when `makeRdtGroup` throws.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { messageOf, OnggiError } from "../lib/errors.ts";
import type { IntelRdt } from "../oci/spec.ts";

/** To be kept with the container's state. */
export interface RdtGroup {
  /** The group's directory. */
  readonly path: string;
  /** It was made for this container alone, and goes with it. */
  readonly own: boolean;
  /** The monitoring group's directory. */
  readonly monitoring?: string;
}

const fail = (problem: string, cause?: unknown): never => {
  throw new OnggiError("intel_rdt", `linux.intelRdt${problem}`, { cause });
};

/** Where resctrl is mounted, from /proc/self/mountinfo's text. Throws OnggiError `intel_rdt`. */
export function resctrlMount(mountinfo: string = readFileSync("/proc/self/mountinfo", "utf8")): string {
  for (const line of mountinfo.split("\n")) {
    const [before = "", after = ""] = line.split(" - ");
    if (after.startsWith("resctrl ")) return before.split(" ")[4] as string;
  }
  return fail(": no resctrl file system is mounted on this host: its processor, or kernel, has no such control");
}

const schemataOf = ({ l3CacheSchema, memBwSchema, schemata = [] }: IntelRdt): string[] =>
  [l3CacheSchema, memBwSchema, ...schemata].filter((line): line is string => line !== undefined && line !== "");

/**
 * The group of a container, made and limited as the specification says; `mountpoint` as `resctrlMount` finds it. Throws
 * OnggiError `intel_rdt`.
 */
export function makeRdtGroup(rdt: IntelRdt, containerId: string, mountpoint: string): RdtGroup {
  const { closID = "", enableMonitoring = false } = rdt;
  const path = closID === "/" ? mountpoint : `${mountpoint}/${closID === "" ? containerId : closID}`;
  const wanted = schemataOf(rdt);
  const existed = existsSync(path);
  if (existed && closID === "") fail(`: ${path} exists already`);
  if (!existed && closID !== "" && wanted.length === 0)
    fail(`.closID: there is no group ${path}, and nothing says what a new one may use`);
  if (existed) compareSchemata(`${path}/schemata`, wanted);
  const made: string[] = [];
  const make = (directory: string) => {
    attempt(mountpoint, () => mkdirSync(directory, { mode: 0o755 }));
    made.push(directory);
    return directory;
  };
  try {
    if (!existed) {
      make(path);
      writeSchemata(path, wanted, mountpoint);
    }
    const own = closID === "";
    return enableMonitoring ? { path, own, monitoring: make(`${path}/mon_groups/${containerId}`) } : { path, own };
  } catch (error) {
    for (const directory of made.reverse()) removeDirectory(directory);
    throw error;
  }
}

/** Puts a process, and with it all that it will start, into the group. */
export function joinRdtGroup({ path, monitoring }: RdtGroup, pid: number, mountpoint: string): void {
  for (const directory of monitoring === undefined ? [path] : [path, monitoring]) {
    attempt(mountpoint, () => writeFileSync(`${directory}/tasks`, String(pid)));
  }
}

/** Other shares for a container that lives. Only a group that is its own can be changed. */
export function updateRdtGroup({ path, own }: RdtGroup, rdt: IntelRdt, mountpoint: string): void {
  if (!own) fail(`.closID: the group ${path} is not this container's alone`);
  writeSchemata(path, schemataOf(rdt), mountpoint);
}

/** What is gone already is no error. A group with a closID stays. */
export function removeRdtGroup({ path, own, monitoring }: RdtGroup): void {
  if (monitoring !== undefined) removeDirectory(monitoring);
  if (own) removeDirectory(path);
}

function removeDirectory(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") fail(`: ${messageOf(error)}`, error);
  }
}

function writeSchemata(path: string, lines: readonly string[], mountpoint: string): void {
  if (lines.length === 0) return;
  attempt(mountpoint, () => writeFileSync(`${path}/schemata`, lines.map((line) => `${line}\n`).join("")));
}

/** resctrl says in a file of its own why it refused the last thing it was asked for. */
function attempt(mountpoint: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    let reason = "";
    try {
      reason = readFileSync(`${mountpoint}/info/last_cmd_status`, "utf8").trim();
    } catch {
      // nothing to add
    }
    fail(`: ${messageOf(error)}${reason === "" || reason === "ok" ? "" : ` (${reason})`}`, error);
  }
}

/** A group that exists must give what the specification asks for. */
function compareSchemata(file: string, wanted: readonly string[]): void {
  if (wanted.length === 0) return;
  const present = parseSchemata(readFileSync(file, "utf8"));
  for (const line of wanted) {
    for (const [domain, value] of parseSchemata(line)) {
      const has = present.get(domain);
      if (has !== value) fail(`: ${file} has ${has ?? "nothing"} for ${domain}, the specification wants ${value}`);
    }
  }
}

/** "L3:0=7f0;1=1f" lines -> "L3:0" -> value, without what the kernel writes differently: blanks, leading zeros, order, case. */
function parseSchemata(text: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [resource = "", domains] = line.trim().split(":");
    for (const domain of (domains ?? "").split(";")) {
      const [id = "", value = ""] = domain.split("=");
      if (domain.trim() !== "")
        values.set(
          `${resource}:${id.trim()}`,
          value
            .trim()
            .toLowerCase()
            .replace(/^0+(?=.)/, ""),
        );
    }
  }
  return values;
}
