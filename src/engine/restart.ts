/** Starts by restart policy: after an end, and when the engine starts. */
import { messageOf } from "../lib/errors.ts";
import { Limiter } from "../lib/limiter.ts";
import { NEVER } from "../lib/time.ts";
import type { Container } from "./container.ts";
import { type Context, findContainer, inBackground, note } from "./context.ts";
import { giveUpRestart } from "./hold-down.ts";
import { describe } from "./list.ts";
import { containerOfMode, joinedModes } from "./pid-mode.ts";
import { afterExit, atEngineStart } from "./restart-policy.ts";
import { startContainer } from "./start.ts";
import { StartFailed } from "./start-failed.ts";
import { next } from "./state.ts";
import { stopContainer } from "./stop.ts";

/** So many containers start at a time when an engine starts. */
const AT_A_TIME = 8;

/** Its turn has come. A start that fails is tried again as a run that failed is, unless it is the program that cannot be run. */
export async function startByPolicy(context: Context, container: Container): Promise<void> {
  const { record } = container;
  try {
    await startContainer(context, container, { byPolicy: true });
  } catch (error) {
    context.log(`restart ${record.name}: ${messageOf(error)}`);
    await container.lock.run(() => {
      if (record.state.status !== "restarting" || context.closing) return;
      const hopeless = error instanceof StartFailed && error.exitCode !== 125;
      const then = hopeless ? null : afterExit(record, { exitCode: record.state.exitCode, ranMs: 0 });
      if (!then) return giveUpRestart(context, container);
      Object.assign(record, then);
      note(context, record, false);
      context.restarts.after(record.id, then.restartDelayMs);
    });
  }
}

/** Containers whose namespaces it joins: they must run first. */
function neededBy(context: Context, { record }: Container): Container[] {
  return joinedModes.flatMap((mode) => {
    const reference = containerOfMode(record.request[mode]);
    if (reference === undefined) return [];
    try {
      return [findContainer(context, reference)];
    } catch {
      return []; // its own start says so
    }
  });
}

/**
 * Starts what should run, in the background, once it is known what does: containers that were waiting for their next start, and
 * those that `always` and `unless-stopped` bring back. Whose namespaces another one joins goes first.
 */
export function restartAtEngineStart(context: Context): void {
  const due = new Set([...context.containers.values()].filter((container) => isDue(context, container)));
  context.restarts.begin();
  const limiter = new Limiter(AT_A_TIME);
  const started = new Map<Container, Promise<void>>();
  const start = (container: Container, above: readonly Container[]): Promise<void> => {
    const known = started.get(container);
    if (known) return known;
    const first = neededBy(context, container).filter((needed) => due.has(needed) && !above.includes(needed));
    const all = Promise.all(first.map((needed) => start(needed, [...above, container])));
    const starting = all.then(() => limiter.run(() => startByPolicy(context, container)));
    started.set(container, starting);
    return starting;
  };
  for (const container of due) inBackground(context, `restart ${container.name}`, () => start(container, []));
}

/** Whether it starts now; then it is `restarting`. */
function isDue(context: Context, { record }: Container): boolean {
  const { state } = record;
  if (state.status === "restarting") return true;
  const ended = (state.status === "exited" || state.status === "dead") && state.startedAt !== NEVER;
  if (!ended || !(record.resume || atEngineStart(record))) return false;
  delete record.resume;
  state.status = next(record.name, state.status, "restart");
  Object.assign(record, { restartCount: 0, restartDelayMs: 0 });
  note(context, record, false);
  return true;
}

/** Stops a container, if it runs, and starts it. One that removes itself stays. */
export async function restartContainer(context: Context, container: Container, signal?: string, timeout?: number): Promise<void> {
  container.keptAtExit = true;
  try {
    await stopContainer(context, container, signal, timeout);
  } finally {
    container.keptAtExit = false;
  }
  await startContainer(context, container);
  context.events.emit("container", "restart", container.id, describe(container.record));
}
