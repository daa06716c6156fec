/** An engine comes to be: its lock, what it is made of, and what it finds. */
import { existsSync, readFileSync } from "node:fs";
import { openImageStore } from "../images/index.ts";
import { openPolicy } from "../images/policy.ts";
import { openRegistries } from "../images/remote/registries.ts";
import { OnggiError } from "../lib/errors.ts";
import { nowNs } from "../lib/time.ts";
import { shimInMemory } from "../native/embed.ts";
import { CniNetworks, type CniOptions } from "../networks/cni/index.ts";
import { DnsService } from "../networks/dns/index.ts";
import { openNetworks } from "../networks/index.ts";
import { cgroupFacts, detectCgroups, openCgroups } from "../runtime/cgroups/index.ts";
import { probeHost } from "../runtime/index.ts";
import { close, flock, ftruncate, LOCK, O, open, writeAll } from "../sys/index.ts";
import { openVolumes } from "../volumes/index.ts";
import { cgroupDriverOf, cgroupRoots, rootTag } from "./cgroups.ts";
import { type Configuration, checkConfiguration, nothingConfigured } from "./configuration.ts";
import type { Container } from "./container.ts";
import { type Context, inBackground } from "./context.ts";
import { ContainerTable } from "./database.ts";
import { Engine } from "./engine.ts";
import { EventBus } from "./events.ts";
import { GuestTable } from "./guest-table.ts";
import { checkHealth } from "./health.ts";
import { IdSlots, reservedSlots } from "./idmap.ts";
import { ImageUses } from "./image-uses.ts";
import { layoutOf, makeLayout } from "./layout.ts";
import { restoreLeases } from "./lease-end.ts";
import { Leases } from "./leases.ts";
import { compressLog } from "./log-compress.ts";
import { forwardRests } from "./log-drivers.ts";
import { LogForwards } from "./log-forward.ts";
import { MountTable } from "./mount-table.ts";
import { clusterListener } from "./nodes.ts";
import { reconcile } from "./reconcile.ts";
import { throwAway } from "./remove.ts";
import { restartAtEngineStart, startByPolicy } from "./restart.ts";
import { Runtimes } from "./runtimes.ts";
import { SnapshotTable } from "./snapshot-table.ts";
import { Timers } from "./timers.ts";

export interface EngineOptions {
  readonly root: string;
  readonly run: string;
  readonly version: string;
  /** Who makes the containers' cgroups: "cgroupfs" (by default) or "systemd". */
  readonly cgroupDriver?: string | undefined;
  /** Where CNI networks and plugins are, and how long a plugin may take. */
  readonly cni?: Pick<CniOptions, "configDir" | "binDirs" | "timeoutMs"> | undefined;
  /** What it is to be set to, read anew each time. Throws what is wrong with it. */
  readonly read?: (() => Configuration) | undefined;
  /** How onggi is called again: for the resolver of names, which outlives the engine. */
  readonly self: readonly string[];
  /** Where the engine's own messages go. */
  readonly log: (message: string) => void;
}

/** Another engine owns the data root: one of the same run directory, or one that answers `elsewhere`. */
export class LockHeld extends OnggiError {
  constructor(path: string, elsewhere?: string) {
    const advice =
      elsewhere === undefined ? "talk to that one" : `it answers in ${elsewhere}: talk to it with --run ${elsewhere}`;
    super(
      elsewhere === undefined ? "engine_running" : "engine_elsewhere",
      `another engine holds ${path}; ${advice}, or use another --root`,
    );
  }
}

/** Takes the exclusive lock, which the kernel lets go when the process ends however it ends. The file names who has it. */
function takeLock(path: string, run: string): number {
  const fd = open(path, O.O_RDWR | O.O_CREAT | O.O_CLOEXEC, 0o600);
  if (!flock(fd, LOCK.LOCK_EX | LOCK.LOCK_NB)) {
    close(fd);
    throw new LockHeld(path, otherRun(textOf(path), run));
  }
  try {
    ftruncate(fd, 0);
    writeAll(fd, `${process.pid} ${run}\n`, 0);
  } catch {
    // a full disk: others are told less
  }
  return fd;
}

/** The run directory of the engine that a lock file names, if it is another than `run`. */
function otherRun(holder: string, run: string): string | undefined {
  const [, pid, theirs] = /^(\d+) (.+)\n$/s.exec(holder) ?? [];
  // one that has just got the lock has not put its name there yet: the name is that of one before it, which has ended
  return theirs === undefined || theirs === run || !existsSync(`/proc/${pid}`) ? undefined : theirs;
}

const textOf = (path: string): string => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
};

/**
 * Opens the engine of one data root. Throws LockHeld where one is open already, `invalid_cgroup_driver`, `cgroup_unavailable` or
 * `dbus_unavailable` for a cgroup driver that cannot be had.
 */
export async function openEngine(options: EngineOptions): Promise<Engine> {
  const layout = layoutOf(options.root, options.run);
  const read = options.read ?? (() => nothingConfigured);
  const configuration = read();
  checkConfiguration(configuration);
  const runtimes = new Runtimes(options.version, configuration.runtimes);
  const driver = cgroupDriverOf(options.cgroupDriver || "cgroupfs");
  makeLayout(layout);
  const lock = takeLock(layout.lock, layout.run);
  const cgroupLayout = detectCgroups("/");
  const cgroups = openCgroups({ layout: cgroupLayout, systemd: driver === "systemd" });
  const facts = probeHost(cgroupFacts(cgroupLayout));
  // asked before there is a context
  let opened: Context | undefined;
  const inForce = (): Configuration => opened?.configuration ?? configuration;
  const withContainer = (what: string, task: (context: Context, container: Container) => Promise<void>) => (id: string) => {
    const container = context.containers.get(id);
    if (container) inBackground(context, `${what} ${container.name}`, () => task(context, container));
  };
  const bootId = textOf("/proc/sys/kernel/random/boot_id").trim();
  const context: Context = {
    layout,
    version: options.version,
    startedNs: nowNs(),
    bootId,
    table: new ContainerTable(layout.database),
    imageMounts: new MountTable(layout.database),
    volumes: openVolumes({
      directory: layout.volumes,
      database: layout.volumeDatabase,
      discard: (path) => throwAway(context, path),
      log: options.log,
    }),
    events: new EventBus(),
    configuration,
    policy: openPolicy(configuration.policy),
    images: openImageStore(layout.images, { attached: !facts.overlayFds }),
    registries: openRegistries({ settings: () => inForce().registries, note: options.log }),
    networks: openNetworks({
      root: layout.root,
      tag: rootTag(layout.root),
      log: options.log,
      nameOf: (id) => (context.containers.get(id) ?? context.guests.get(id))?.name ?? id.slice(0, 12),
      cluster: clusterListener(() => context),
      settings: () => inForce().networks,
    }),
    cni: new CniNetworks({
      ...{ directory: layout.cni, run: layout.run, log: options.log, ...options.cni },
      nameOf: (id) => context.containers.get(id)?.name ?? id.slice(0, 12),
    }),
    guests: new GuestTable(layout.database),
    snapshots: new SnapshotTable(layout.database),
    imageUses: new ImageUses(layout.database),
    leases: new Leases(layout.database, bootId),
    dns: new DnsService({ run: layout.run, command: options.self, log: options.log }),
    cgroups,
    cgroupRoots: cgroupRoots(layout.root, driver),
    facts,
    slots: new IdSlots([...reservedSlots(textOf("/etc/subuid")), ...reservedSlots(textOf("/etc/subgid"))]),
    shimPath: shimInMemory(),
    runtimes,
    restarts: new Timers(withContainer("restart", startByPolicy), true),
    probes: new Timers(withContainer("health check of", checkHealth)),
    packs: new Timers(withContainer("compress the log of", compressLog)),
    forwards: new LogForwards(options.log),
    containers: new Map(),
    background: new Set(),
    deletions: new Set(),
    log: options.log,
    closing: false,
  };
  opened = context;
  await reconcile(context);
  forwardRests(context);
  restartAtEngineStart(context);
  restoreLeases(context);
  return new Engine(context, lock, read);
}
