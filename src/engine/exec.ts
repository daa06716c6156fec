import { OnggiError } from "../lib/errors.ts";
import { SetupFailed, type Shim, ShimGone, type ShimProcess } from "../native/shim.ts";
import { encode } from "../plan/encode.ts";
import type { Plan } from "../plan/ops.ts";
import { SIG } from "../sys/constants.ts";
import { attachOptions, type ClientStreams, type Size, serve } from "./attach.ts";
import type { Container } from "./container.ts";
import type { Context } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { foreignExec } from "./foreign-exec.ts";
import { isAlive } from "./kill-session.ts";
import { describe } from "./list.ts";
import { execPlan } from "./prepare.ts";
import { inTime } from "./runtime-command.ts";
import { explainFailure } from "./start.ts";
import type { ExecRequest } from "./types.ts";

const notRunning = ({ name, state }: ContainerRecord) =>
  new OnggiError("not_running", `cannot run in container ${name}: it is not running (${state.status}); start it first`);

interface Prepared {
  readonly plan: Plan;
  /** A failure in words. */
  readonly explain: (error: unknown) => unknown;
  readonly done: () => void;
}

function prepare(context: Context, container: Container, request: ExecRequest, size: Size | undefined): Prepared {
  const { record } = container;
  const doing = `run in container ${record.name}`;
  if (record.runtime) {
    const { plan, explain, done } = foreignExec(context, container, record.runtime, request, size);
    return { plan, explain: (error) => explain(doing, error) ?? error, done };
  }
  const plan = execPlan(context, container, request, size);
  const explain = (error: unknown) => {
    if (!(error instanceof SetupFailed)) return error;
    return explainFailure(doing, plan, request.command[0] as string, error);
  };
  return { plan, explain, done: () => {} };
}

/** The container's first process ends, and with it whatever runs in it or is about to: the word of it may still be on its way. */
const isEnding = ({ state }: ContainerRecord, shim: Shim): boolean => shim.main.hasExited || !isAlive(state.pid);

/** A further process that runs. */
export interface StartedExec {
  readonly process: ShimProcess;
  /** On the host. */
  readonly pid: number;
  /** Its exit code. Raises no unhandled rejection when nobody waits for it. */
  readonly exited: Promise<number>;
  /** The client has all of its output, or has left; absent: it wanted none. */
  readonly served?: Promise<"ended" | "detached">;
}

/**
 * Starts a further process in a running container. It lives and dies with the container, whatever the client does. `numbered` is told
 * its number before it runs: one that does not run yet does not outlive the engine. `id` is that of an exec that was made before.
 */
export async function startExec(
  context: Context,
  container: Container,
  request: ExecRequest,
  client: ClientStreams,
  {
    size,
    numbered,
    id,
  }: { readonly size?: Size | undefined; readonly numbered?: (number: number) => void; readonly id?: string } = {},
): Promise<StartedExec> {
  const { record, shim } = container;
  if (!shim || !container.isUp) {
    throw notRunning(record);
  }
  if (record.state.status === "paused") {
    throw new OnggiError("paused", `cannot run in container ${record.name}: it is paused; unpause it first`);
  }
  if (request.command.length === 0) throw new OnggiError("no_command", "no command was given to run in the container");
  const { plan, explain, done } = prepare(context, container, request, size);
  const watched = request.detach ? undefined : attachOptions({ ...client, stdin: client.stdin && !!request.openStdin }, true);
  const { process, attachment } = await shim.exec(encode(plan), watched).catch((error: unknown) => {
    done();
    // the first process ended between the look at it and this
    throw error instanceof ShimGone || isEnding(record, shim) ? notRunning(record) : error;
  });
  const served = attachment ? serve(shim, attachment, client) : undefined;
  let pid = 0;
  try {
    numbered?.(process.number);
    shim.start(process.number);
    ({ pid } = await (record.runtime ? inTime(`${record.runtime.name} exec`, process.started) : process.started));
  } catch (error) {
    await shim.kill(process.number, SIG.SIGKILL).catch(() => {}); // a runtime that does not end
    throw isEnding(record, shim) ? notRunning(record) : explain(error);
  } finally {
    done();
  }
  const command = request.command.join(" ");
  const attributes = { ...describe(record), execID: id ?? String(process.number), command };
  for (const action of id === undefined ? ["exec_create", "exec_start"] : ["exec_start"])
    context.events.emit("container", `${action}: ${command}`, record.id, attributes);
  void served?.then((how) => {
    if (how === "detached") context.events.emit("container", "exec_detach", record.id, attributes);
  });
  const ended = process.exited.then(
    ({ exitCode }) => exitCode,
    (error: unknown) => {
      if (error instanceof ShimGone && shim.main.hasExited) return 128 + SIG.SIGKILL;
      throw error;
    },
  );
  const exited = ended.then((exitCode) => {
    context.events.emit("container", "exec_die", record.id, { ...attributes, exitCode: String(exitCode) });
    return exitCode;
  });
  exited.catch(() => {});
  return { process, pid, exited, ...(served ? { served } : {}) };
}

export interface ExecOptions {
  readonly size?: Size | undefined;
  /** Told its pid on the host once it runs. */
  readonly started?: (pid: number) => void;
}

/**
 * Runs a further process in a running container. Resolves with its exit code once its output has been passed on; with
 * undefined when the client detached or wanted none.
 */
export async function execInContainer(
  context: Context,
  container: Container,
  request: ExecRequest,
  client: ClientStreams,
  { size, started }: ExecOptions = {},
): Promise<number | undefined> {
  const { pid, exited, served } = await startExec(context, container, request, client, { size });
  started?.(pid);
  return (await served) === "ended" ? exited : undefined;
}
