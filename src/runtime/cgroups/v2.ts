/**
 * cgroup v2 (one hierarchy), written directly: the cgroupfs driver. Also the unified part of a hybrid host.
 *
 * Runs in the engine as root, in the host's cgroup namespace. Source: Linux Documentation/admin-guide/cgroup-v2.rst.
 */
import { messageOf, OnggiError } from "../../lib/errors.ts";
import type { DeviceRule, LinuxResources } from "../../oci/spec.ts";
import { isErrno } from "../../sys/index.ts";
import { apply } from "./apply.ts";
import { delegateTo } from "./delegate.ts";
import { DeviceProgram } from "./device-program.ts";
import { compileDeviceProgram, grantsEverything } from "./devices.ts";
import {
  childNames,
  makeDirectory,
  processesBelow,
  readNumber,
  readPairs,
  readText,
  removeDirectory,
  tryReadText,
  writeText,
} from "./files.ts";
import { createFailed, freezeTimedOut, killAll, killByFile, killTimedOut, mustExist, removeTrees, until } from "./lifecycle.ts";
import { checkControllers, invalidLimit, type LimitWrite, limitFile } from "./limits.ts";
import { limitsV2 } from "./limits-v2.ts";
import { noStats } from "./no-stats.ts";
import { ancestorsAndSelf, checkPath, parentOf } from "./paths.ts";
import { readV2 } from "./stats.ts";
import { detailV2 } from "./stats-detail.ts";
import type { CgroupJoin, CgroupManager, CgroupStats, LimitFile } from "./types.ts";
import { allOrNothing, type Held } from "./undo.ts";

export interface V2Options {
  /** The directory the tree is mounted on, as the engine reaches it. */
  readonly mountpoint: string;
  /** Controllers of the tree, from cgroup.controllers of its root. */
  readonly controllers: ReadonlySet<string>;
  readonly whyMissing: (controller: string) => string;
  /** Sizes of huge pages, asked for when they are needed. */
  readonly pageSizes: () => readonly string[];
  /** The caller may not load device programs: rules it cannot apply are passed over, as the kernel denies it mknod anyway. */
  readonly rootless?: boolean;
  /** Somebody else hands controllers down as well, and takes them back: what was set up is looked at anew each time. */
  readonly shared?: boolean;
}

/** Present in every v2 group, whatever cgroup.controllers says. */
const BUILT_IN = ["core", "devices", "freezer"];

export class V2Cgroups implements CgroupManager {
  readonly version = "v2";
  readonly driver = "cgroupfs";
  readonly controllers: ReadonlySet<string>;
  readonly #mountpoint: string;
  readonly #delegated: readonly string[];
  readonly #whyMissing: (controller: string) => string;
  readonly #pageSizes: () => readonly string[];
  readonly #rootless: boolean;
  readonly #shared: boolean;
  readonly #devices = new DeviceProgram();
  /** Groups whose subtree_control was set up by us: path -> the controllers their children have. */
  readonly #enabled = new Map<string, ReadonlySet<string>>();

  constructor(options: V2Options) {
    this.#mountpoint = options.mountpoint;
    this.#delegated = [...options.controllers];
    this.#whyMissing = options.whyMissing;
    this.#pageSizes = options.pageSizes;
    this.#rootless = options.rootless ?? false;
    this.#shared = options.shared ?? false;
    this.controllers = new Set([...options.controllers, ...BUILT_IN]);
  }

  /** No controller belongs to this tree: what is made in it needs nothing handed down. */
  get isBare(): boolean {
    return this.#delegated.length === 0;
  }

  /** Throws what `create`, or for a group that is there `update`, would throw before it changes anything. */
  check(resources: LinuxResources, path?: string): void {
    this.#limits(resources, path === undefined);
    if (resources.devices?.length) compileDeviceProgram(resources.devices);
    const { limit = 0, checkBeforeUpdate } = resources.memory ?? {};
    if (path === undefined || !checkBeforeUpdate || limit <= 0) return;
    const current = readNumber(`${this.#directory(path)}/memory.current`) ?? 0;
    if (current > limit) invalidLimit("memory.limit", limit, `${current} bytes are in use, and checkBeforeUpdate is set`);
  }

  create(path: string, resources: LinuxResources): CgroupJoin {
    checkPath(path);
    const fresh = this.#limits(resources, true);
    const made: string[] = [];
    try {
      const isNew = this.#make(path, fresh, made);
      const { devices = [] } = resources;
      const needless = isNew && grantsEverything(devices);
      this.#apply(path, isNew ? fresh : this.#limits(resources, false), needless ? [] : devices);
    } catch (error) {
      for (const directory of made.reverse()) removeDirectory(directory);
      throw createFailed(path, error);
    }
    return this.join(path);
  }

  join(path: string): CgroupJoin {
    const directory = this.#directory(path);
    return { cloneInto: directory, tasks: [], oom: this.controllers.has("memory") ? `${directory}/memory.events` : null };
  }

  reserveRealtime(): void {}

  limits(path: string, resources: LinuxResources): LimitFile[] {
    const directory = this.#directory(path);
    return this.#limits(resources, true).map((write) => limitFile(write, directory));
  }

  update(path: string, resources: LinuxResources, warn: (message: string) => void): void {
    allOrNothing(warn, (held) => this.overwrite(path, resources, held));
  }

  /** As `update`, but what was written before a refusal stands, and `held` has what it overwrote. */
  overwrite(path: string, resources: LinuxResources, held: Held[]): void {
    this.check(resources, path);
    this.#apply(path, this.#limits(resources, false), resources.devices ?? [], held);
  }

  async freeze(path: string, frozen: boolean): Promise<void> {
    const directory = this.#directory(path);
    mustExist(path, directory);
    writeText(`${directory}/cgroup.freeze`, frozen ? "1" : "0");
    const done = await until(() => readPairs(`${directory}/cgroup.events`).get("frozen") === (frozen ? 1 : 0));
    if (done) return;
    if (frozen) writeText(`${directory}/cgroup.freeze`, "0");
    freezeTimedOut(path, frozen);
  }

  isFrozen(path: string): boolean {
    return readPairs(`${this.#directory(path)}/cgroup.events`).get("frozen") === 1;
  }

  /** cgroup.events counts what lives in the group and below it, also processes of another pid namespace. */
  occupied(path: string): boolean {
    return readPairs(`${this.#directory(path)}/cgroup.events`).get("populated") === 1;
  }

  delegate(path: string, uid: number): void {
    delegateTo(this.#directory(path), uid);
  }

  stats(path: string, { detail = false } = {}): CgroupStats {
    const stats = noStats();
    this.addStats(path, stats);
    if (detail) stats.detail = detailV2(this.#directory(path), this.controllers);
    return stats;
  }

  /** Fills in what this tree's controllers know. Throws `cgroup_not_found`. */
  addStats(path: string, stats: CgroupStats): void {
    const directory = this.#directory(path);
    mustExist(path, directory);
    readV2(stats, directory, this.controllers, this.#pageSizes);
  }

  processes(path: string): number[] {
    return processesBelow(this.#directory(path));
  }

  async kill(path: string): Promise<void> {
    const directory = this.#directory(path);
    const hasFile = killByFile(directory);
    const done = await until(() => {
      const pids = processesBelow(directory);
      if (pids.length === 0) return true;
      // Without cgroup.kill a process may fork between the reading and the killing: frozen it cannot.
      if (!hasFile) {
        writeText(`${directory}/cgroup.freeze`, "1");
        killAll(processesBelow(directory));
        writeText(`${directory}/cgroup.freeze`, "0");
      }
      return false;
    });
    if (!done) killTimedOut(path, processesBelow(directory));
  }

  async remove(path: string): Promise<void> {
    await removeTrees(path, [this.#directory(path)], () => this.kill(path));
  }

  children(path: string): string[] {
    return childNames(this.#directory(path)).map((name) => `${path}/${name}`);
  }

  #directory(path: string): string {
    checkPath(path);
    return this.#mountpoint + path;
  }

  #limits(resources: LinuxResources, fresh: boolean): LimitWrite[] {
    // Beside v1 hierarchies this tree has no part in most limits.
    if (Object.keys(resources).length === 0) return [];
    const writes = limitsV2(resources, { fresh });
    checkControllers(writes, this.controllers, this.#whyMissing);
    return writes;
  }

  /** The devices come last: what they are refused for leaves nothing of them, and nothing is refused after them. */
  #apply(path: string, writes: readonly LimitWrite[], devices: readonly DeviceRule[], held?: Held[]): void {
    const directory = this.#directory(path);
    apply(writes, () => directory, held);
    if (devices.length === 0) return;
    try {
      this.#devices.attach(directory, devices);
    } catch (error) {
      if (!this.#rootless || !(error instanceof OnggiError) || !isErrno(error.cause, "EPERM", "EACCES")) throw error;
    }
  }

  /** Makes the group; `made` receives every directory that was not there. True if the group itself was not. */
  #make(path: string, writes: readonly LimitWrite[], made: string[]): boolean {
    const needed = [...new Set(writes.map((write) => write.controller))].filter((name) => this.#delegated.includes(name));
    const parent = parentOf(path);
    const enabled = this.#shared ? undefined : this.#enabled.get(parent);
    if (enabled && needed.every((name) => enabled.has(name))) {
      try {
        return this.#makeOne(path, made);
      } catch (error) {
        // Somebody removed the parent, and with it what was set up there.
        if (!isErrno(error, "ENOENT")) throw error;
      }
    }
    if (!this.isBare) this.#enable("/", needed);
    let isNew = false;
    for (const group of ancestorsAndSelf(path)) {
      isNew = this.#makeOne(group, made);
      if (group !== path && !this.isBare) this.#enable(group, needed);
    }
    return isNew;
  }

  #makeOne(path: string, made: string[]): boolean {
    const directory = this.#mountpoint + path;
    const isNew = makeDirectory(directory);
    if (isNew) made.push(directory);
    return isNew;
  }

  /**
   * Hands every controller of the tree to the children of `group`. One that is not `needed` may fail.
   * A group with processes of its own cannot do that (the no-internal-process rule; the root is exempt).
   */
  #enable(group: string, needed: readonly string[]): void {
    const directory = group === "/" ? this.#mountpoint : this.#mountpoint + group;
    const file = `${directory}/cgroup.subtree_control`;
    const words = (text: string | null): string[] => (text ?? "").trim().split(/\s+/).filter(Boolean);
    const offered = words(tryReadText(`${directory}/cgroup.controllers`));
    const enabled = new Set(words(readText(file)));
    const missing = offered.filter((name) => this.#delegated.includes(name) && !enabled.has(name));
    const hand = (names: readonly string[]): void => {
      writeText(file, names.map((name) => `+${name}`).join(" "));
      for (const name of names) enabled.add(name);
    };
    const failures = new Map<string, unknown>();
    try {
      if (missing.length) hand(missing);
    } catch {
      for (const name of missing) {
        try {
          hand([name]);
        } catch (error) {
          failures.set(name, error);
        }
      }
    }
    for (const name of needed) {
      if (enabled.has(name)) continue;
      const error = failures.get(name);
      const why = isErrno(error, "EBUSY")
        ? "the group has processes of its own: move them to a group below it"
        : messageOf(error ?? "the group above does not hand it down");
      throw new OnggiError(
        "cgroup_controller_missing",
        `the ${name} controller cannot be handed to the groups below ${directory}: ${why}`,
        { cause: error },
      );
    }
    this.#enabled.set(group, enabled);
  }
}
