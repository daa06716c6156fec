/**
 * The systemd driver: systemd makes a group as a transient scope that is delegated to us, so that its own view of the tree
 * and ours agree; inside the scope everything is done as on plain v2. Only cgroup v2.
 *
 * Limits go both ways: as properties of the scope, or systemd would write its defaults over them on a reload, and to the
 * files, which know more than the properties. A scope needs a process from its first moment: a `sleep` holds the place
 * until the container's own has come, and is neither listed nor left behind, unless the caller names the process to put there.
 * A group that is neither scope nor slice was made by the cgroupfs driver: what is done to it is done by files alone.
 * Source: org.freedesktop.systemd1(5), systemd.resource-control(5), systemd.slice(5), systemd's CGROUP_DELEGATION.md.
 */
import { OnggiError } from "../../lib/errors.ts";
import type { LinuxResources } from "../../oci/spec.ts";
import { Dbus, DbusError } from "./dbus.ts";
import { type Variant, variant } from "./dbus-message.ts";
import { exists } from "./files.ts";
import { PATIENCE, until } from "./lifecycle.ts";
import { weightOfShares } from "./limits-v2.ts";
import { checkPath } from "./paths.ts";
import { isSlice, scopeOf } from "./scopes.ts";
import type { CgroupJoin, CgroupManager, CgroupStats, CreateOptions, LimitFile } from "./types.ts";
import { allOrNothing } from "./undo.ts";
import { V2Cgroups, type V2Options } from "./v2.ts";

export type Properties = readonly (readonly [name: string, value: Variant])[];

const MANAGER = {
  destination: "org.freedesktop.systemd1",
  path: "/org/freedesktop/systemd1",
  interface: "org.freedesktop.systemd1.Manager",
} as const;

/** How long the place-holder stays if the container's process never comes, in seconds. */
const PLACE_HELD = 60;
const UINT64_MAX = 2n ** 64n - 1n;

/** CPU or memory node numbers as systemd takes them: a bit mask, lowest byte first. */
export function bitMask(limit: string, list: string): Uint8Array {
  const bytes: number[] = [];
  for (const part of list.split(",")) {
    const [, first, last] = /^\s*([0-9]{1,4})(?:-([0-9]{1,4}))?\s*$/.exec(part) ?? [];
    if (first === undefined)
      throw new OnggiError("invalid_cgroup_limit", `limit ${limit} = ${JSON.stringify(list)}: a list like "0-3,7" is needed`);
    for (let bit = Number(first); bit <= Number(last ?? first); bit++) {
      while (bytes.length <= bit >> 3) bytes.push(0);
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (1 << (bit & 7));
    }
  }
  return Uint8Array.from(bytes);
}

/** The limits that systemd has a property for. */
export function scopeProperties(resources: LinuxResources): Properties {
  const properties: [string, Variant][] = [];
  const { cpu = {}, memory = {}, pids } = resources;
  const number = (name: string, value: number | bigint): void => {
    properties.push([name, variant("t", value < 0 ? UINT64_MAX : BigInt(value))]);
  };
  if (cpu.shares && cpu.idle !== 1) number("CPUWeight", weightOfShares(cpu.shares));
  if (cpu.quota && cpu.quota < 0) number("CPUQuotaPerSecUSec", -1);
  if (cpu.quota && cpu.quota > 0) {
    // Microseconds of CPU in a second; systemd keeps hundredths of a CPU, and a limit must not come out below the asked one.
    const perSecond = Math.trunc((cpu.quota * 1_000_000) / (cpu.period || 100_000));
    number("CPUQuotaPerSecUSec", Math.ceil(perSecond / 10_000) * 10_000);
  }
  if (cpu.period) number("CPUQuotaPeriodUSec", cpu.period);
  if (cpu.cpus) properties.push(["AllowedCPUs", variant("ay", bitMask("cpu.cpus", cpu.cpus))]);
  if (cpu.mems) properties.push(["AllowedMemoryNodes", variant("ay", bitMask("cpu.mems", cpu.mems))]);
  const { limit = 0, reservation = 0, swap = 0 } = memory;
  if (limit) number("MemoryMax", limit);
  if (reservation) number("MemoryLow", Math.max(0, reservation));
  if (swap < 0) number("MemorySwapMax", -1);
  if (swap > 0 && limit > 0) number("MemorySwapMax", swap - limit);
  if (pids?.limit !== undefined) number("TasksMax", pids.limit > 0 ? pids.limit : -1);
  return properties;
}

/** What StartTransientUnit gets for a scope that holds `pid`. */
export function startProperties(unit: string, slice: string, pid: number, resources: LinuxResources): Properties {
  const on = variant("b", true);
  const limits = scopeProperties(resources);
  // Without a word systemd would set its DefaultTasksMax.
  const tasks = limits.some(([name]) => name === "TasksMax") ? [] : scopeProperties({ pids: { limit: -1 } });
  return [
    ["Description", variant("s", `onggi container ${unit.slice(0, -".scope".length)}`)],
    ["Slice", variant("s", slice)],
    ["PIDs", variant("au", [pid])],
    // Delegation leaves the group to us and hands it every controller.
    ["Delegate", on],
    ["CPUAccounting", on],
    ["MemoryAccounting", on],
    ["IOAccounting", on],
    ["TasksAccounting", on],
    ["DefaultDependencies", variant("b", false)],
    // A scope that failed goes as well, or its name would stay taken.
    ["CollectMode", variant("s", "inactive-or-failed")],
    ...limits,
    ...tasks,
  ];
}

export class SystemdCgroups implements CgroupManager {
  readonly version = "v2";
  readonly driver = "systemd";
  readonly controllers: ReadonlySet<string>;
  readonly #mountpoint: string;
  readonly #files: V2Cgroups;
  readonly #places = new Map<string, Bun.Subprocess>();
  #bus: Dbus | null = null;

  /** Throws `dbus_unavailable` if the bus cannot be reached, DbusError if systemd is not on it. */
  constructor(options: V2Options) {
    this.#mountpoint = options.mountpoint;
    this.#files = new V2Cgroups({ ...options, shared: true });
    this.controllers = this.#files.controllers;
    this.#connect();
  }

  create(path: string, resources: LinuxResources, { pid }: CreateOptions = {}): CgroupJoin {
    const { unit, slice } = scopeOf(path);
    this.#files.check(resources);
    const stdio = ["ignore", "ignore", "ignore"] as const;
    const place = pid === undefined ? Bun.spawn(["sleep", String(PLACE_HELD)], { stdio: [...stdio] }) : null;
    try {
      this.#start(path, unit, startProperties(unit, slice, pid ?? place?.pid ?? 0, resources));
      if (place) this.#places.set(path, place);
      // Also hands down what systemd does not know of (hugetlb, rdma), from the root on.
      this.#files.create(path, resources);
    } catch (error) {
      if (place) this.#abandon(path, unit, place);
      throw error;
    }
    if (place) this.#awaitGuest(path, place);
    return this.join(path);
  }

  join(path: string): CgroupJoin {
    return this.#files.join(path);
  }

  reserveRealtime(): void {}

  limits(path: string, resources: LinuxResources): LimitFile[] {
    return this.#files.limits(path, resources);
  }

  occupied(path: string): boolean {
    return this.#places.has(path) ? this.processes(path).length > 0 : this.#files.occupied(path);
  }

  delegate(path: string, uid: number): void {
    this.#files.delegate(path, uid);
  }

  /** The kernel is asked first, as systemd takes what the kernel refuses; and again, as systemd writes rounded values. */
  update(path: string, resources: LinuxResources, warn: (message: string) => void): void {
    const properties = scopeProperties(resources);
    const { devices: _, ...limits } = resources;
    allOrNothing(warn, (held) => {
      if (properties.length && unitOf(path)) {
        this.#files.overwrite(path, limits, held);
        this.#call("SetUnitProperties", "sba(sv)", [unitOf(path), true, properties]);
      }
      this.#files.overwrite(path, resources, held);
    });
  }

  freeze(path: string, frozen: boolean): Promise<void> {
    return this.#files.freeze(path, frozen);
  }

  isFrozen(path: string): boolean {
    return this.#files.isFrozen(path);
  }

  stats(path: string, options?: { readonly detail?: boolean }): CgroupStats {
    return this.#files.stats(path, options);
  }

  processes(path: string): number[] {
    const holder = this.#places.get(path)?.pid;
    return this.#files.processes(path).filter((pid) => pid !== holder);
  }

  kill(path: string): Promise<void> {
    return this.#files.kill(path);
  }

  /** systemd takes a scope away by itself once its last process is gone; what it leaves is removed here. */
  async remove(path: string): Promise<void> {
    const unit = unitOf(path);
    const there = exists(this.#mountpoint + path);
    if (there) await this.#files.kill(path);
    if (unit) this.#stop(unit);
    if (unit && there) await until(() => !exists(this.#mountpoint + path), PATIENCE / 5);
    this.#places.delete(path);
    await this.#files.remove(path);
  }

  children(path: string): string[] {
    return this.#files.children(path);
  }

  /** Starts the scope and waits until systemd's job for it is done. */
  #start(path: string, unit: string, properties: Properties): void {
    const job = this.#startJob(path, unit, properties);
    const [, , , result] = this.#bus?.waitFor("JobRemoved", (body) => body[1] === job) ?? [];
    if (result !== "done") {
      throw new OnggiError(
        "systemd_job_failed",
        `systemd did not make ${unit}: its job ended with ${JSON.stringify(result)}; see journalctl -u ${unit}`,
      );
    }
  }

  /** The job's path. A scope of that name that has ended is taken away first: systemd does it too, but when it finds the time. */
  #startJob(path: string, unit: string, properties: Properties): unknown {
    for (const end = performance.now() + PATIENCE; ; Bun.sleepSync(5)) {
      try {
        this.#bus?.forgetSignals();
        return this.#call("StartTransientUnit", "ssa(sv)a(sa(sv))", [unit, "fail", properties, []])[0];
      } catch (error) {
        const taken = error instanceof DbusError && error.remote.endsWith(".UnitExists");
        if (!taken || performance.now() > end || this.#files.occupied(path)) throw error;
        this.#stop(unit);
      }
    }
  }

  /** Stops a unit; one that is not there is no error. */
  #stop(unit: string): void {
    try {
      this.#call("StopUnit", "ss", [unit, "replace"]);
    } catch (error) {
      if (!(error instanceof DbusError && error.remote.endsWith(".NoSuchUnit"))) throw error;
    }
  }

  /** One call; a connection that broke (systemd or its bus was restarted) is made once more. */
  #call(member: string, signature: string, body: readonly unknown[]): readonly unknown[] {
    for (let attempt = 0; ; attempt++) {
      try {
        return this.#connect().call({ ...MANAGER, member, signature, body });
      } catch (error) {
        if (error instanceof DbusError) throw error;
        this.#bus?.close();
        this.#bus = null;
        const broken = error instanceof OnggiError ? error.code === "dbus_unavailable" : true;
        if (attempt > 0 || !broken) throw error;
      }
    }
  }

  /** The connection, on which systemd tells of its jobs. */
  #connect(): Dbus {
    if (this.#bus) return this.#bus;
    const bus = new Dbus();
    try {
      bus.subscribe(`type='signal',interface='${MANAGER.interface}',member='JobRemoved',path='${MANAGER.path}'`);
      bus.call({ ...MANAGER, member: "Subscribe" });
    } catch (error) {
      bus.close();
      throw error;
    }
    this.#bus = bus;
    return bus;
  }

  /** Ends the place-holder once somebody else is in the group, or when its time is over. */
  #awaitGuest(path: string, place: Bun.Subprocess): void {
    place.unref();
    const timer = setInterval(() => {
      const waiting = this.#places.get(path) === place && place.exitCode === null && place.signalCode === null;
      if (waiting && this.processes(path).length === 0) return;
      clearInterval(timer);
      this.#leave(path, place);
    }, 50);
    timer.unref();
  }

  /** Takes back a scope that holds nothing but its place-holder, and waits until systemd has done so. */
  #abandon(path: string, unit: string, place: Bun.Subprocess): void {
    this.#leave(path, place);
    this.#stop(unit);
    const end = performance.now() + PATIENCE;
    while (exists(this.#mountpoint + path) && performance.now() < end) Bun.sleepSync(5);
  }

  #leave(path: string, place: Bun.Subprocess): void {
    place.kill("SIGKILL");
    if (this.#places.get(path) === place) this.#places.delete(path);
  }
}

/** The scope or slice that a group is; null for one systemd does not know. Throws `invalid_cgroup_path`. */
function unitOf(path: string): string | null {
  checkPath(path);
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (name.endsWith(".scope")) return scopeOf(path).unit;
  return isSlice(path) ? name : null;
}
