/** How leases are held and end: containers go first, then networks, volumes, snapshots. What cannot be removed is logged, and tried again by the next engine. */
import { messageOf, OnggiError } from "../lib/errors.ts";
import { type Context, inBackground } from "./context.ts";
import type { Lease } from "./leases.ts";
import { disconnectAll, networksOf } from "./networks.ts";
import { removeContainer } from "./remove.ts";
import { snapshotsOf } from "./snapshots.ts";
import type { LeaseEnd, LeaseInfo } from "./types.ts";
import { volumesOf } from "./volumes.ts";

/** How long a lease outlives the engine that gave it, counted from the start of the next one; seconds. */
const LEASE_GRACE = 10;

/** The connection of a client that holds a lease. */
export interface LeaseHolder {
  /** Aborted when the client has gone. */
  readonly signal: AbortSignal;
  /** The client ends the lease, and waits for what is removed. */
  onDetach(listener: () => void): void;
  /** Called once, when it is held. */
  told(lease: LeaseInfo): void;
}

/**
 * Holds a lease until its client goes or ends it, and resolves when what was made under it has been removed. With the id of a lease that
 * waits for its client, that is taken up; with `resume` nothing else is. Throws what `Leases.take` does, and `engine_stopping` when the
 * engine goes: the lease is then kept for the next one.
 */
async function hold(
  context: Context,
  { id, resume = false }: { readonly id?: string; readonly resume?: boolean },
  { signal, onDetach, told }: LeaseHolder,
): Promise<LeaseEnd> {
  const { leases } = context;
  if (leases.isSuspended) throw stopping();
  const { lease, resumed } = leases.take(id, resume);
  told({ id: lease.id, graceSeconds: LEASE_GRACE, resumed });
  await new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
    if (signal.aborted) resolve();
    onDetach(resolve);
    void leases.suspension.then(resolve);
  });
  if (leases.isSuspended) throw stopping();
  return endLease(context, lease);
}

const stopping = (): OnggiError =>
  new OnggiError("engine_stopping", "the engine stops; take the lease up again with the next one");

/** Removes all that was made under a lease. Never throws; what could not be removed is told and logged. */
async function endLease(context: Context, lease: Lease): Promise<LeaseEnd> {
  const { id } = lease;
  const done: LeaseEnd = { containers: [], networks: [], volumes: [], snapshots: [], problems: [] };
  const attempt = async (what: string, work: () => Promise<unknown> | unknown): Promise<void> => {
    try {
      await work();
    } catch (error) {
      done.problems.push(`${what}: ${messageOf(error)}`);
    }
  };
  await attempt("record its end", () => context.leases.end(lease));
  await Promise.allSettled(lease.making);
  const containers = [...context.containers.values()].filter(({ record }) => record.request.lease === id);
  const remove = (container: (typeof containers)[number]) =>
    attempt(`container ${container.name}`, async () => {
      await removeContainer(context, container, { force: true, volumes: true });
      done.containers.push(container.id);
    });
  await Promise.all(containers.map(remove));
  const networks = context.networks.list().filter((one) => one.lease === id);
  // a configuration goes after what was made after it
  for (const network of [...networks.filter((one) => !one.configOnly), ...networks.filter((one) => one.configOnly)]) {
    await attempt(`network ${network.name}`, async () => {
      await disconnectAll(context, network.id);
      await networksOf(context).remove(network.id);
      done.networks.push(network.id);
    });
  }
  for (const { name } of context.volumes.list().filter((one) => one.lease === id)) {
    await attempt(`volume ${name}`, async () => {
      await volumesOf(context).remove(name, true);
      done.volumes.push(name);
    });
  }
  for (const { id: snapshot, name } of context.snapshots.all().filter((one) => one.lease === id)) {
    await attempt(`snapshot ${name}`, async () => {
      await snapshotsOf(context).remove(snapshot);
      done.snapshots.push(snapshot);
    });
  }
  await attempt("forget it", () => context.leases.forget(lease));
  for (const problem of done.problems) context.log(`lease ${id} has ended: ${problem}`);
  return done;
}

const endInBackground = (context: Context, lease: Lease): void =>
  inBackground(context, `end lease ${lease.id}`, () => endLease(context, lease));

/** To be called once it is known what there is. Leases wait for their clients, or end, and what names one that is not there goes. */
export function restoreLeases(context: Context): void {
  const named = [
    ...[...context.containers.values()].map(({ record }) => record.request.lease),
    ...context.networks.list().map(({ lease }) => lease),
    ...context.volumes.list().map(({ lease }) => lease),
    ...context.snapshots.all().map(({ lease }) => lease),
  ].filter((lease) => lease !== undefined);
  const { waiting, ending } = context.leases.restore(new Set(named));
  for (const lease of waiting) lease.timer = setTimeout(() => endInBackground(context, lease), LEASE_GRACE * 1000);
  for (const lease of ending) endInBackground(context, lease);
}

export const leasesOf = (context: Context) => ({
  hold: (request: { readonly id?: string; readonly resume?: boolean }, holder: LeaseHolder) => hold(context, request, holder),
  /** Before an engine stops serving: holders are told, leases are kept. */
  suspend: () => context.leases.suspend(),
});
