/**
 * What an engine can leave behind on a machine, and how to see it from outside.
 *
 * Terms: an engine under test lives below one **base** directory. A thing is **ours** when it points below that directory
 * (a mount's root, source, target or options; a loop device's file; a process's descriptor, command line or environment),
 * or is a process or cgroup of this engine that was not there when it was started (the **snapshot**).
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { MNT, umount } from "../../src/sys/index.ts";

export interface Snapshot {
  readonly cgroups: ReadonlySet<string>;
  /** "pid starttime": pids are reused, this pair is not. */
  readonly processes: ReadonlySet<string>;
  /** Inode links ("net:[4026531840]") of every network namespace some process or descriptor holds. */
  readonly networkNamespaces: ReadonlySet<string>;
}

export interface Leaks {
  readonly mounts: readonly string[];
  readonly cgroups: readonly string[];
  readonly processes: readonly string[];
  readonly loops: readonly string[];
  readonly networkNamespaces: readonly string[];
  /** Interfaces and tables of nf_tables that carry the engine's tag. */
  readonly networks: readonly string[];
}

const CGROUP_ROOT = "/sys/fs/cgroup";

export function snapshot(): Snapshot {
  return {
    cgroups: new Set(onggiCgroups()),
    processes: new Set(pids().map((pid) => identity(pid))),
    networkNamespaces: new Set(networkNamespaces(pids())),
  };
}

/** Everything of the engine below `base` that is there now. With a running engine that includes the engine itself. */
export function findLeaks(base: string, before: Snapshot): Leaks {
  const processes = ourProcesses(base, before);
  return {
    mounts: mountsBelow(base),
    cgroups: engineGroups(base)
      .flatMap((group) => onggiCgroups(group))
      .filter((path) => !before.cgroups.has(path)),
    processes: processes.map((pid) => describe(pid)),
    loops: loopsBelow(base),
    networkNamespaces: [...new Set(networkNamespaces(processes))].filter((name) => !before.networkNamespaces.has(name)),
    networks: networkObjects(base),
  };
}

/** What networks of the engine are in this process's network namespace. */
function networkObjects(base: string): string[] {
  const tag = engineTag(base);
  const links = readdirSync("/sys/class/net").filter(
    (name) => name.includes(tag) || textOf(`/sys/class/net/${name}/ifalias`).startsWith(`onggi ${tag}`),
  );
  const { stdout } = Bun.spawnSync(["nft", "list", "tables"]);
  return [
    ...links,
    ...stdout
      .toString()
      .split("\n")
      .filter((line) => line.includes(tag)),
  ];
}

/** One line per leak; empty when there is none. */
export function formatLeaks(leaks: Leaks): string {
  return Object.entries(leaks)
    .flatMap(([what, entries]) => (entries as readonly string[]).map((entry) => `${what}: ${entry}`))
    .join("\n");
}

/**
 * Waits until nothing is left, at most `seconds`: an engine may delete in the background. Throws with what remains. `ignored` says
 * which lines of `formatLeaks` do not count.
 */
export async function expectNoLeaks(
  base: string,
  before: Snapshot,
  seconds = 5,
  ignored: (line: string) => boolean = () => false,
): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const found = formatLeaks(findLeaks(base, before))
      .split("\n")
      .filter((line) => line !== "" && !ignored(line));
    if (found.length === 0) return;
    if (Date.now() > deadline) throw new Error(`left behind below ${base}:\n${found.join("\n")}`);
    await Bun.sleep(50);
  }
}

/** Descriptors a process holds, counted by what they are ("socket", "anon_inode:[eventfd]", "/path"). */
export function descriptors(pid: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (const target of descriptorTargets(pid)) {
    const kind = target.replace(/:\[\d+\]$/, "");
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}

/** Resident bytes of a process (VmRSS). */
export const residentBytes = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(textOf(`/proc/${pid}/status`))?.[1]) * 1024;

export const descriptorCount = (pid: number): number => descriptorTargets(pid).length;

/** Lines of any process's mountinfo that name a path below `base`, each once. */
export function mountsBelow(base: string): string[] {
  const found = new Set<string>();
  const seenNamespaces = new Set<string>();
  for (const pid of pids()) {
    const namespace = linkOf(`/proc/${pid}/ns/mnt`);
    if (namespace === "" || seenNamespaces.has(namespace)) continue;
    seenNamespaces.add(namespace);
    for (const line of textOf(`/proc/${pid}/mountinfo`).split("\n")) if (names(line, base)) found.add(`${namespace} ${line}`);
  }
  return [...found];
}

/**
 * Takes off every mount whose mount point lies strictly below `base`, the deepest first: the one way a test or bench unmounts what
 * a program it ran has left. Looks at this process's own mount namespace only. `base` is a directory from mkdtemp: anything but an
 * absolute path of two components or more, without "." or "..", is a RangeError. What went away meanwhile is no error.
 */
export function unmountBelow(base: string): void {
  const components = base.split("/").slice(1);
  const plain = components.every((part) => part !== "" && part !== "." && part !== "..");
  if (!base.startsWith("/") || components.length < 2 || !plain) throw new RangeError(`unmountBelow("${base}"): refused`);
  if (!existsSync(base)) return;
  const prefix = `${realpathSync(base)}/`;
  const points = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => unescapeOctal(line.split(" ")[4] ?? ""))
    .filter((point) => point.startsWith(prefix));
  const depth = (path: string): number => path.split("/").length;
  for (const point of points.sort((one, other) => depth(other) - depth(one))) {
    try {
      umount(point, MNT.MNT_DETACH | MNT.UMOUNT_NOFOLLOW);
    } catch (error) {
      if (!["EINVAL", "ENOENT"].includes((error as { code?: string }).code ?? "")) throw error;
    }
  }
}

/** Space, tab, newline and backslash are written as \ooo: proc_pid_mountinfo(5). */
const unescapeOctal = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

/**
 * The path below every hierarchy's root that holds the groups of the engine whose data root is `base`/root. Engines side by side
 * each have their own; \`TestEngine.inspect\` checks that containers really lie below it.
 */
export function engineGroup(base: string, driver = process.env.ONGGI_CGROUP_DRIVER): string {
  const digest = engineTag(base);
  return driver === "systemd" ? `/onggi_${digest}.slice` : `/onggi-${digest}`;
}

/** Names what the engine of `base`/root makes in the kernel. */
export const engineTag = (base: string): string => createHash("sha256").update(join(base, "root")).digest("hex").slice(0, 8);

/** The group of an engine with either cgroup driver. */
export const engineGroups = (base: string): string[] => [engineGroup(base, "cgroupfs"), engineGroup(base, "systemd")];

/** Directories of every hierarchy in or below a group, by default that of any engine. */
export function onggiCgroups(group?: string): string[] {
  const found: string[] = [];
  const walk = (directory: string, depth: number): void => {
    if (depth > 6) return;
    for (const entry of entriesOf(directory)) {
      const path = join(directory, entry);
      if (group === undefined ? /\/onggi[-_]/.test(path) : `${path}/`.includes(`${group}/`)) found.push(path);
      walk(path, depth + 1);
    }
  };
  walk(CGROUP_ROOT, 0);
  return found;
}

function ourProcesses(base: string, before: Snapshot): number[] {
  const all = pids().filter((pid) => pid !== process.pid && !before.processes.has(identity(pid)));
  return all.filter((pid) => {
    const command = textOf(`/proc/${pid}/cmdline`).replaceAll("\0", " ");
    const groups = textOf(`/proc/${pid}/cgroup`);
    if (engineGroups(base).some((group) => groups.includes(`${group}/`))) return true;
    if (names(command, base) || names(textOf(`/proc/${pid}/environ`), base)) return true;
    return descriptorTargets(pid).some((target) => names(target, base));
  });
}

function networkNamespaces(of: readonly number[]): string[] {
  return of
    .flatMap((pid) => [linkOf(`/proc/${pid}/ns/net`), ...descriptorTargets(pid).filter((target) => target.startsWith("net:["))])
    .filter(Boolean);
}

export function loopsBelow(base: string): string[] {
  return entriesOf("/sys/block")
    .filter((name) => name.startsWith("loop"))
    .map((name) => ({ name, file: textOf(`/sys/block/${name}/loop/backing_file`).trim() }))
    .filter(({ file }) => names(file, base))
    .map(({ name, file }) => `${name} ${file}`);
}

const names = (text: string, base: string): boolean =>
  text.includes(`${base}/`) || text.includes(`${base}\0`) || text.endsWith(base);

function describe(pid: number): string {
  const command = textOf(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim() || `[${textOf(`/proc/${pid}/comm`).trim()}]`;
  const state = /^State:\s+(.*)$/m.exec(textOf(`/proc/${pid}/status`))?.[1] ?? "gone";
  return `${pid} ${state} ${command.slice(0, 160)}`;
}

/** Kernel threads have no executable; they are nobody's leak. */
export const pids = (): number[] =>
  entriesOf("/proc")
    .map(Number)
    .filter((pid) => pid > 0);

function identity(pid: number): string {
  const stat = textOf(`/proc/${pid}/stat`);
  return `${pid} ${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? ""}`;
}

const descriptorTargets = (pid: number): string[] =>
  existsSync(`/proc/${pid}/fd`)
    ? safely(() => readdirSync(`/proc/${pid}/fd`), [])
        .map((fd) => linkOf(`/proc/${pid}/fd/${fd}`))
        .filter(Boolean)
    : [];

const entriesOf = (directory: string): string[] =>
  safely(
    () => readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory() || entry.isSymbolicLink()),
    [],
  ).map((entry) => entry.name);
const textOf = (file: string): string => safely(() => readFileSync(file, "utf8"), "");
const linkOf = (file: string): string => safely(() => readlinkSync(file), "");

/** /proc changes under the reader: what is gone reads as nothing. */
function safely<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}
