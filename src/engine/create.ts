import { randomBytes } from "node:crypto";
import { chownSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Image } from "../images/types.ts";
import { OnggiError } from "../lib/errors.ts";
import { generateName } from "../lib/names.ts";
import { NEVER, nowNs } from "../lib/time.ts";
import { containerCgroup } from "./cgroups.ts";
import { Container } from "./container.ts";
import { withDefaults } from "./container-defaults.ts";
import { SIGN } from "./container-tree.ts";
import { type MadeMounts, makeMounts } from "./container-volumes.ts";
import { type Context, findContainer } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { checkHealthRequest, healthCheckOf } from "./health-check.ts";
import { checkHost, withoutMissing } from "./host-limits.ts";
import { noIdMapReason } from "./id-mounts.ts";
import { rangeOf } from "./idmap.ts";
import { noSharedIdsReason, takeSlot } from "./ipc-mode.ts";
import { containerPaths } from "./layout.ts";
import { resolveLinks } from "./links.ts";
import { describe } from "./list.ts";
import { checkLog } from "./log-options.ts";
import { mountPoints } from "./mount-points.ts";
import { checkNetworking, joinNetworks, networkFiles } from "./networking.ts";
import { checkModes, containerOfMode, joinedModes, joinsAny } from "./pid-mode.ts";
import { otherPlatform, runnableImage } from "./platform.ts";
import { specOf } from "./prepare.ts";
import { discard } from "./remove.ts";
import { checkRestart } from "./restart-policy.ts";
import type { ForeignRuntime } from "./runtimes.ts";
import { checkSecrets, keepSecrets, withoutContents } from "./secrets.ts";
import type { ContainerRequest, MountPoint } from "./types.ts";

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** Why this container cannot have a user namespace of its own; empty when it can. A foreign runtime has been asked about itself. */
export function noUserNamespaceReason(
  request: ContainerRequest,
  context: Pick<Context, "facts" | "runtimes" | "volumes">,
  runtime: ForeignRuntime | null,
  mounts: readonly MountPoint[],
): string {
  if (request.userns === "host") return "--userns host was asked for";
  if (request.privileged) return "--privileged was asked for";
  if (request.pid === "host") return "--pid host was asked for";
  // its /proc shows a pid namespace that belongs to the other one's user namespace
  if (containerOfMode(request.pid) !== undefined) return "--pid container:... was asked for";
  if (request.ipc === "host") return "--ipc host was asked for";
  if (request.uts === "host") return "--uts host was asked for";
  if (request.rootfs !== undefined) return "a plain root directory keeps its owners";
  if (!context.facts.idmap || !context.facts.overlayFds || !context.facts.cloneDetached) {
    return `kernel ${context.facts.kernel.join(".")} cannot stack id-mapped layers (6.15 can)`;
  }
  if (runtime && mounts.some(({ type }) => type !== "tmpfs") && !context.runtimes.idmaps(runtime)) {
    return `runtime ${runtime.name} cannot show bind mounts with the container's ids`;
  }
  if (runtime && request.devices?.some(({ hostPath, containerPath }) => hostPath !== containerPath)) {
    return `runtime ${runtime.name} would look for a device by the name it has inside`;
  }
  if (runtime && request.driverRequests?.length) return `runtime ${runtime.name} is given CDI devices without one`;
  const reason = noIdMapReason(context, mounts);
  if (reason !== "" && request.userns === "private") {
    throw new OnggiError("idmap_unsupported", `--userns private: ${reason}; without it the container gets no user namespace`);
  }
  return reason;
}

/** The init is passed open, which a foreign runtime knows nothing of. */
function refuseInit(runtime: ForeignRuntime | null, { init }: ContainerRequest): void {
  if (!runtime || !init) return;
  throw new OnggiError("init_unsupported", `--init: runtime ${runtime.name} cannot be given one; onggi's own can`);
}

/** What this cannot have of a foreign runtime, which looks sources up by their paths. */
function refuseOpenSources(runtime: ForeignRuntime | null, mounts: readonly MountPoint[]): void {
  const point = runtime && mounts.find(({ type, subpath }) => type === "image" || subpath !== undefined);
  if (!point) return;
  throw new OnggiError(
    "mount_unsupported",
    `${point.type === "image" ? "the image" : "the part of a volume"} on ${point.destination}: runtime ${runtime.name} cannot be given it; onggi's own can`,
  );
}

/** Entry point and command as they will be executed: the request's, else the image's. */
function commandOf(request: ContainerRequest, image: Image | undefined): string[] {
  const config = image?.config.config;
  const entrypoint = request.entrypoint ?? config?.Entrypoint ?? [];
  // an entry point that is asked for drops the image's command, as Docker does
  const command = request.command?.length ? request.command : request.entrypoint ? [] : (config?.Cmd ?? []);
  const args = [...entrypoint, ...command].filter((word, index) => index > 0 || word !== "");
  if (args.length === 0) {
    throw new OnggiError("no_command", `image ${request.image} names no command; give one after the image's name`);
  }
  return args;
}

const holderOf = (context: Context, name: string): Container | undefined =>
  [...context.containers.values()].find((container) => container.name === name);

function chooseName(context: Context, wanted: string | undefined, beside: readonly ContainerRecord[] = []): string {
  if (wanted === undefined || wanted === "")
    return generateName((name) => holderOf(context, name) !== undefined || beside.some((other) => other.name === name));
  const name = wanted.startsWith("/") ? wanted.slice(1) : wanted;
  checkName(context, name);
  return name;
}

/** Throws "invalid_name" or "name_in_use" for what no container may be called. */
export function checkName(context: Context, name: string): void {
  if (!NAME.test(name)) {
    throw new OnggiError(
      "invalid_name",
      `container name ${JSON.stringify(name)}: only letters, digits, "_", "." and "-" are allowed, the first a letter or digit`,
    );
  }
  const holder = holderOf(context, name);
  if (holder) {
    throw new OnggiError(
      "name_in_use",
      `the container name "${name}" is already in use by container ${holder.id}; remove or rename that container, or choose another name`,
    );
  }
}

/** Who shares another container's network, processes or IPC names it by id from then on: names change. */
function byId(context: Context, request: ContainerRequest): ContainerRequest {
  const shared = joinedModes.flatMap((mode) => {
    const reference = containerOfMode(request[mode]);
    return reference === undefined ? [] : [[mode, `container:${findContainer(context, reference).id}`]];
  });
  return { ...request, ...Object.fromEntries(shared) };
}

/** A container has its image's labels from the time it is made on, where it says nothing else. */
const withLabels = (request: ContainerRequest, ofImage: Readonly<Record<string, string>> | null | undefined): ContainerRequest =>
  ofImage && Object.keys(ofImage).length > 0 ? { ...request, labels: { ...ofImage, ...request.labels } } : request;

/** What a fork is made of in place of the image that is asked for: a snapshot's id, and its files. */
export interface Origin {
  readonly snapshot: string;
  readonly imageId: string;
}

/** The record of a container that does not exist yet, nor do those in `beside`; makes and reserves nothing. */
export function draft(
  context: Context,
  given: ContainerRequest,
  origin?: Origin,
  beside: readonly ContainerRecord[] = [],
): ContainerRecord {
  // a fork has what its origin was made with
  const asked = origin && given.log ? { ...given, log: given.log } : withDefaults(given, context.configuration.containers);
  checkNetworking(context, asked);
  const request = {
    ...resolveLinks(context, asked),
    log: asked.log,
    ...(asked.resources && { resources: withoutMissing(asked.resources).resources }),
  };
  checkRestart(request.restart, request);
  checkHealthRequest(request.health);
  checkModes(context, request);
  checkLog(request.log);
  checkHost(request);
  const wanted = origin ? context.images.get(origin.imageId) : undefined;
  const image = wanted ?? (request.rootfs === undefined ? runnableImage(context, request) : undefined);
  const id = randomBytes(32).toString("hex");
  const runtime = context.runtimes.find(request.runtime);
  const mounts = mountPoints(context, request, image);
  refuseOpenSources(runtime, mounts);
  refuseInit(runtime, request);
  checkSecrets(context, request, runtime);
  const healthcheck = healthCheckOf(request.health, image?.config.config.Healthcheck);
  return {
    id,
    name: chooseName(context, request.name, beside),
    createdNs: nowNs().toString(),
    request: withLabels(withoutContents(byId(context, request)), image?.config.config.Labels),
    imageId: image?.id ?? "",
    ...(origin ? { snapshot: origin.snapshot } : {}),
    args: commandOf(request, image),
    slot: null,
    isolationReason: noSharedIdsReason(context, request, runtime) || noUserNamespaceReason(request, context, runtime, mounts),
    mounts,
    cgroupPath: containerCgroup(context.cgroups.driver, context.cgroupRoots.own, id, request.cgroupParent),
    ...(runtime ? { runtime } : {}),
    ...(healthcheck ? { healthcheck } : {}),
    logFile: request.log.driver === "cri" ? "container.log" : `${id}-json.log`,
    state: { status: "created", pid: 0, exitCode: 0, oomKilled: false, error: "", startedAt: NEVER, finishedAt: NEVER },
    bootId: context.bootId,
  };
}

/** Makes the container's directories and the files it gets from us, owned by its root; of the request what the record has not. */
export function makeFiles(context: Context, record: ContainerRecord, request: ContainerRequest): void {
  const paths = containerPaths(context.layout, record.id, record.logFile);
  const owner = record.slot === null ? 0 : rangeOf(record.slot).hostId;
  mkdirSync(paths.directory, { mode: 0o711 });
  for (const [path, mode] of [
    [paths.upper, 0o755],
    [paths.work, 0o700],
    [paths.mountpoint, 0o755],
  ] as const) {
    mkdirSync(path, { mode });
  }
  if (owner !== 0) chownSync(paths.upper, owner, owner);
  const hostname = record.request.hostname ?? record.id.slice(0, 12);
  const { hosts, resolvConf } = networkFiles(context, record, { endpoints: [], resolv: null });
  const files: [string, string][] = [
    [paths.hostname, `${hostname}\n`],
    [paths.hosts, hosts],
    [paths.resolvConf, resolvConf],
    [join(paths.upper, SIGN), ""],
  ];
  for (const [path, text] of files) {
    writeFileSync(path, text, { mode: 0o644 });
    if (owner !== 0) chownSync(path, owner, owner);
  }
  keepSecrets(context, record.id, request);
}

/** Makes a container that is ready to be started; see createContainers. */
export async function createContainer(context: Context, request: ContainerRequest): Promise<Container> {
  const [container] = await createContainers(context, [request]);
  return container!;
}

/**
 * Makes containers that are ready to be started, all or none: when it throws, nothing is left of them. The records come last, and
 * together: an engine that dies before leaves directories that no record names, and anonymous volumes whose container is not there,
 * which the next one deletes.
 */
export async function createContainers(
  context: Context,
  requests: readonly ContainerRequest[],
  origin?: Origin,
): Promise<Container[]> {
  const sketches: ContainerRecord[] = [];
  for (const request of requests) sketches.push(draft(context, request, origin, sketches));
  if (!sketches.some(({ mounts }) => mounts?.length)) return insertContainers(context, sketches, requests);
  const made: MadeMounts[] = [];
  try {
    for (const sketch of sketches) made.push(await makeMounts(context, sketch));
    // somebody may have taken one meanwhile
    for (const { name } of sketches) chooseName(context, name);
    const containers = insertContainers(context, sketches, requests);
    for (const each of made) each.keep();
    return containers;
  } catch (error) {
    for (const each of made.reverse()) await each.undo();
    throw error;
  }
}

function insertContainers(
  context: Context,
  sketches: readonly ContainerRecord[],
  requests: readonly ContainerRequest[],
): Container[] {
  const containers: Container[] = [];
  try {
    for (const [at, sketch] of sketches.entries()) {
      const record = sketch.isolationReason === "" ? { ...sketch, slot: takeSlot(context, sketch.request) } : sketch;
      const { warnings } = withoutMissing(requests[at]!.resources ?? {});
      const container = new Container(record, [...otherPlatform(context, record), ...warnings]);
      containers.push(container);
      // what is wrong with the request is said now, not at start
      // whom it joins need not run before it is started itself
      if (joinsAny(record.request)) specOf(context, record, {});
      else container.keepSpec(specOf(context, record));
      makeFiles(context, record, requests[at]!);
      joinNetworks(context, record);
    }
    context.table.insert(...containers.map(({ record }) => record));
    for (const container of containers) context.containers.set(container.id, container);
  } catch (error) {
    for (const container of containers) discard(context, container);
    throw error;
  }
  for (const id of new Set(containers.map(({ record }) => record.imageId))) context.imageUses.touch(id);
  for (const { record } of containers) context.events.emit("container", "create", record.id, describe(record));
  return containers;
}
