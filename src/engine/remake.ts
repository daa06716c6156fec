/**
 * `update` of what a container is made with: ports, mounts, variables. It keeps its id, name, files and networks. Ports of one that
 * runs change while it does; for the rest it is stopped and started again.
 */
import { OnggiError } from "../lib/errors.ts";
import { cleanPath } from "../runtime/paths.ts";
import type { Container } from "./container.ts";
import { makeMounts } from "./container-volumes.ts";
import type { Context } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { noIdMapReason } from "./id-mounts.ts";
import { describe } from "./list.ts";
import { mountPoint } from "./mount-points.ts";
import { changePorts } from "./network-changes.ts";
import { networkMode } from "./network-mode.ts";
import { checkNetworking } from "./networking.ts";
import { specOf } from "./prepare.ts";
import { startContainer } from "./start.ts";
import { stopContainer } from "./stop.ts";
import type { ContainerChanges, ContainerRequest, MountPoint, MountRequest, PortReference, PortRequest } from "./types.ts";

const isPort =
  ({ containerPort, protocol, hostPort, hostIp }: PortReference) =>
  (port: PortRequest): boolean =>
    port.containerPort === containerPort &&
    port.protocol === protocol &&
    (hostPort === undefined || port.hostPort === hostPort) &&
    (hostIp === undefined || port.hostIp === hostIp);

function portsAfter({ publish = [] }: ContainerRequest, { publish: more = [], unpublish = [] }: ContainerChanges): PortRequest[] {
  for (const gone of unpublish) {
    if (!publish.some(isPort(gone)))
      throw new OnggiError(
        "port_not_published",
        `port ${gone.containerPort}/${gone.protocol} is not published so; see onggi port`,
      );
  }
  return [...publish.filter((port) => !unpublish.some((gone) => isPort(gone)(port))), ...more];
}

/** Of what comes later one name has one value; "NAME" alone takes away what the image says. */
function environmentAfter({ env = [] }: ContainerRequest, { env: more = [], unsetEnv = [] }: ContainerChanges): string[] {
  const changed = [...more, ...unsetEnv];
  const names = new Set(changed.map((entry) => entry.split("=", 1)[0]));
  return [...env.filter((entry) => !names.has(entry.split("=", 1)[0])), ...changed];
}

interface Change {
  readonly request: ContainerRequest;
  readonly mounts: readonly MountPoint[];
  readonly added: readonly MountPoint[];
  readonly removed: readonly MountPoint[];
  /** It can be done while the container runs. */
  readonly isLive: boolean;
}

/** Throws what is wrong with it, before anything is done. */
function changeOf(context: Context, record: ContainerRecord, changes: ContainerChanges): Change {
  const { request, mounts = [] } = record;
  const { mounts: more = [], unmount = [], env, unsetEnv, publish, unpublish } = changes;
  const added = more.map((mount) => mountPoint(context, mount));
  const places = new Set(added.map(({ destination }) => destination));
  if (places.size < added.length) throw new OnggiError("duplicate_mount", "a mount target is given twice");
  const gone = unmount.map(cleanPath);
  for (const path of gone) {
    if (!mounts.some(({ destination }) => destination === path))
      throw new OnggiError("mount_not_found", `nothing is mounted on ${path} of container ${record.name}; see onggi inspect`);
  }
  const removed = mounts.filter(({ destination }) => places.has(destination) || gone.includes(destination));
  const reason = record.slot === null ? "" : noIdMapReason(context, added);
  if (reason !== "") {
    throw new OnggiError(
      "idmap_unsupported",
      `${reason}, and container ${record.name} has a user namespace: make it anew for that`,
    );
  }
  const isMount = ({ target }: MountRequest): boolean => removed.every(({ destination }) => destination !== cleanPath(target));
  const next: ContainerRequest = {
    ...request,
    ...(publish || unpublish ? { publish: portsAfter(request, changes) } : {}),
    ...(env || unsetEnv ? { env: environmentAfter(request, changes) } : {}),
    ...(more.length + gone.length > 0 ? { mounts: [...(request.mounts ?? []).filter(isMount), ...more] } : {}),
  };
  checkNetworking(context, next);
  const changesPorts = publish !== undefined || unpublish !== undefined;
  if (changesPorts && !["networks", "cni"].includes(networkMode(next).kind)) {
    throw new OnggiError("network_mode_invalid", `container ${record.name} has no network of its own: it cannot publish ports`);
  }
  const isLive = added.length + gone.length === 0 && !env && !unsetEnv && networkMode(next).kind === "networks";
  return { request: next, mounts: [...mounts.filter((point) => !removed.includes(point)), ...added], added, removed, isLive };
}

/** Changes a container; nothing has changed when it throws, and one that ran runs. */
export async function remakeContainer(context: Context, container: Container, changes: ContainerChanges): Promise<void> {
  const { record } = container;
  const change = changeOf(context, record, changes);
  if (change.isLive && (await changeLive(context, container, change))) return;
  const made = await makeMounts(context, { ...record, request: change.request, mounts: change.added });
  try {
    await stopped(context, container, changes.timeout, async (start) => {
      const { request, mounts } = record;
      await put(context, container, change);
      try {
        await start();
      } catch (error) {
        await put(context, container, { request, mounts: mounts ?? [] });
        await start().catch((reason: unknown) => context.log(`start ${record.name} as it was: ${reason}`));
        throw error;
      }
    });
  } catch (error) {
    await made.undo();
    throw error;
  }
  made.keep();
  for (const { anonymous, name } of change.removed)
    if (anonymous && name && context.volumes.find(name)) context.volumes.disown(name);
  context.events.emit("container", "update", record.id, describe(record));
}

/** False for a container that does not run. */
function changeLive(context: Context, container: Container, { request }: Change): Promise<boolean> {
  return container.lock.run(async () => {
    if (!container.isUp) return false;
    await changePorts(context, container.record, request);
    context.events.emit("container", "update", container.id, describe(container.record));
    return true;
  });
}

/** Makes the record another one. Throws what is wrong with that, and leaves it as it was. */
function put(context: Context, container: Container, { request, mounts }: Pick<Change, "request" | "mounts">): Promise<void> {
  return container.lock.run(() => {
    const { record } = container;
    const before = { request: record.request, mounts: record.mounts };
    if (container.isUp) throw new OnggiError("wrong_state", `container ${record.name} was started meanwhile; try again`);
    try {
      Object.assign(record, { request, mounts });
      container.takeSpec();
      specOf(context, record);
      context.table.update(record, true);
    } catch (error) {
      Object.assign(record, before);
      throw error;
    }
  });
}

/** With the container stopped, if it was active; `start` then starts it again, and an engine that finds it stopped does. */
async function stopped(
  context: Context,
  container: Container,
  timeout: number | undefined,
  work: (start: () => Promise<void>) => Promise<void>,
): Promise<void> {
  if (!container.isActive) return work(async () => {});
  const { record } = container;
  const mark = (is: boolean): void => {
    record.resume = is;
    context.table.update(record, true);
  };
  mark(true);
  container.keptAtExit = true;
  try {
    await stopContainer(context, container, undefined, timeout);
  } finally {
    container.keptAtExit = false;
  }
  try {
    await work(() => startContainer(context, container));
  } finally {
    mark(false);
  }
}
