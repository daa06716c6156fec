import type { Registries } from "../images/remote/types.ts";
import type { ImageStore, Policy } from "../images/types.ts";
import { messageOf, OnggiError } from "../lib/errors.ts";
import type { CniNetworks } from "../networks/cni/index.ts";
import type { DnsService } from "../networks/dns/index.ts";
import type { Networks } from "../networks/types.ts";
import type { CgroupManager } from "../runtime/cgroups/types.ts";
import type { HostFacts } from "../runtime/types.ts";
import type { Volumes } from "../volumes/index.ts";
import type { CgroupRoots } from "./cgroups.ts";
import type { Configuration } from "./configuration.ts";
import type { Container } from "./container.ts";
import type { ContainerRecord, ContainerTable } from "./database.ts";
import type { EventBus } from "./events.ts";
import type { GuestTable } from "./guest-table.ts";
import type { IdSlots } from "./idmap.ts";
import type { ImageUses } from "./image-uses.ts";
import type { Layout } from "./layout.ts";
import type { Leases } from "./leases.ts";
import type { LogForwards } from "./log-forward.ts";
import type { MountTable } from "./mount-table.ts";
import type { Runtimes } from "./runtimes.ts";
import type { SnapshotTable } from "./snapshot-table.ts";
import type { Timers } from "./timers.ts";

/** What every use case works on. Made once by `openEngine`. */
export interface Context {
  readonly layout: Layout;
  readonly version: string;
  readonly startedNs: bigint;
  readonly bootId: string;
  readonly table: ContainerTable;
  readonly events: EventBus;
  readonly images: ImageStore;
  /** Connections and tokens are everybody's. */
  readonly registries: Registries;
  readonly imageMounts: MountTable;
  readonly volumes: Volumes;
  /** What is in force now. */
  configuration: Configuration;
  /** What may come from registries. */
  policy: Policy;
  readonly networks: Networks;
  readonly cni: CniNetworks;
  /** Names in networks other than the default one. */
  readonly dns: DnsService;
  /** Sandboxes of others in our networks. */
  readonly guests: GuestTable;
  readonly leases: Leases;
  readonly snapshots: SnapshotTable;
  readonly imageUses: ImageUses;
  readonly cgroups: CgroupManager;
  /** The groups that this engine's containers lie below. */
  readonly cgroupRoots: CgroupRoots;
  readonly facts: HostFacts;
  readonly slots: IdSlots;
  readonly shimPath: string;
  readonly runtimes: Runtimes;
  /** Starts by restart policies, and health checks, that are to come. */
  readonly restarts: Timers;
  readonly probes: Timers;
  /** Looks at logs that are compressed when they are rotated. */
  readonly packs: Timers;
  readonly forwards: LogForwards;
  readonly containers: Map<string, Container>;
  /** Work nobody waits for (deleting trash, removing a cgroup); the engine's stop waits for it. */
  readonly background: Set<Promise<unknown>>;
  /** Of those, deletions of files, which give space back. */
  readonly deletions: Set<Promise<unknown>>;
  readonly log: (message: string) => void;
  /** The engine is stopping: connections to shims end without meaning anything. */
  closing: boolean;
}

/** Ids of the images that something needs: a container, a snapshot, or a mount that somebody looks at. */
export const imagesInUse = ({ containers, imageMounts, snapshots }: Context): Set<string> =>
  new Set([
    ...[...containers.values()].flatMap(({ record }) => [
      record.imageId,
      ...(record.mounts ?? []).flatMap(({ imageId }) => imageId ?? []),
    ]),
    ...imageMounts.all().map(({ imageId }) => imageId),
    ...snapshots.all().map(({ imageId }) => imageId),
  ]);

/** Runs `task` without making anybody wait; what it throws is logged. */
export function inBackground(context: Context, what: string, task: () => Promise<unknown>): void {
  const running = task()
    .catch((error: unknown) => context.log(`${what}: ${error instanceof Error ? error.message : error}`))
    .finally(() => context.background.delete(running));
  context.background.add(running);
}

/**
 * Records what has happened to a container. A database that cannot be written, on a full disk, must not keep the engine from
 * knowing it and telling it: the failure is logged. The next engine finds the fact in the exit record or by asking the shim.
 */
export function note(context: Context, record: ContainerRecord, durable: boolean): void {
  try {
    context.table.update(record, durable);
  } catch (error) {
    context.log(`cannot record the state of ${record.id} (${record.state.status}): ${messageOf(error)}`);
  }
}

export class ContainerNotFound extends OnggiError {
  constructor(reference: string) {
    super("container_not_found", `no such container: ${reference}; see onggi ps -a`);
  }
}

/** By id, name, or unique prefix of an id, in this order. Throws ContainerNotFound, or container_ambiguous. */
export function findContainer(context: Context, reference: string): Container {
  const exact = context.containers.get(reference);
  if (exact) return exact;
  const name = reference.startsWith("/") ? reference.slice(1) : reference;
  const byPrefix: Container[] = [];
  for (const container of context.containers.values()) {
    if (container.name === name) return container;
    if (container.id.startsWith(reference)) byPrefix.push(container);
  }
  if (byPrefix.length > 1) {
    throw new OnggiError("container_ambiguous", `${reference} begins the ids of ${byPrefix.length} containers; give more of it`);
  }
  const [found] = byPrefix;
  if (reference === "" || !found) throw new ContainerNotFound(reference);
  return found;
}
