import { renameSync, rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { messageOf } from "../lib/errors.ts";
import { isErrno, SIG } from "../sys/index.ts";
import type { Container } from "./container.ts";
import { keepAnonymous, removeAnonymous } from "./container-volumes.ts";
import { type Context, inBackground, note } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { deleteByRuntime } from "./foreign.ts";
import { giveUpRestart, markStopped } from "./hold-down.ts";
import { unmountShm } from "./ipc-mode.ts";
import { containerPaths } from "./layout.ts";
import { describe } from "./list.ts";
import { finishForwarding } from "./log-drivers.ts";
import { forgetNetworks } from "./networking.ts";
import { settleSnapshotImage } from "./snapshot-image.ts";
import { next, WrongState } from "./state.ts";
import { signalAndTell } from "./stop.ts";

/** Moves a directory out of sight; it is deleted while nobody waits. Nothing where there is none. */
export function throwAway(context: Context, directory: string): void {
  const trash = join(context.layout.trash, `${basename(directory)}.${process.hrtime.bigint()}`);
  try {
    renameSync(directory, trash);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return;
    throw error;
  }
  const deletion = rm(trash, { recursive: true, force: true }).finally(() => context.deletions.delete(deletion));
  context.deletions.add(deletion);
  inBackground(context, `delete ${trash}`, () => deletion);
}

/** On a full disk the record can be deleted once the container's files are: deleting takes room in the database, too. */
async function deleteRecord(context: Context, record: ContainerRecord): Promise<void> {
  try {
    context.table.delete(record);
  } catch (error) {
    context.log(`delete the record of ${record.id}: ${messageOf(error)}; trying again when its files are gone`);
    await Promise.allSettled(context.deletions);
    context.table.delete(record);
  }
}

/** Undoes a create that failed half-way: collects errors, leaves nothing. */
export function discard(context: Context, container: Container): void {
  const { record } = container;
  context.containers.delete(record.id);
  if (record.slot !== null) context.slots.release(record.slot);
  for (const step of [
    () => context.table.delete(record),
    () => void forgetNetworks(context, record.id),
    () => rmSync(containerPaths(context.layout, record.id).directory, { recursive: true, force: true }),
  ]) {
    try {
      step();
    } catch (error) {
      context.log(`discard ${record.id}: ${error}`);
    }
  }
}

/**
 * Deletes a container that does not run: directory, then record, so that an engine that dies in between finds the record and
 * goes on; then its anonymous volumes, if they are to go; then, while nobody waits, the cgroup, which an engine that finds it without a record deletes by its name. Idempotent.
 */
export async function deleteContainer(context: Context, container: Container, volumes: boolean): Promise<void> {
  const { record } = container;
  if (context.containers.get(record.id) !== container) return;
  record.state.status = next(record.name, record.state.status, "remove");
  record.removeVolumes = volumes;
  if (!record.request.autoRemove) note(context, record, true);
  await deleteByRuntime(context, record);
  await forgetNetworks(context, record.id);
  await finishForwarding(context, container);
  // what others still have of it would be deleted with it
  unmountShm(context, record.id);
  throwAway(context, containerPaths(context.layout, record.id).directory);
  if (!volumes) keepAnonymous(context, record);
  await deleteRecord(context, record);
  context.containers.delete(record.id);
  if (record.slot !== null) context.slots.release(record.slot);
  if (volumes) await removeAnonymous(context, record);
  const { snapshot } = record;
  if (snapshot !== undefined) inBackground(context, `files of ${record.id}`, () => settleSnapshotImage(context, snapshot));
  context.events.emit("container", "destroy", record.id, describe(record));
  container.tellRemoval();
  inBackground(context, `remove cgroup of ${record.id}`, () => removeCgroup(context, record));
}

/**
 * Removes the cgroup once everybody has been answered. The kernel can take some milliseconds for it while the container's
 * mounts of the cgroup file systems are taken apart.
 */
export async function removeCgroup(context: Context, record: ContainerRecord): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  await context.cgroups.remove(record.cgroupPath);
}

/** `volumes`: with its anonymous volumes. `force` kills a running container first, also one that is just being started. Throws WrongState for one without it. */
export async function removeContainer(
  context: Context,
  container: Container,
  { force, volumes }: { readonly force: boolean; readonly volumes: boolean },
): Promise<void> {
  for (let removed = false; !removed; ) {
    if (container.isUp) {
      if (!force) throw new WrongState(container.name, container.record.state.status, "remove");
      markStopped(context, container);
      const exit = container.nextExit();
      await signalAndTell(context, container, SIG.SIGKILL);
      await exit;
    }
    removed = await container.lock.run(async () => {
      if (force && container.isUp) return false;
      if (force && container.isActive) giveUpRestart(context, container);
      await deleteContainer(context, container, volumes);
      return true;
    });
  }
}
