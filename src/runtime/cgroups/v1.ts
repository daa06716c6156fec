/**
 * cgroup v1: one hierarchy per controller (or per few: "cpu,cpuacct"), a named one for systemd, and on a hybrid host the
 * v2 tree beside them, which may hold some controllers of its own. A group has the same path in every one of them.
 *
 * Runs in the engine as root. release_agent and notify_on_release are never written: with them a container that can mount
 * a v1 hierarchy runs a program outside itself (CVE-2022-0492); a group made here inherits notify_on_release from its
 * parent, which is why groups belong below ones this class made, or the root.
 * Source: Linux Documentation/admin-guide/cgroup-v1.
 */
import { OnggiError } from "../../lib/errors.ts";
import type { LinuxResources } from "../../oci/spec.ts";
import { isErrno } from "../../sys/index.ts";
import { apply } from "./apply.ts";
import type { Hierarchy } from "./detect.ts";
import {
  childNames,
  makeDirectory,
  processesBelow,
  readNumber,
  readText,
  removeDirectory,
  tryReadText,
  writeText,
} from "./files.ts";
import { freezerReaches, thaw } from "./freezer-v1.ts";
import {
  createFailed,
  freezeTimedOut,
  killAll,
  killByFile,
  killTimedOut,
  mustExist,
  PATIENCE,
  removeTrees,
  says,
  until,
} from "./lifecycle.ts";
import { checkControllers, type LimitWrite, limitFile } from "./limits.ts";
import { limitsV1 } from "./limits-v1.ts";
import { limitsV2 } from "./limits-v2.ts";
import { noStats } from "./no-stats.ts";
import { ancestorsAndSelf, checkPath, parentOf } from "./paths.ts";
import { reserveRealtime } from "./realtime-v1.ts";
import { readV1 } from "./stats.ts";
import { detailV1 } from "./stats-detail.ts";
import type { CgroupJoin, CgroupManager, CgroupStats, LimitFile } from "./types.ts";
import { allOrNothing, type Held } from "./undo.ts";
import type { V2Cgroups } from "./v2.ts";

export interface V1Options {
  /** Hierarchies, their mount points as the engine reaches them. */
  readonly hierarchies: readonly Hierarchy[];
  /** The v2 tree of a hybrid host. */
  readonly unified: V2Cgroups | null;
  readonly unifiedMountpoint: string | null;
  readonly whyMissing: (controller: string) => string;
  /** Sizes of huge pages, asked for when they are needed. */
  readonly pageSizes: () => readonly string[];
}

export class V1Cgroups implements CgroupManager {
  readonly version: "v1" | "hybrid";
  readonly driver = "cgroupfs";
  readonly controllers: ReadonlySet<string>;
  readonly #hierarchies: readonly Hierarchy[];
  readonly #byController = new Map<string, Hierarchy>();
  readonly #unified: V2Cgroups | null;
  readonly #unifiedMountpoint: string | null;
  readonly #whyMissing: (controller: string) => string;
  readonly #pageSizes: () => readonly string[];
  /** Groups whose children have their cpuset from the start. */
  readonly #cloning = new Set<string>();

  constructor(options: V1Options) {
    this.#hierarchies = options.hierarchies;
    this.#unified = options.unified;
    this.#unifiedMountpoint = options.unifiedMountpoint;
    this.#whyMissing = options.whyMissing;
    this.#pageSizes = options.pageSizes;
    this.version = options.unified ? "hybrid" : "v1";
    for (const hierarchy of options.hierarchies) {
      for (const controller of hierarchy.controllers) this.#byController.set(controller, hierarchy);
    }
    this.controllers = new Set([...this.#byController.keys(), ...(options.unified?.controllers ?? [])]);
  }

  create(path: string, resources: LinuxResources): CgroupJoin {
    checkPath(path);
    const { v1, v2 } = this.#split(resources);
    const writes = this.#limits(v1, { fresh: true, memoryLimit: null });
    const made: string[] = [];
    try {
      let isNew = true;
      for (const hierarchy of this.#hierarchies) isNew = this.#make(hierarchy, path, made) && isNew;
      if (isNew) apply(writes, (controller) => this.#directoryOf(controller, path));
      else this.#update(path, v1);
      this.#unified?.create(path, v2);
    } catch (error) {
      for (const directory of made.reverse()) removeDirectory(directory);
      throw createFailed(path, error);
    }
    return this.join(path);
  }

  join(path: string): CgroupJoin {
    checkPath(path);
    const memory = this.#byController.get("memory");
    const oom = memory ? `${memory.mountpoint}${path}/memory.oom_control` : (this.#unified?.join(path).oom ?? null);
    const tasks = this.#hierarchies.map(({ mountpoint }) => `${mountpoint}${path}/tasks`);
    return { cloneInto: this.#unified?.join(path).cloneInto ?? null, tasks, oom };
  }

  limits(path: string, resources: LinuxResources): LimitFile[] {
    checkPath(path);
    const { v1, v2 } = this.#split(resources);
    const own = this.#limits(v1, { fresh: true, memoryLimit: null }).map((write) =>
      limitFile(write, this.#directoryOf(write.controller, path)),
    );
    return [...own, ...(this.#unified?.limits(path, v2) ?? [])];
  }

  reserveRealtime(parent: string, path: string, { cpu }: LinuxResources): void {
    const hierarchy = this.#byController.get("cpu");
    if (!hierarchy || !cpu?.realtimeRuntime || cpu.realtimeRuntime < 0) return;
    checkPath(parent);
    this.#make(hierarchy, parent, []);
    const others = this.children(parent).filter((group) => group !== path);
    reserveRealtime(
      hierarchy.mountpoint + parent,
      others.map((group) => hierarchy.mountpoint + group),
      cpu,
    );
  }

  update(path: string, resources: LinuxResources, warn: (message: string) => void): void {
    checkPath(path);
    const { v1, v2 } = this.#split(resources);
    allOrNothing(warn, (held) => {
      this.#update(path, v1, held);
      this.#unified?.overwrite(path, v2, held);
    });
  }

  async freeze(path: string, frozen: boolean): Promise<void> {
    checkPath(path);
    const hierarchy = this.#byController.get("freezer");
    if (!hierarchy) {
      if (this.#unified) return this.#unified.freeze(path, frozen);
      throw new OnggiError(
        "cgroup_controller_missing",
        `freeze of cgroup ${path} needs the freezer controller: ${this.#whyMissing("freezer")}`,
      );
    }
    const directory = hierarchy.mountpoint + path;
    mustExist(path, directory);
    const state = `${directory}/freezer.state`;
    const wanted = frozen ? "FROZEN" : "THAWED";
    if (await freezerReaches(state, wanted, PATIENCE)) return;
    if (frozen) writeText(state, "THAWED");
    freezeTimedOut(path, frozen);
  }

  isFrozen(path: string): boolean {
    checkPath(path);
    const freezer = this.#byController.get("freezer");
    if (!freezer) return this.#unified?.isFrozen(path) ?? false;
    return says(`${freezer.mountpoint}${path}/freezer.state`, "FROZEN");
  }

  occupied(path: string): boolean {
    checkPath(path);
    return this.#directories(path).some((directory) => processesBelow(directory).length > 0);
  }

  delegate(path: string): void {
    checkPath(path);
  }

  stats(path: string, { detail = false } = {}): CgroupStats {
    checkPath(path);
    const stats = noStats();
    if (this.#unified) this.#unified.addStats(path, stats);
    else mustExist(path, this.#primary(path));
    const directoryOf = (controller: string): string | null => {
      const hierarchy = this.#byController.get(controller);
      return hierarchy ? hierarchy.mountpoint + path : null;
    };
    readV1(stats, directoryOf, this.#pageSizes);
    if (detail) stats.detail = detailV1(directoryOf);
    return stats;
  }

  processes(path: string): number[] {
    checkPath(path);
    return processesBelow(this.#primary(path));
  }

  /**
   * On a hybrid host cgroup.kill of the unified tree does it. Otherwise the group is frozen, so that nothing forks while the
   * list is read, everything is sent SIGKILL, and thawed, because a frozen process of v1 dies only when it runs again.
   */
  async kill(path: string): Promise<void> {
    checkPath(path);
    const killed = this.#unifiedMountpoint !== null && killByFile(this.#unifiedMountpoint + path);
    const freezer = this.#byController.get("freezer");
    const state = freezer ? `${freezer.mountpoint}${path}/freezer.state` : null;
    const everywhere = this.#directories(path);
    const left = (): Set<number> => new Set(everywhere.flatMap(processesBelow));
    if (killed && state) thaw(state);
    if (killed && (await until(() => left().size === 0, PATIENCE / 10))) return;
    const end = performance.now() + PATIENCE;
    while (left().size > 0) {
      if (performance.now() > end) killTimedOut(path, [...left()]);
      // One that waits in the kernel does not freeze; the others are killed all the same.
      if (state) await freezerReaches(state, "FROZEN", 100);
      killAll(left());
      if (state) thaw(state);
      await until(() => left().size === 0, 100);
    }
  }

  async remove(path: string): Promise<void> {
    checkPath(path);
    await removeTrees(path, this.#directories(path), () => this.kill(path));
  }

  children(path: string): string[] {
    checkPath(path);
    const names = new Set(this.#directories(path).flatMap(childNames));
    return [...names].sort().map((name) => `${path}/${name}`);
  }

  /** The group's directory in every hierarchy; the unified one first, because it alone is reliable for killing. */
  #directories(path: string): string[] {
    const v1 = this.#hierarchies.map((hierarchy) => hierarchy.mountpoint + path);
    return this.#unifiedMountpoint === null ? v1 : [this.#unifiedMountpoint + path, ...v1];
  }

  #primary(path: string): string {
    return this.#directories(path)[0] ?? "";
  }

  #directoryOf(controller: string, path: string): string {
    return (this.#byController.get(controller)?.mountpoint ?? "") + path;
  }

  /** Which part of the resources is for the v1 hierarchies and which for the unified tree. */
  #split(resources: LinuxResources): { v1: LinuxResources; v2: LinuxResources } {
    const v1: LinuxResources = {};
    const v2: LinuxResources = {};
    if (!this.#unified || (this.#unified.isBare && !resources.unified)) return { v1: resources, v2 };
    const controllerOf = {
      devices: "devices",
      memory: "memory",
      cpu: "cpu",
      pids: "pids",
      blockIO: "io",
      hugepageLimits: "hugetlb",
      network: "network",
      rdma: "rdma",
      unified: "unified",
    } as const satisfies Record<keyof LinuxResources, string>;
    for (const key of Object.keys(resources) as (keyof LinuxResources)[]) {
      const controller = controllerOf[key];
      const onV1 = this.#byController.has(controller === "io" ? "blkio" : controller);
      const inTree = controller === "unified" || (!onV1 && controller !== "devices" && this.#unified.controllers.has(controller));
      Object.assign(inTree ? v2 : v1, { [key]: resources[key] });
    }
    // A wrong value is refused before anything is made.
    if (Object.keys(v2).length > 0) limitsV2(v2, { fresh: true });
    return { v1, v2 };
  }

  #limits(resources: LinuxResources, state: Parameters<typeof limitsV1>[1]): LimitWrite[] {
    const writes = limitsV1(resources, state);
    checkControllers(writes, new Set(this.#byController.keys()), this.#whyMissing);
    return writes;
  }

  #update(path: string, resources: LinuxResources, held?: Held[]): void {
    const { memory, devices } = resources;
    const memoryDirectory = this.#byController.get("memory");
    const both = memory?.limit && memory.swap && memoryDirectory;
    const state = {
      fresh: false,
      memoryLimit: both ? readNumber(`${memoryDirectory.mountpoint}${path}/memory.limit_in_bytes`) : null,
    };
    const list = devices?.length ? tryReadText(`${this.#directoryOf("devices", path)}/devices.list`) : null;
    const writes = this.#limits(resources, list === null ? state : { ...state, devicesList: list });
    apply(writes, (controller) => this.#directoryOf(controller, path), held);
  }

  /** Makes the group in one hierarchy; `made` receives every directory that was not there. True if the group was not. */
  #make(hierarchy: Hierarchy, path: string, made: string[]): boolean {
    const makeOne = (group: string): boolean => {
      const directory = hierarchy.mountpoint + group;
      const isNew = makeDirectory(directory);
      if (isNew) made.push(directory);
      if (isNew && hierarchy.controllers.has("cpuset")) {
        if (!this.#cloning.has(parentOf(group))) seedCpuset(directory, group !== path);
        if (group !== path) this.#cloning.add(group);
      }
      return isNew;
    };
    try {
      return makeOne(path);
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
    }
    if (hierarchy.controllers.has("cpuset")) this.#cloning.clear();
    let isNew = false;
    for (const group of ancestorsAndSelf(path)) isNew = makeOne(group);
    return isNew;
  }
}

/**
 * A new cpuset has no CPU and no memory node, and takes no process until it has: it gets its parent's. An ancestor passes
 * them on by itself from then on (cgroup.clone_children, inherited too), which spares every container the two writes.
 */
function seedCpuset(directory: string, isAncestor: boolean): void {
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    writeText(`${directory}/${file}`, readText(`${directory}/../${file}`).trim());
  }
  if (isAncestor) writeText(`${directory}/cgroup.clone_children`, "1");
}
