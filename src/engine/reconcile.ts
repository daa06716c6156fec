/**
 * Brings the record of intent and the facts together, once, when an engine starts and before it serves anybody.
 *
 * For each container: a shim that answers is taken over; an exit record that a shim left is applied; what was running and left
 * neither is dead. Then whatever belongs to no container is deleted: cgroups, directories, trash, unfinished images.
 */
import { existsSync, readdirSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { Shim, ShimGone } from "../native/shim.ts";
import { isErrno } from "../sys/errno.ts";
import { SIG } from "../sys/index.ts";
import { containerOf } from "./cgroups.ts";
import { Container } from "./container.ts";
import { volumesOfContainer } from "./container-volumes.ts";
import { type Context, inBackground } from "./context.ts";
import { deleteByRuntime } from "./foreign.ts";
import { forgetExecs } from "./foreign-exec.ts";
import { openGuests } from "./guest-watch.ts";
import { reconcileImageMounts } from "./image-mounts.ts";
import { unmountShm } from "./ipc-mode.ts";
import { killSession } from "./kill-session.ts";
import { containerPaths } from "./layout.ts";
import { reconcileNetworks } from "./network-changes.ts";
import { settleFreezer } from "./pause.ts";
import { deleteContainer } from "./remove.ts";
import { settleSnapshotImages } from "./snapshot-image.ts";
import { readExit, recordExit, recordLoss, watchExit } from "./start.ts";

export async function reconcile(context: Context): Promise<void> {
  for (const record of context.table.all()) {
    context.containers.set(record.id, new Container(record));
    if (record.slot !== null) context.slots.claim(record.slot);
  }
  reconcileImageMounts(context);
  const adopted = await Promise.all([...context.containers.values()].map((container) => guarded(context, container)));
  await reconcileNetworks(context, await openGuests(context));
  await reconcileVolumes(context);
  await removeStrangers(context);
  await settleSnapshotImages(context);
  await context.images.collectGarbage();
  const running = adopted.filter(Boolean).length;
  if (context.containers.size > 0) context.log(`found ${context.containers.size} containers, ${running} of them running`);
}

/** Those of running containers are in use; the rest follows from that. */
async function reconcileVolumes(context: Context): Promise<void> {
  const inUse: string[] = [];
  for (const container of context.containers.values()) {
    if (!container.isUp) continue;
    container.acquired = volumesOfContainer(container.record);
    inUse.push(...container.acquired);
  }
  await context.volumes.reconcile(inUse, new Set(context.containers.keys()));
}

/** One container that cannot be settled must not keep the others from their engine. */
async function guarded(context: Context, container: Container): Promise<boolean> {
  try {
    return await settle(context, container);
  } catch (error) {
    context.log(`container ${container.id}: ${error instanceof Error ? error.message : error}`);
    return false;
  }
}

/** Whether the container turned out to run. */
async function settle(context: Context, container: Container): Promise<boolean> {
  const { record } = container;
  // without a directory: a removal on a full disk came so far and no further
  const { directory } = containerPaths(context.layout, record.id);
  if (record.state.status === "removing" || !existsSync(directory)) {
    record.state.status = "removing";
    await deleteContainer(context, container, record.removeVolumes ?? record.request.autoRemove ?? false);
    return false;
  }
  if (record.bootId === context.bootId && (await adopt(context, container))) return true;
  if (container.isUp) {
    const exit = readExit(context, container);
    if (exit) await recordExit(context, container, exit);
    else
      await recordLoss(
        context,
        container,
        record.bootId === context.bootId ? undefined : "the machine was restarted while it ran",
      );
  } else if (record.request.autoRemove) {
    await deleteContainer(context, container, true);
  } else {
    unmountShm(context, record.id);
    await deleteByRuntime(context, record);
  }
  return false;
}

/** Takes over the shim of a running container; kills one whose container was never told to start. */
async function adopt(context: Context, container: Container): Promise<boolean> {
  const { record } = container;
  const { directory } = containerPaths(context.layout, record.id);
  const shim = await Shim.connect(directory).catch(() => null);
  if (!shim) return false;
  const processes = await shim.status().catch((error: unknown) => {
    if (error instanceof ShimGone) return null;
    throw error;
  });
  if (!processes) return false; // it ended just after it had greeted: its exit record is there
  const [main, ...execs] = processes;
  if (main?.state === "running") {
    // an exec whose client went with the engine before it was told to start would wait for ever
    const waiting = execs.filter(({ state }) => state === "creating" || state === "created");
    await Promise.all(waiting.map((exec) => shim.kill(exec.process, SIG.SIGKILL).catch(() => {})));
    // a check that nobody waits for any more
    const probe = execs.find((exec) => exec.process === record.probing && exec.state === "running");
    if (probe) killSession(probe.pid);
    forgetExecs(context, record);
    container.shim = shim;
    await settleFreezer(context, container);
    record.state.pid = main.pid;
    context.table.update(record, false);
    watchExit(context, container, shim);
    return true;
  }
  if (main?.state === "exited") {
    shim.release();
    return false; // its exit record is there: it is written before the state changes
  }
  await shim.kill(0, SIG.SIGKILL, true).catch(() => {});
  await shim.main.exited.catch(() => {});
  shim.release();
  await deleteByRuntime(context, record);
  await context.cgroups.remove(record.cgroupPath);
  return false;
}

/** Deletes what no container owns. */
async function removeStrangers(context: Context): Promise<void> {
  await removeStrangeCgroups(context);
  for (const name of readdirSync(context.layout.containers)) {
    if (context.containers.has(name)) continue;
    await stopStranger(join(context.layout.containers, name));
    await rename(join(context.layout.containers, name), join(context.layout.trash, `${name}.${Date.now()}`)).catch(unlessGone);
  }
  inBackground(context, "empty the trash", async () => {
    for (const name of readdirSync(context.layout.trash))
      await rm(join(context.layout.trash, name), { recursive: true, force: true });
  });
}

/** One that ends while the engine starts, and goes with its end, is thrown away by that. */
function unlessGone(error: unknown): void {
  if (!isErrno(error, "ENOENT")) throw error;
}

/** Groups whose container does not run, made by an engine with either driver. */
async function removeStrangeCgroups(context: Context): Promise<void> {
  const { cgroups, cgroupRoots, containers } = context;
  const remove = (path: string) => cgroups.remove(path).catch((error: unknown) => context.log(`remove cgroup ${path}: ${error}`));
  for (const root of [cgroupRoots.own, cgroupRoots.other]) {
    const groups = cgroups.children(root);
    const strange = groups.filter((path) => !containers.get(containerOf(path) ?? "")?.isUp);
    for (const path of strange) await remove(path);
    if (root === cgroupRoots.other && groups.length > 0 && strange.length === groups.length) await remove(root);
  }
}

/** Ends a shim whose container has no record. */
async function stopStranger(directory: string): Promise<void> {
  const shim = await Shim.connect(directory).catch(() => null);
  if (!shim) return;
  await shim.kill(0, SIG.SIGKILL, true).catch(() => {});
  await Promise.race([shim.main.exited.catch(() => {}), Bun.sleep(5000)]);
  shim.release();
}
