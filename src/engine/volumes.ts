/** Volumes for clients: what they are told, what they are refused, and copies in and out as tars. */
import { treeTar } from "../archive/tree-tar.ts";
import { Untar } from "../archive/untar.ts";
import { decompressed } from "../images/stream.ts";
import { OnggiError } from "../lib/errors.ts";
import { lookUp } from "../lib/tables.ts";
import { parseRfc3339 } from "../lib/time.ts";
import type { Volume, VolumeRequest } from "../volumes/index.ts";
import { volumeUsers } from "./container-volumes.ts";
import type { Context } from "./context.ts";
import { isLabelled, isTrue, pruneTest } from "./filters.ts";
import { tellPruned } from "./prune.ts";
import type { ClonedVolume, MadeVolume, VolumeInfo } from "./types.ts";

type Filters = Readonly<Record<string, readonly string[]>>;

const attributes = { driver: "local" };

const infoOf = (context: Context, volume: Volume): VolumeInfo => {
  const { name, driver, created, labels, options, anonymous, mountpoint } = volume;
  return {
    ...{ name, driver, created, labels: { ...labels }, options: { ...options }, anonymous, mountpoint },
    containers: volumeUsers(context, name).map((container) => container.name),
  };
};

async function create(context: Context, request: VolumeRequest): Promise<MadeVolume> {
  const { volume, made } = await context.leases.under(request.lease, () => context.volumes.create(request));
  if (made) context.events.emit("volume", "create", volume.name, attributes);
  return { ...infoOf(context, volume), made };
}

const tests: Readonly<Record<string, (volume: VolumeInfo, value: string) => boolean>> = {
  name: ({ name }, value) => name.includes(value),
  driver: ({ driver }, value) => driver === value,
  label: ({ labels }, value) => isLabelled(labels, value),
  dangling: ({ containers }, value) => (containers.length === 0) === isTrue("dangling", value),
};

/** Values of one key are alternatives, but labels all count. Throws `invalid_filter`. */
function list(context: Context, filters: Filters): VolumeInfo[] {
  for (const key of Object.keys(filters)) {
    if (!lookUp(tests, key))
      throw new OnggiError("invalid_filter", `no such filter: ${key}; one of ${Object.keys(tests).join(", ")}`);
  }
  const matches = (volume: VolumeInfo): boolean =>
    Object.entries(filters).every(([key, values]) => {
      const test = (value: string) => tests[key]!(volume, value);
      return key === "label" ? values.every(test) : values.some(test);
    });
  return context.volumes
    .list()
    .map((volume) => infoOf(context, volume))
    .filter(matches);
}

/** Throws `volume_in_use`, with the containers that have it. */
function refuseUsed(context: Context, name: string): void {
  const users = volumeUsers(context, name);
  if (users.length > 0) {
    const names = users.map((container) => container.name).join(", ");
    throw new OnggiError(
      "volume_in_use",
      `volume ${name} is in use by ${names}; remove ${users.length > 1 ? "them" : "it"} first`,
    );
  }
}

/** Throws `volume_not_found` unless `force`, `volume_in_use` for one that a container has, running or not. */
async function remove(context: Context, name: string, force: boolean): Promise<string> {
  if (force && !context.volumes.find(name)) return name;
  context.volumes.get(name);
  refuseUsed(context, name);
  await context.volumes.remove(name, () => refuseUsed(context, name));
  context.events.emit("volume", "destroy", name, attributes);
  return name;
}

/** Removes anonymous volumes, with `all` also named ones, that no container has. Throws `invalid_filter`. */
async function prune(context: Context, all: boolean, filters: Filters): Promise<{ deleted: string[]; reclaimed: number }> {
  const test = pruneTest(filters);
  const result = { deleted: [] as string[], reclaimed: 0 };
  for (const volume of context.volumes.list()) {
    const { name, anonymous, created, labels } = volume;
    if ((!all && !anonymous) || volumeUsers(context, name).length > 0) continue;
    if (!test({ created: Number(parseRfc3339(created) ?? 0n) / 1e9, labels })) continue;
    const bytes = context.volumes.size(name) ?? 0;
    try {
      await remove(context, name, true);
    } catch (error) {
      // somebody has begun to use it
      if (error instanceof OnggiError && error.code === "volume_in_use") continue;
      throw error;
    }
    result.deleted.push(name);
    result.reclaimed += bytes;
  }
  await Promise.allSettled(context.deletions);
  tellPruned(context, "volume", result.reclaimed);
  return result;
}

/** The volume's files as a tar, with the ids that containers see. What is written meanwhile may be in it or not. */
const exportTar = (context: Context, name: string, write: (chunk: Buffer) => Promise<void> | void): Promise<void> =>
  context.volumes.use(name, async (directory) => {
    for (const chunk of treeTar(directory, { ids: null })) await write(chunk);
  });

/**
 * Fills a volume, made if it is not there, from a tar: wholly or not at all. One that is not empty is refused (`volume_not_empty`),
 * or with `merge` gets the tar's files over its own, one by one.
 */
async function importTar(
  context: Context,
  { name, merge, ...request }: VolumeRequest & { name: string; merge?: boolean },
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<VolumeInfo> {
  const { volume, made } = await context.volumes.create({ ...request, name });
  const release = context.volumes.hold(name);
  const unpack = async (directory: number): Promise<void> => {
    const untar = new Untar(directory);
    try {
      for await (const chunk of decompressed(chunks)) {
        signal.throwIfAborted();
        untar.push(chunk);
      }
      // a client that went away has not sent all of it
      signal.throwIfAborted();
      untar.end();
    } finally {
      untar.close();
    }
  };
  try {
    if (!(await context.volumes.fill(name, unpack))) {
      if (!merge)
        throw new OnggiError("volume_not_empty", `volume ${name} is not empty; --merge lays the archive over what it has`);
      await context.volumes.use(name, unpack);
    }
  } catch (error) {
    release();
    if (made) await context.volumes.remove(name).catch((reason: unknown) => context.log(`remove volume ${name}: ${reason}`));
    throw error;
  }
  release();
  if (made) context.events.emit("volume", "create", name, attributes);
  return infoOf(context, volume);
}

async function clone(context: Context, source: string, request: VolumeRequest): Promise<ClonedVolume> {
  const { volume, bytes, shared } = await context.leases.under(request.lease, () => context.volumes.clone(source, request));
  context.events.emit("volume", "create", volume.name, attributes);
  return { ...infoOf(context, volume), bytes, shared };
}

export const volumesOf = (context: Context) => ({
  create: (request: VolumeRequest) => create(context, request),
  list: (filters: Filters) => list(context, filters),
  inspect: (name: string) => infoOf(context, context.volumes.get(name)),
  remove: (name: string, force: boolean) => remove(context, name, force),
  prune: (all: boolean, filters: Filters) => prune(context, all, filters),
  export: (name: string, write: (chunk: Buffer) => Promise<void> | void) => exportTar(context, name, write),
  import: (request: VolumeRequest & { name: string; merge?: boolean }, chunks: AsyncIterable<Uint8Array>, signal: AbortSignal) =>
    importTar(context, request, chunks, signal),
  clone: (source: string, request: VolumeRequest) => clone(context, source, request),
});
