/**
 * Snapshots of containers, and forks.
 *
 * A **snapshot** has the files of a container's root file system as they were at one moment: the processes of one that runs are frozen
 * while its upper layer is read into a layer of its own. Neither processes nor memory, volumes, binds and tmpfs are part of it. It never
 * changes, and lives on when its container goes. A **fork** is a new container on a snapshot's files: nothing is copied for it.
 */
import { randomBytes } from "node:crypto";
import { OnggiError } from "../lib/errors.ts";
import { nowNs, rfc3339 } from "../lib/time.ts";
import { commitContainer } from "./commit.ts";
import type { Container } from "./container.ts";
import { ContainerNotFound, type Context, findContainer } from "./context.ts";
import { createContainers } from "./create.ts";
import { removeContainer } from "./remove.ts";
import { withContentsOf } from "./secrets.ts";
import { settleSnapshotImage, snapshotImageName } from "./snapshot-image.ts";
import type { SnapshotRecord } from "./snapshot-table.ts";
import { startContainer } from "./start.ts";
import type { ContainerRequest, ForkRequest, SnapshotInfo, SnapshotRequest } from "./types.ts";

/** "@" is in no container's name: a default name is never a container's. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.@-]*$/;

/** The most forks of one call. */
const MOST = 1000;

function infoOf({ images }: Context, { id, name, createdNs, container, request, imageId, lease }: SnapshotRecord): SnapshotInfo {
  const size = images.layers(imageId).at(-1)?.size ?? 0;
  const created = rfc3339(BigInt(createdNs));
  return { id, name, created, container: { ...container }, image: request.image, imageId, size, ...(lease ? { lease } : {}) };
}

function chooseName(context: Context, container: string, wanted: string | undefined): string {
  const taken = new Set(context.snapshots.all().map(({ name }) => name));
  if (wanted === undefined) {
    for (let n = 1; ; n += 1) if (!taken.has(`${container}@${n}`)) return `${container}@${n}`;
  }
  if (!NAME.test(wanted)) {
    throw new OnggiError(
      "invalid_name",
      `snapshot name ${JSON.stringify(wanted)}: only letters, digits, "_", ".", "@" and "-" are allowed, the first a letter or digit`,
    );
  }
  if (taken.has(wanted))
    throw new OnggiError("name_in_use", `there is a snapshot ${wanted} already; remove it, or choose another name`);
  return wanted;
}

/** A snapshot's files, from a container, and who keeps them until they have an owner. */
async function takeFiles(
  context: Context,
  container: Container,
): Promise<{ id: string; imageId: string; release(): Promise<void> }> {
  const id = randomBytes(32).toString("hex");
  const unhold = context.snapshots.hold(id);
  const release = async (): Promise<void> => {
    unhold();
    await settleSnapshotImage(context, id);
  };
  try {
    const { id: imageId } = await commitContainer(context, container, { name: snapshotImageName(id) });
    return { id, imageId, release };
  } catch (error) {
    await release();
    throw error;
  }
}

/** Throws what `commit` does, `invalid_name`, `name_in_use`. */
async function take(context: Context, { container: reference, name, lease }: SnapshotRequest): Promise<SnapshotInfo> {
  const container = findContainer(context, reference);
  chooseName(context, container.name, name);
  return context.leases.under(lease, async () => {
    const { id, imageId, release } = await takeFiles(context, container);
    try {
      const record: SnapshotRecord = {
        id,
        // somebody may have taken it meanwhile
        name: chooseName(context, container.name, name),
        createdNs: nowNs().toString(),
        container: { id: container.id, name: container.name },
        request: container.record.request,
        imageId,
        ...(lease === undefined ? {} : { lease }),
      };
      context.snapshots.insert(record);
      return infoOf(context, record);
    } finally {
      await release();
    }
  });
}

/** By name, id, or unique prefix of an id. Throws `snapshot_not_found`, `snapshot_ambiguous`. */
function find(context: Context, reference: string): SnapshotRecord {
  const all = context.snapshots.all();
  const exact = all.find(({ id, name }) => id === reference || name === reference);
  if (exact) return exact;
  const [found, ...more] = all.filter(({ id }) => reference !== "" && id.startsWith(reference));
  if (more.length > 0) throw new OnggiError("snapshot_ambiguous", `${reference} begins the ids of ${more.length + 1} snapshots`);
  if (!found) throw new OnggiError("snapshot_not_found", `no such snapshot: ${reference}; see onggi snapshot ls`);
  return found;
}

/** Forks of it stay, and keep its files. */
async function remove(context: Context, reference: string): Promise<string> {
  const { id } = find(context, reference);
  context.snapshots.delete(id);
  await settleSnapshotImage(context, id);
  return id;
}

/** What is to be forked: a container by whatever names it, else a snapshot. */
async function originOf(
  context: Context,
  reference: string,
): Promise<{ id: string; imageId: string; container: string; request: ContainerRequest; release(): Promise<void> }> {
  let container: Container;
  try {
    container = findContainer(context, reference);
  } catch (error) {
    if (!(error instanceof ContainerNotFound)) throw error;
    const { id, imageId, request, container: of } = find(context, reference);
    const unhold = context.snapshots.hold(id);
    const release = async (): Promise<void> => {
      unhold();
      await settleSnapshotImage(context, id);
    };
    return { id, imageId, request, container: of.id, release };
  }
  return { ...(await takeFiles(context, container)), container: container.id, request: container.record.request };
}

/** What two containers cannot both have is left to chance: names, ports of the host, addresses. */
function forkedRequest(request: ContainerRequest, name: string | undefined, lease: string | undefined): ContainerRequest {
  const { name: _, lease: __, ...kept } = request;
  return {
    ...kept,
    ...(name === undefined ? {} : { name }),
    ...(lease === undefined ? {} : { lease }),
    ...(kept.publish ? { publish: kept.publish.map((port) => ({ ...port, hostPort: 0, hostPortEnd: 0 })) } : {}),
    ...(kept.networks ? { networks: kept.networks.map(({ ipv4: _4, ipv6: _6, mac: _mac, ...network }) => network) } : {}),
  };
}

/**
 * Makes `count` containers of a container or a snapshot, and starts them unless `start` is false: all or none. Throws
 * `invalid_count`, `snapshot_not_found`, and what snapshot, create and start do.
 */
async function fork(context: Context, asked: ForkRequest): Promise<Container[]> {
  const { container: reference, count = 1, name, start = true, lease } = asked;
  if (!Number.isInteger(count) || count < 1 || count > MOST)
    throw new OnggiError("invalid_count", `${count} forks: give a number from 1 to ${MOST}`);
  const origin = await originOf(context, reference);
  try {
    const { request, id: snapshot, imageId } = origin;
    const runtime = context.runtimes.find(request.runtime);
    if (runtime) await context.runtimes.learn(runtime);
    const names = Array.from({ length: count }, (_, at) => (count === 1 || name === undefined ? name : `${name}-${at + 1}`));
    const whole = withContentsOf(context, request, origin.container);
    const requests = names.map((each) => forkedRequest(whole, each, lease));
    const forks = await context.leases.under(lease, () => createContainers(context, requests, { snapshot, imageId }));
    if (start) await startAll(context, forks);
    return forks;
  } finally {
    await origin.release();
  }
}

async function startAll(context: Context, containers: readonly Container[]): Promise<void> {
  const starts = await Promise.allSettled(containers.map((container) => startContainer(context, container)));
  const failed = starts.find((start) => start.status === "rejected");
  if (!failed) return;
  const gone = containers.map((container) => removeContainer(context, container, { force: true, volumes: true }));
  await Promise.allSettled(gone);
  throw failed.reason;
}

export const snapshotsOf = (context: Context) => ({
  take: (request: SnapshotRequest) => take(context, request),
  list: (): SnapshotInfo[] => context.snapshots.all().map((record) => infoOf(context, record)),
  remove: (reference: string) => remove(context, reference),
  fork: (request: ForkRequest) => fork(context, request),
});
