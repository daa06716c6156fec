/** What goes from containers to images and files: diff, export, commit. */
import { type Change, changesTar, treeTar } from "../archive/tree-tar.ts";
import { changesOf } from "../images/index.ts";
import type { Image, ImageConfig } from "../images/types.ts";
import { OnggiError } from "../lib/errors.ts";
import { streamOf } from "../lib/streams.ts";
import { familiarName, parseReference } from "../oci/reference.ts";
import { applyChanges } from "./changes.ts";
import type { Container } from "./container.ts";
import { type ContainerTree, OWN_FILES, withTree } from "./container-tree.ts";
import type { Context } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { dockerHealthCheck } from "./health-check.ts";
import { tellOfImage } from "./image-events.ts";
import { describe } from "./list.ts";
import { endCommitPause, pauseContainer } from "./pause.ts";

export interface CommitOptions {
  readonly name?: string | undefined;
  readonly author?: string | undefined;
  readonly message?: string | undefined;
  /** Laid over what the container is, under the instructions. */
  readonly config?: ImageConfig["config"] | undefined;
  /** Dockerfile instructions. */
  readonly changes?: readonly string[] | undefined;
  /** Freeze a running container meanwhile; true by default. */
  readonly pause?: boolean | undefined;
}

function changesIn(record: ContainerRecord, { merged, layers, ids }: ContainerTree): Change[] {
  if (!layers)
    throw new OnggiError("no_image", `container ${record.name} has a plain root directory: there is no image to compare with`);
  return changesOf({ merged, lower: layers.lower, upper: layers.upper }, ids, OWN_FILES);
}

/** What differs from the image. Throws `no_image` for a container with a root directory of its own. */
export const diffContainer = (context: Context, { record }: Container): Promise<Change[]> =>
  withTree(context, record, (tree) => changesIn(record, tree));

/** The whole file system as a tar, without volumes; /dev, /proc and /sys are empty in it. `write` says when it can take more. */
export const exportContainer = (
  context: Context,
  { record }: Container,
  write: (chunk: Buffer) => Promise<void> | void,
): Promise<void> =>
  withTree(context, record, async ({ merged, ids }) => {
    context.events.emit("container", "export", record.id, describe(record));
    for (const chunk of treeTar(merged, { ids, emptied: OWN_FILES })) await write(chunk);
  });

/** Variables, and those of `below` that are not among them. */
const envOver = (env: readonly string[] = [], below: readonly string[] = []): string[] => {
  const names = new Set(env.map((pair) => pair.split("=")[0]));
  return [...env, ...below.filter((pair) => !names.has(pair.split("=")[0]))];
};

/** What is given wins; variables, labels, ports and volumes add up, as Docker has it. */
const laidOver = (below: ImageConfig["config"], given: ImageConfig["config"]): ImageConfig["config"] => ({
  ...below,
  ...given,
  ...(given.Env ? { Env: envOver(given.Env, below.Env) } : {}),
  ...(given.Labels ? { Labels: { ...below.Labels, ...given.Labels } } : {}),
  ...(given.ExposedPorts ? { ExposedPorts: { ...below.ExposedPorts, ...given.ExposedPorts } } : {}),
  ...(given.Volumes ? { Volumes: { ...below.Volumes, ...given.Volumes } } : {}),
});

/** The image's configuration, over it what the container was asked to be, then what is given, then the instructions. */
function configOf(
  { request, healthcheck }: ContainerRecord,
  base: ImageConfig["config"],
  { config: given = {}, changes = [] }: CommitOptions,
): ImageConfig["config"] {
  const env = envOver(request.env, base.Env);
  const published = (request.publish ?? []).map(({ containerPort, protocol }) => `${containerPort}/${protocol}`);
  const ports = [...(request.expose ?? []), ...published];
  const config: ImageConfig["config"] = {
    ...base,
    ...(env.length > 0 ? { Env: env.filter((pair) => pair.includes("=")) } : {}),
    ...(request.user === undefined ? {} : { User: request.user }),
    ...(request.workdir === undefined ? {} : { WorkingDir: request.workdir }),
    ...(request.stopSignal === undefined ? {} : { StopSignal: request.stopSignal }),
    ...(ports.length > 0
      ? { ExposedPorts: { ...base.ExposedPorts, ...Object.fromEntries(ports.map((port) => [port, {}])) } }
      : {}),
    ...(healthcheck ? { Healthcheck: dockerHealthCheck(healthcheck) } : {}),
    ...(request.health?.test?.[0] === "NONE" ? { Healthcheck: { Test: ["NONE"] } } : {}),
    ...(request.labels === undefined ? {} : { Labels: { ...base.Labels, ...request.labels } }),
  };
  if (request.entrypoint) {
    config.Entrypoint = [...request.entrypoint];
    delete config.Cmd;
  }
  if (request.command?.length) config.Cmd = [...request.command];
  return applyChanges(changes, laidOver(config, given));
}

/** All of the chunks; `then` is called when they have been taken. */
async function* chunksOf(chunks: Generator<Buffer>, then: () => Promise<void>): AsyncGenerator<Uint8Array> {
  yield* chunks;
  await then();
}

/**
 * Makes an image of a container: its image's layers, and one of what it has changed. The container is frozen while that is read, unless
 * it is not wanted, and goes on whatever happens, at the latest with the next engine. All or nothing.
 */
export const commitContainer = (context: Context, container: Container, options: CommitOptions): Promise<Image> =>
  container.commits.run(() => commitAlone(context, container, options));

/** `commitContainer` for somebody who asked for it: events tell of it. */
export async function commitAsked(context: Context, container: Container, options: CommitOptions): Promise<Image> {
  const image = await commitContainer(context, container, options);
  const imageRef = options.name === undefined ? "" : familiarName(parseReference(options.name));
  if (imageRef !== "") tellOfImage(context, "tag", image.id, imageRef);
  const told = { ...describe(container.record), comment: options.message ?? "", imageID: image.id, imageRef };
  context.events.emit("container", "commit", container.id, told);
  return image;
}

async function commitAlone(context: Context, container: Container, options: CommitOptions): Promise<Image> {
  const { record } = container;
  if (record.imageId === "")
    throw new OnggiError("no_image", `container ${record.name} has a plain root directory; use export and import`);
  const { config: base } = context.images.get(record.imageId);
  const config = configOf(record, base.config, options);
  const pause = (options.pause ?? true) && record.state.status === "running";
  let isFrozen = pause;
  const thaw = async (): Promise<void> => {
    if (isFrozen) await endCommitPause(context, container);
    isFrozen = false;
  };
  if (pause) await pauseContainer(context, container, true);
  try {
    return await withTree(context, record, (tree) =>
      context.images.commit(streamOf(chunksOf(changesTar(tree.merged, changesIn(record, tree), { ids: tree.ids }), thaw)), {
        parent: record.imageId,
        config,
        createdBy: record.args.join(" "),
        ...(options.name === undefined ? {} : { name: options.name }),
        ...(options.author === undefined ? {} : { author: options.author }),
        ...(options.message === undefined ? {} : { message: options.message }),
      }),
    );
  } finally {
    await thaw();
  }
}
