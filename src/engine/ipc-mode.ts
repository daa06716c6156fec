/**
 * `--ipc`: whose System V objects and message queues a container sees, and whose /dev/shm.
 *
 * The /dev/shm of a container whose IPC others may join is mounted on the host as long as it runs, in its own directory: neither it
 * nor who joins it can lead that mount anywhere else, as they could if it were looked for in the container. Who joins has the ids of
 * the one it joins, so that both own the same objects; what belongs to a user in one belongs to the same user in the other.
 */
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { OnggiError } from "../lib/errors.ts";
import { shmSize } from "../runtime/index.ts";
import { MOUNT_ATTR } from "../sys/constants.ts";
import { AT, attachMount, close, isMountRoot, MNT, mountFs, umount } from "../sys/index.ts";
import type { Container } from "./container.ts";
import { type Context, findContainer } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { rangeOf } from "./idmap.ts";
import { containerPaths } from "./layout.ts";
import { containerOfMode } from "./pid-mode.ts";
import type { ForeignRuntime } from "./runtimes.ts";
import type { ContainerRequest } from "./types.ts";

const PLACE = "/dev/shm";

/** What a container has of others, or for others. */
export interface SharedIpc {
  /** The namespace to join. */
  readonly ipcNamespace?: string;
  /** The host's directory that is its /dev/shm. */
  readonly shm?: string;
}

/** Below a directory that only root can enter, as everybody may write to it. */
export const shmPath = (context: Pick<Context, "layout">, id: string): string =>
  join(containerPaths(context.layout, id).directory, "ipc", "shm");

/** As with Docker one that has something else on /dev/shm has nothing to share. */
const isShareable = ({ ipc, mounts = [], tmpfs = {} }: ContainerRequest): boolean =>
  ipc === "shareable" && ![...mounts.map(({ target }) => target), ...Object.keys(tmpfs)].includes(PLACE);

/** Throws `ipc_mode_invalid`, in Docker's words, where the other does not run or does not share. */
export function sharedIpcOf(context: Context, { id, request }: ContainerRecord): SharedIpc {
  const reference = containerOfMode(request.ipc);
  if (reference === undefined) return isShareable(request) ? { shm: shmPath(context, id) } : {};
  const other = findContainer(context, reference);
  const refuse = (why: string) => new OnggiError("ipc_mode_invalid", `can't join IPC of container ${other.id}: ${why}`);
  if (other.record.state.status === "restarting")
    throw refuse(`container ${other.id} is restarting, wait until the container is running`);
  if (!other.isUp) throw refuse(`container ${other.id} is not running`);
  const shm = shmOf(context, other);
  if (shm === null) throw refuse("non-shareable IPC (hint: use IpcMode:shareable for the donor container)");
  return { ipcNamespace: namespaceOf(other), shm };
}

const namespaceOf = ({ record }: Container): string => `/proc/${record.state.pid}/ns/ipc`;

/** The host's directory that is the /dev/shm of a container that runs; null where nobody may have it, or nobody can any more. */
function shmOf(context: Context, container: Container): string | null {
  const { request } = container.record;
  if (request.ipc === "host") return PLACE;
  if (isShareable(request))
    return isMountRoot(AT.AT_FDCWD, shmPath(context, container.id)) ? shmPath(context, container.id) : null;
  const reference = containerOfMode(request.ipc);
  const first = reference === undefined ? undefined : context.containers.get(reference);
  // it may have been started again since this one has joined it
  return first?.isUp && sameFile(namespaceOf(first), namespaceOf(container)) ? shmOf(context, first) : null;
}

function sameFile(one: string, other: string): boolean {
  const [a, b] = [one, other].map((path) => statSync(path, { throwIfNoEntry: false })?.ino);
  return a !== undefined && a === b;
}

/** Whose user ids a container has; undefined where they are its own. */
const idsFrom = (context: Context, { ipc }: ContainerRequest): Container | undefined => {
  const reference = containerOfMode(ipc);
  return reference === undefined ? undefined : findContainer(context, reference);
};

/** Why a container that joins another one's IPC has no user namespace; empty where it can have that one's ids. */
export function noSharedIdsReason(context: Context, request: ContainerRequest, runtime: ForeignRuntime | null): string {
  const other = idsFrom(context, request);
  if (!other) return "";
  if (other.record.slot === null) return `it shares the IPC of ${other.name}, which has no user namespace`;
  // it mounts them as the container's root, whom the other's user namespace does not know
  return runtime ? `runtime ${runtime.name} cannot show the message queues of ${other.name} in another user namespace` : "";
}

/** A range of ids for a container with a user namespace: of its own, or of the one whose IPC it joins. */
export function takeSlot(context: Context, request: ContainerRequest): number {
  const slot = idsFrom(context, request)?.record.slot ?? null;
  if (slot === null) return context.slots.take();
  context.slots.claim(slot);
  return slot;
}

/**
 * Makes what others may have of a container that is to be started; an earlier run's is taken off. Runs in the engine as root, in the
 * host's namespaces: the directory is ours, and only root can enter the one above it, so nothing can stand in its way.
 */
export function mountShm(context: Context, { id, request, slot }: ContainerRecord): void {
  if (!isShareable(request)) return;
  const path = shmPath(context, id);
  unmountShm(context, id);
  mkdirSync(join(path, ".."), { recursive: true, mode: 0o700 });
  mkdirSync(path, { recursive: true });
  const owner = String(slot === null ? 0 : rangeOf(slot).hostId);
  const flags = MOUNT_ATTR.MOUNT_ATTR_NOSUID | MOUNT_ATTR.MOUNT_ATTR_NODEV | MOUNT_ATTR.MOUNT_ATTR_NOEXEC;
  const options = { mode: "1777", size: String(shmSize(request)), uid: owner, gid: owner };
  const fd = mountFs("tmpfs", { source: "shm", options, flags });
  try {
    attachMount(fd, path);
  } finally {
    close(fd);
  }
}

/** Who has joined keeps it to its own end. Idempotent. */
export function unmountShm(context: Pick<Context, "layout">, id: string): void {
  const path = shmPath(context, id);
  while (isMountRoot(AT.AT_FDCWD, path)) umount(path, MNT.MNT_DETACH | MNT.UMOUNT_NOFOLLOW);
}
