/** Somebody wants a container to be down: its restart policy has no say until it is started again. */
import type { Container } from "./container.ts";
import { type Context, note } from "./context.ts";
import { next } from "./state.ts";

/**
 * To be called before it is signalled. What it says survives the engine: a policy does not start it again because the engine died
 * before it had ended. On a full disk it does not, and is stopped all the same: removing it gives space back.
 */
export function markStopped(context: Context, { record }: Container): void {
  if (record.stoppedByHand || !record.request.restart) return;
  record.stoppedByHand = true;
  note(context, record, true);
}

/** A start to come does not come: the container is what it was when it ended. To be called under its lock. */
export function giveUpRestart(context: Context, container: Container): void {
  const { record } = container;
  context.restarts.cancel(record.id);
  record.state.status = next(record.name, record.state.status, "giveUp");
  note(context, record, true);
  container.tellExit();
}

/** Ends the restarting of a container; whether it was. One that is just being started is waited for, and is up then. */
export function stopRestarting(context: Context, container: Container): Promise<boolean> {
  return container.lock.run(() => {
    if (container.record.state.status !== "restarting") return false;
    markStopped(context, container);
    giveUpRestart(context, container);
    return true;
  });
}
