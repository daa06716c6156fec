import { OnggiError } from "../lib/errors.ts";
import { ShimGone } from "../native/shim.ts";
import { SIG } from "../sys/constants.ts";
import type { Container } from "./container.ts";
import { type Context, inBackground } from "./context.ts";
import { markStopped, stopRestarting } from "./hold-down.ts";
import { describe } from "./list.ts";
import { unpauseContainer } from "./pause.ts";

/** A signal's number by name ("SIGTERM", "term") or number ("15"). Throws invalid_signal. */
export function signalNumber(text: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : undefined;
  if (number !== undefined && number > 0 && number <= 64) return number;
  const name = text.toUpperCase();
  const known = (SIG as Record<string, number>)[name.startsWith("SIG") ? name : `SIG${name}`];
  if (known !== undefined) return known;
  const realtime = /^(?:SIG)?RT(MIN|MAX)(?:([+-])(\d+))?$/.exec(name);
  if (realtime) {
    const base = realtime[1] === "MIN" ? 34 : 64;
    const value = base + Number(`${realtime[2] ?? "+"}${realtime[3] ?? 0}`);
    if (value >= 34 && value <= 64) return value;
  }
  throw new OnggiError("invalid_signal", `no such signal: ${text}; give a name such as TERM or a number from 1 to 64`);
}

/** Sends a signal to the container's first process. SIGKILL to a paused container reaches it at once. */
export async function signalProcess(context: Context, container: Container, signal: number): Promise<void> {
  const { shim } = container;
  if (!container.isUp || !shim) throw new OnggiError("not_running", `container ${container.name} is not running`);
  try {
    await shim.kill(0, signal);
  } catch (error) {
    // it ended before the signal, or of it and faster than the shim could say so: its exit is on the way or recorded; a shim
    // that is gone leaves its exit record, or nothing to signal
    const refused = error instanceof OnggiError && error.code === "shim_refused";
    if (container.shim === shim && !refused && !(error instanceof ShimGone)) throw error;
  }
  if (signal === SIG.SIGKILL && container.record.state.status === "paused") {
    // a frozen process dies only once it thaws (cgroup v1)
    inBackground(context, `thaw ${container.id}`, () => context.cgroups.freeze(container.record.cgroupPath, false));
  }
}

/** Seconds in which a process that was sent SIGKILL ends, unless a device or a file system holds it. */
const KILLED_WITHIN = 10;

/**
 * A signal that ends a container, SIGKILL or its stop signal, keeps its restart policy from starting it again. SIGKILL: returns once its
 * exit is recorded, as Docker's kill does. Throws `kill_timeout`.
 */
export async function killContainer(context: Context, container: Container, signal = "KILL"): Promise<void> {
  const number = signalNumber(signal);
  if (number === SIG.SIGKILL || number === stopSignal(context, container)) {
    if (await stopRestarting(context, container)) return;
    if (container.isUp) markStopped(context, container);
  }
  const exit = container.nextExit();
  await signalAndTell(context, container, number);
  if (number !== SIG.SIGKILL || !container.isUp || (await within(exit, KILLED_WITHIN)) !== undefined) return;
  const why = `container ${container.name} has not ended ${KILLED_WITHIN} s after SIGKILL`;
  throw new OnggiError("kill_timeout", `${why}: the kernel waits for a device or a file system of its`);
}

/** As `signalProcess`, and an event tells of it. */
export async function signalAndTell(context: Context, container: Container, number: number): Promise<void> {
  await signalProcess(context, container, number);
  context.events.emit("container", "kill", container.id, { ...describe(container.record), signal: String(number) });
}

/** What asks it to end. */
const stopSignal = (context: Context, container: Container): number =>
  signalNumber(container.record.request.stopSignal ?? imageStopSignal(context, container) ?? "TERM");

const within = <T>(promise: Promise<T>, seconds: number): Promise<T | undefined> => {
  if (seconds < 0) return promise;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(undefined), seconds * 1000);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
};

/**
 * Asks the container to end: its stop signal, `timeout` seconds of grace (-1: for ever), SIGKILL. Returns once its exit is
 * recorded; at once for one that does not run. Its restart policy does not start it again; one that is restarting stays down.
 */
export async function stopContainer(context: Context, container: Container, signal?: string, timeout?: number): Promise<void> {
  const number = signal === undefined ? stopSignal(context, container) : signalNumber(signal);
  if (await stopRestarting(context, container)) {
    context.events.emit("container", "stop", container.id, describe(container.record));
    return;
  }
  if (!container.isUp) return;
  markStopped(context, container);
  await endContainer(context, container, number, timeout);
  context.events.emit("container", "stop", container.id, describe(container.record));
}

/** As `stopContainer`, but its restart policy has its say. */
export async function endContainer(
  context: Context,
  container: Container,
  signal = stopSignal(context, container),
  timeout?: number,
): Promise<void> {
  const { request } = container.record;
  const exit = container.nextExit();
  await signalAndTell(context, container, signal);
  if (container.record.state.status === "paused") await unpauseContainer(context, container);
  if ((await within(exit, timeout ?? request.stopTimeout ?? 10)) === undefined) {
    if (container.isUp) await signalAndTell(context, container, SIG.SIGKILL);
    if ((await within(exit, KILLED_WITHIN)) === undefined && container.isUp)
      await context.cgroups.kill(container.record.cgroupPath);
    await exit;
  }
}

function imageStopSignal(context: Context, container: Container): string | undefined {
  if (container.record.imageId === "") return undefined;
  return context.images.get(container.record.imageId).config.config.StopSignal;
}
