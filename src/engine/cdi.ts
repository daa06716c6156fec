/**
 * Devices of the Container Device Interface: from the files of an administrator's directories to what a container is given. They are
 * read anew at each start of a container that asks for one; its record has their names alone.
 *
 * A file says what runs on the host as root, so whoever may write to one is root: those that anybody may write to, or that belong to
 * somebody else than root and the engine, are not taken, nor what lies in such a directory.
 */
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, type Stats, statSync } from "node:fs";
import { extname, join } from "node:path";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { type CdiCatalogue, type CdiFile, type CdiSource, catalogue, editsOf, readCdiSpec } from "../oci/cdi.ts";
import { namesOf } from "./driver-requests.ts";
import type { DriverRequest } from "./types.ts";

/** Far above any real one. */
const MOST_BYTES = 4 * 2 ** 20;

export interface CdiState extends CdiCatalogue {
  /** What is wrong with files and directories, in words that name them. */
  readonly problems: readonly string[];
}

/** What the directories have now; the later of two comes first. What is wrong with one file leaves the others as they are. */
export function readCdi(directories: readonly string[]): CdiState {
  const files: CdiFile[] = [];
  const problems: string[] = [];
  for (const [priority, directory] of directories.entries()) {
    for (const path of attempt(problems, directory, () => specFiles(directory)) ?? []) {
      const spec = attempt(problems, path, () => readFile(path));
      if (spec) files.push({ path, priority, spec });
    }
  }
  const found = catalogue(files);
  const twice = [...found.conflicts].map(
    ([name, paths]) => `${name} is in ${paths.join(" and ")}: it is not used until one of them goes`,
  );
  return { ...found, problems: [...problems, ...twice] };
}

function attempt<T>(problems: string[], path: string, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    problems.push(`${path}: ${messageOf(error)}`);
    return undefined;
  }
}

function specFiles(directory: string): string[] {
  const stat = statSync(directory, { throwIfNoEntry: false });
  if (!stat) return [];
  checkOwner(stat);
  const names = readdirSync(directory).filter((name) => [".json", ".yaml"].includes(extname(name)));
  return names.sort().map((name) => join(directory, name));
}

function checkOwner({ uid, mode }: Stats): void {
  const own = uid === 0 || uid === process.getuid?.();
  if (!own) throw new Error(`belongs to user ${uid}; have it belong to root, for it says what runs as root`);
  if (mode & 0o002) throw new Error("anybody may write to it; take that away (chmod o-w), for it says what runs as root");
}

function readFile(path: string): CdiFile["spec"] {
  const fd = openSync(path, "r");
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new Error("is no file");
    checkOwner(stat);
    if (stat.size > MOST_BYTES) throw new Error(`is longer than ${MOST_BYTES} bytes`);
    const text = readFileSync(fd, "utf8");
    if (extname(path) === ".json") return readCdiSpec(JSON.parse(text));
    return readCdiSpec(parseYaml(text), true);
  } finally {
    closeSync(fd);
  }
}

/** With all scalars as text. Loaded by who has such a file alone. */
function parseYaml(text: string): unknown {
  const { parse } = require("yaml") as typeof import("yaml");
  return parse(text, { schema: "failsafe", merge: true, prettyErrors: false, logLevel: "silent" });
}

/** What a container that asks for these is given. Throws "cdi_device_not_found", "device_driver_invalid". */
export function resolveCdi(directories: readonly string[], requests: readonly DriverRequest[]): CdiSource[] {
  const state = readCdi(directories);
  const names = [...new Set(requests.flatMap((request) => namesOf(request, state.devices)))];
  const missing = names.filter((name) => !state.devices.has(name));
  if (missing.length > 0) throw unresolvable(directories, missing, state);
  return editsOf(names.map((name) => state.devices.get(name)!));
}

function unresolvable(directories: readonly string[], names: readonly string[], { devices, problems }: CdiState): OnggiError {
  const what = `CDI device injection failed: unresolvable CDI devices ${names.join(", ")}`;
  const there = devices.size > 0 ? `there are ${[...devices.keys()].slice(0, 20).join(", ")}` : "there are none";
  const where = directories.length > 0 ? `in ${directories.join(" and ")}` : "for cdi-spec-dirs is empty";
  return new OnggiError("cdi_device_not_found", [`${what}; ${there} ${where}`, ...problems].join("; "));
}
