/**
 * A container as a service of systemd: `run --sdnotify`. The process stands for the container, whatever becomes of the engine: it passes
 * on what the container says, and ends as it ends.
 */
import { ConnectionLost, EngineUnreachable } from "../api/control/client.ts";
import type { ContainerRequest } from "../api/control/types.ts";
import { type Context, line } from "./context.ts";
import { type ImageFlags, withImage } from "./with-image.ts";

/** How often it is looked whether the engine is there again, or the container healthy, in milliseconds. */
const AGAIN_MS = 300;
/** How long what was said last is waited for when the container has ended. */
const LAST_WORDS_MS = 3000;

export type ReadyWhen = "started" | "healthy";

/** Gives the container's exit code. An engine is never started here: it would belong to this service and end with it. */
export async function runService(
  caller: Context,
  container: ContainerRequest,
  when: ReadyWhen,
  flags: ImageFlags,
): Promise<number> {
  const context: Context = { ...caller, call: caller.callRunning };
  const manager = await caller.serviceManager();
  const nothing = { stdin: false, stdout: false, stderr: false };
  const began = new Date().toISOString();
  const started = await withImage(context, container.image, flags, () =>
    context.callRunning("run", { container, detach: true, attach: nothing }, { item: (item) => warn(context, item) }),
  );
  const { id } = started;
  const ended = persist(() => context.callRunning("wait", { container: id, condition: "not-running" }));
  const stop = (): void => void persist(() => context.callRunning("stop", { container: id })).catch(() => {});
  const silent = ["SIGTERM", "SIGINT"].map((name) => context.signals.on(name, stop));
  const spoken = followLogs(context, id, began);
  const ready = (async () => {
    if (when === "healthy") await healthy(context, id, ended);
    manager.ready(`container ${id.slice(0, 12)}`);
  })();
  const { exitCode, error } = await ended;
  await Promise.race([spoken, Bun.sleep(LAST_WORDS_MS)]);
  await ready;
  manager.stopping();
  for (const silence of silent) silence();
  if (error) await line(context.stderr, error);
  return exitCode;
}

async function warn(context: Context, item: object): Promise<void> {
  for (const warning of "warnings" in item ? (item.warnings as string[]) : []) await line(context.stderr, `WARNING: ${warning}`);
}

/** Makes a call until an engine has answered it. */
async function persist<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const isAway = error instanceof ConnectionLost || (error instanceof EngineUnreachable && error.reason !== "EACCES");
      if (!isAway) throw error;
      await Bun.sleep(AGAIN_MS);
    }
  }
}

/** All of it once: an engine that comes back is asked for what was said since the former one went. */
async function followLogs(context: Context, id: string, began: string): Promise<void> {
  let since = began;
  const output = { stdout: context.stdout, stderr: context.stderr };
  try {
    await persist(async () => {
      try {
        await context.callRunning(
          "logs",
          { container: id, follow: true, since },
          { stdout: (chunk) => output.stdout.write(chunk), stderr: (chunk) => output.stderr.write(chunk) },
        );
      } finally {
        since = new Date().toISOString();
      }
    });
  } catch {
    // log driver none, or the container has gone
  }
}

/** Returns when it is healthy, and when it has ended. */
async function healthy(context: Context, id: string, ended: Promise<unknown>): Promise<void> {
  let over = false;
  void ended.finally(() => (over = true)).catch(() => {});
  while (!over) {
    const { health } = await persist(() => context.callRunning("inspect", { container: id }));
    if (health === null || health.status === "healthy") return;
    await Bun.sleep(AGAIN_MS);
  }
}
