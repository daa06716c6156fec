/** What containers of the OCI runtime can leave behind on a machine, and how to clear it away without touching anything else. */
import { existsSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseMountinfo, umount } from "../../src/sys/index.ts";

export interface Place {
  /** The test's own directory, made by mkdtemp. */
  readonly base: string;
  /** The runtime's --root, below it. */
  readonly root: string;
  /** Part of every name made by the test. */
  readonly tag: string;
}

const HIERARCHIES = "/sys/fs/cgroup";
const MNT_DETACH = 2;

/** One line for each thing whose name holds `name`, or that lies below the base. */
export function findRemains(place: Place, name: string): string[] {
  return [
    ...processes(place, name).map((pid) => `process ${pid} ${describe(pid)}`),
    // The parent of the containers' cgroups is nobody's to delete but the test's.
    ...cgroups(name === place.tag ? `${place.tag}-` : name).map((path) => `cgroup ${path}`),
    ...mountsBelow(place.base)
      .filter((path) => holds(path, name))
      .map((path) => `mount ${path}`),
    ...entries(place.root)
      .filter((entry) => holds(entry, name))
      .map((entry) => `state ${entry}`),
  ];
}

/**
 * Ends the processes, mounts and cgroups of a test and deletes its directory. Processes are known by their cgroup or root, mounts
 * by this process's own mountinfo and only strictly below the base: nothing else can be meant.
 */
export async function endAndRemove(place: Place): Promise<void> {
  for (const pid of processes(place, place.tag)) quietly(() => process.kill(pid, "SIGKILL"));
  for (let attempt = 0; attempt < 100 && processes(place, place.tag).length > 0; attempt++) await Bun.sleep(20);
  for (const path of mountsBelow(place.base).reverse()) quietly(() => umount(path, MNT_DETACH));
  for (const path of cgroups(place.tag).sort((a, b) => b.length - a.length)) quietly(() => rmdirSync(path));
  // A mount that is still there would be emptied with the directory.
  if (mountsBelow(place.base).length > 0) throw new Error(`mounts are left below ${place.base}`);
  rmSync(place.base, { recursive: true, force: true });
}

/** Mount points strictly below a directory, in this process's namespace, in the order in which they were made. */
export const mountsBelow = (base: string): string[] =>
  parseMountinfo(readFileSync("/proc/self/mountinfo", "utf8"))
    .map(({ mountPoint }) => mountPoint)
    .filter((path) => path.startsWith(`${base}/`));

/** Living processes in a cgroup of that name, with a root or directory below the base, or with the name in their command line. */
function processes({ base }: Place, name: string): number[] {
  return entries("/proc")
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid && isOurs(pid, base, name));
}

function isOurs(pid: number, base: string, name: string): boolean {
  const status = text(`/proc/${pid}/status`);
  if (status === "" || /^State:\s+[ZX]/m.test(status)) return false;
  if (holds(text(`/proc/${pid}/cgroup`), name) || holds(text(`/proc/${pid}/cmdline`), name)) return true;
  const places = ["root", "cwd", "exe"].map((link) => target(`/proc/${pid}/${link}`));
  return places.some((path) => path.startsWith(`${base}/`) && holds(path, name));
}

/** Directories in every hierarchy whose own name holds `name`. */
export function cgroups(name: string): string[] {
  const found: string[] = [];
  const walk = (directory: string, depth: number): void => {
    for (const entry of directories(directory)) {
      const path = join(directory, entry);
      if (holds(entry, name)) found.push(path);
      if (depth < 6) walk(path, depth + 1);
    }
  };
  walk(HIERARCHIES, 0);
  return found;
}

/** The directory of a process's cgroup in the hierarchy of a v1 controller, or in the unified one for "". */
export function cgroupDirectory(pid: number, controller: string): string {
  for (const line of text(`/proc/${pid}/cgroup`).split("\n")) {
    const [, names, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (names?.split(",").includes(controller)) {
      const hierarchy = names === "" ? "unified" : names.replace("name=", "");
      const directory = join(HIERARCHIES, hierarchy, path!);
      return existsSync(directory) ? directory : join(HIERARCHIES, path!);
    }
  }
  throw new Error(`process ${pid} is in no cgroup of ${controller}`);
}

/** Container 12 is not container 1. */
const holds = (text: string, name: string): boolean => new RegExp(`${name}(?!\\d)`).test(text);

const describe = (pid: number): string =>
  `${text(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim().slice(0, 150)} [${text(`/proc/${pid}/comm`).trim()}]`;

const quietly = <T>(work: () => T): T | undefined => {
  try {
    return work();
  } catch {
    return undefined;
  }
};

/** /proc and the cgroups change under the reader: what is gone reads as nothing. */
const entries = (directory: string): string[] => quietly(() => readdirSync(directory)) ?? [];
const directories = (path: string): string[] =>
  (quietly(() => readdirSync(path, { withFileTypes: true })) ?? [])
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
const text = (file: string): string => quietly(() => readFileSync(file, "utf8")) ?? "";
const target = (file: string): string => quietly(() => readlinkSync(file)) ?? "";
