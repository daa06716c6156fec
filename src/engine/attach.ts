/** Joins a client's streams to a container's. */
import { OnggiError } from "../lib/errors.ts";
import type { Attachment, AttachOptions, Shim } from "../native/shim.ts";
import type { Container, ExitStatus } from "./container.ts";
import type { Context } from "./context.ts";
import { describe } from "./list.ts";
import { signalNumber } from "./stop.ts";

export interface Size {
  rows: number;
  columns: number;
}

/** A client's end, whatever protocol it speaks. */
export interface ClientStreams {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Forward the signals the client sends to the process. */
  readonly sigProxy: boolean;
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal;
  /** Takes output; a returned promise holds further output back. */
  output(stream: "stdout" | "stderr", data: Uint8Array): void | Promise<void>;
  /** What the client types; ends at its end of input. Iterated once, and only if `stdin`. */
  readonly input: AsyncIterable<Uint8Array>;
  onResize(listener: (size: Size) => void): void;
  onSignal(listener: (signal: string) => void): void;
  onDetach(listener: () => void): void;
}

/** What the shim needs to know to serve a client. */
export const attachOptions = (client: ClientStreams, lossless: boolean): AttachOptions => ({
  stdin: client.stdin,
  stdout: client.stdout,
  stderr: client.stderr,
  lossless,
  onOutput: (stream, data) => client.output(stream, data),
  onDropped: (bytes) =>
    client.output(
      "stderr",
      new TextEncoder().encode(`\r\nonggi: ${bytes} bytes of output skipped, too slow to follow; the log has it\r\n`),
    ),
});

/** The client's typing to the process, until either ends. */
async function pump(client: ClientStreams, attachment: Attachment): Promise<void> {
  try {
    for await (const chunk of client.input) await attachment.write(chunk);
    await attachment.closeInput();
  } catch {
    // the process has ended; what was typed has nobody to read it
  }
}

/**
 * Serves a client until the process's output ends or the client detaches or goes away; says which. The process is not
 * affected by a client that goes.
 */
export function serve(shim: Shim, attachment: Attachment, client: ClientStreams): Promise<"ended" | "detached"> {
  const { number } = attachment.process;
  client.onResize(({ rows, columns }) => shim.resize(number, rows, columns));
  if (client.sigProxy) client.onSignal((signal) => void shim.kill(number, signalNumber(signal)).catch(() => {}));
  if (client.stdin) void pump(client, attachment);
  return new Promise((resolve) => {
    const leave = () => {
      attachment.detach();
      resolve("detached");
    };
    client.onDetach(leave);
    if (client.signal.aborted) leave();
    client.signal.addEventListener("abort", leave, { once: true });
    void attachment.ended.then(() => resolve("ended"));
  });
}

/** Attaches to a running container as one of any number of observers; undefined when the client detached. */
export async function attachContainer(
  context: Context,
  container: Container,
  client: ClientStreams,
  size?: Size,
): Promise<ExitStatus | undefined> {
  const { shim, record } = container;
  if (!shim || !container.isUp) {
    throw new OnggiError(
      "not_running",
      `cannot attach to container ${record.name}: it is ${record.state.status}; start it first`,
    );
  }
  const exit = container.nextExit();
  const attachment = await shim.attach(0, attachOptions({ ...client, stdin: client.stdin && !!record.request.openStdin }, false));
  if (size) shim.resize(0, size.rows, size.columns);
  context.events.emit("container", "attach", record.id, describe(record));
  const how = await serve(shim, attachment, client);
  if (how === "ended") return exit;
  context.events.emit("container", "detach", record.id, describe(record));
  return undefined;
}

/**
 * Attaches to a container that runs, or to its next run from the first byte on. Resolves when the output has ended, the start has
 * failed, the client has left, or the container is removed without having been started.
 */
export async function attachNextRun(context: Context, container: Container, client: ClientStreams, size?: Size): Promise<void> {
  if (container.shim && container.isUp) {
    await attachContainer(context, container, client, size);
    return;
  }
  const { record } = container;
  const wanted = { ...client, stdin: client.stdin && !!record.request.openStdin };
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const arrive = async (shim: Shim): Promise<void> => {
    container.arrivals.delete(arrive);
    const attachment = await shim.attach(0, attachOptions(wanted, true));
    context.events.emit("container", "attach", record.id, describe(record));
    serve(shim, attachment, { ...wanted, input: client.input }).then((how) => {
      if (how === "detached") context.events.emit("container", "detach", record.id, describe(record));
      resolve();
    }, reject);
  };
  const leave = () => {
    if (container.arrivals.delete(arrive)) resolve();
  };
  container.arrivals.add(arrive);
  void container.removal().then(leave);
  if (client.signal.aborted) leave();
  client.signal.addEventListener("abort", leave, { once: true });
  await promise;
}
