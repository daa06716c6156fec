import type { CallInput } from "../api/control/connection.ts";
import { OnggiError } from "../lib/errors.ts";
import type { TerminalSize } from "./options.ts";
import { Output } from "./output.ts";
import { until } from "./until.ts";

/** What a process is written to: text, bytes, or either as they come. */
export type InputData = string | Uint8Array | AsyncIterable<string | Uint8Array> | ReadableStream<Uint8Array>;

/** How long a process that is left is waited for, in milliseconds. */
const LEAVE_MS = 2000;

const encoder = new TextEncoder();

/** The standard input of a process. */
export class Input {
  readonly #input: CallInput;
  /** The process has ended. */
  readonly #over: Promise<unknown>;
  #ended = false;

  private constructor(input: CallInput, over: Promise<unknown>) {
    this.#input = input;
    this.#over = over;
  }

  /** @internal */
  static of(input: CallInput, over: Promise<unknown>): Input {
    return new Input(input, over);
  }

  /** Resolves when more may be written. What is written after the process has ended is dropped. */
  async write(data: string | Uint8Array): Promise<void> {
    if (this.#ended) throw new OnggiError("input_ended", "the standard input of this process has been ended");
    await this.#input.stdin(typeof data === "string" ? encoder.encode(data) : data);
  }

  /** The end of the input; with data, after that, or when the process has ended. Once is enough. */
  async end(data?: InputData): Promise<void> {
    if (data !== undefined) await this.#writeAll(data);
    if (this.#ended) return;
    this.#ended = true;
    this.#input.endStdin();
  }

  /** As a web stream; closing it ends the input. */
  stream(): WritableStream<Uint8Array> {
    return new WritableStream<Uint8Array>({ write: (chunk) => this.write(chunk), close: () => this.end() });
  }

  async #writeAll(data: InputData): Promise<void> {
    if (typeof data === "string" || data instanceof Uint8Array) return this.write(data);
    for await (const chunk of until(this.#over, data as AsyncIterable<string | Uint8Array>)) await this.write(chunk);
  }
}

/**
 * A process with its streams: a command in a container (`spawn`), or the container's first one (`attach`). Leaving the scope of
 * `await using` kills a command; the first process is left running.
 *
 *     await using shell = await container.spawn(["sh"]);
 *     await shell.stdin.end("echo hello\n");
 *     console.log(await shell.stdout.text(), await shell.exited);
 */
export class Process implements AsyncDisposable {
  readonly stdin: Input;
  readonly stdout: Output;
  /** Empty where the process has a terminal. */
  readonly stderr: Output;
  /** On the host; 0 where it is not known. */
  readonly pid: number;
  /** Its exit code, once it has ended and all of its output has come. Rejects where the engine or the container goes first. */
  readonly exited: Promise<number>;
  readonly #control: ProcessControl;

  private constructor(control: ProcessControl) {
    this.#control = control;
    this.stdin = Input.of(control.input, control.exited);
    this.stdout = control.stdout;
    this.stderr = control.stderr;
    this.pid = control.pid;
    this.exited = control.exited;
  }

  /** @internal */
  static of(control: ProcessControl): Process {
    return new Process(control);
  }

  /** Sends it a signal, "SIGTERM". */
  signal(name: string): void {
    this.#control.input.signal(name);
  }

  /** Of its terminal. */
  resize(size: TerminalSize): void {
    this.#control.input.resize(size);
  }

  /** Leaves it running, without its streams; they end, and `exited` resolves with 0. */
  detach(): void {
    this.#control.input.detach();
  }

  /** Kills a command and waits for its end; of a container's first process it takes leave. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#control.leave();
    await this.exited.catch(() => {});
  }
}

/** @internal */
export interface ProcessControl {
  readonly input: CallInput;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly pid: number;
  readonly exited: Promise<number>;
  readonly leave: () => void;
}

/** @internal The call that a process is: `exec` or `attach`, and what leaving it does. */
export interface ProcessCall {
  readonly run: (handlers: Handlers, signal: AbortSignal) => Promise<{ exitCode: number; detached?: boolean }>;
  readonly abort: (input: CallInput) => void;
  /** It runs once the call says so, or once the connection is made. */
  readonly runsWhen: "told" | "opened";
  readonly signal?: AbortSignal | undefined;
}

interface Handlers {
  readonly item: (item: { pid: number }) => void;
  readonly opened: (input: CallInput) => void;
  readonly stdout: (chunk: Uint8Array) => Promise<void> | undefined;
  readonly stderr: (chunk: Uint8Array) => Promise<void> | undefined;
}

/** @internal Makes the call, and resolves when the process runs. Throws what the call throws before that. */
export async function openProcess(call: ProcessCall): Promise<Process> {
  const stdout = Output.make();
  const stderr = Output.make();
  const { signal } = call;
  signal?.throwIfAborted();
  const cut = new AbortController();
  let input: CallInput | undefined;
  let runs: (pid: number) => void = () => {};
  const running = new Promise<number>((resolve) => {
    runs = resolve;
  });
  const handlers: Handlers = {
    item: ({ pid }) => runs(pid),
    opened: (given) => {
      input = given;
      if (call.runsWhen === "opened") runs(0);
    },
    stdout: (chunk) => stdout.sink.push(chunk),
    stderr: (chunk) => stderr.sink.push(chunk),
  };
  const end = (failure?: { readonly error: unknown }): void => {
    for (const { sink } of [stdout, stderr]) sink.end(failure);
  };
  const exited = call.run(handlers, cut.signal).then(
    ({ exitCode }) => {
      signal?.throwIfAborted();
      end();
      return exitCode;
    },
    (error: unknown) => {
      const failure = signal?.aborted ? signal.reason : error;
      end({ error: failure });
      throw failure;
    },
  );
  // whoever wants to know awaits it
  exited.catch(() => {}).finally(() => signal?.removeEventListener("abort", aborted));
  // outputs end first: one that is full must not hold the end of the process back
  const leave = (failure?: { readonly error: unknown }): void => {
    end(failure);
    if (!input) {
      cut.abort(failure?.error);
      return;
    }
    call.abort(input);
    // one that is frozen does not end: its caller must not wait for that
    const timer = setTimeout(() => cut.abort(new OnggiError("connection_lost", "the process did not end in time")), LEAVE_MS);
    exited.catch(() => {}).finally(() => clearTimeout(timer));
  };
  const aborted = (): void => leave({ error: signal?.reason });
  signal?.addEventListener("abort", aborted, { once: true });
  const pid = await Promise.race([running, exited.then(() => 0)]);
  return Process.of({ input: input as CallInput, stdout: stdout.output, stderr: stderr.output, pid, exited, leave });
}
