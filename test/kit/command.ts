/**
 * Commands that a test runs: with a limit of time, everything they wrote kept, on pipes or on a terminal of their own; and
 * `CommandLine`, one program with the flags and variables that lead it to a test's own daemon.
 */
import { constants } from "node:os";

/** Emulated machines are some ten times slower: every limit of time is multiplied by this. */
export const slowness = Number(process.env.ONGGI_SLOW ?? (process.env.ONGGI_IN_VM ? 5 : 1));

export interface CallOptions {
  readonly stdin?: string | Uint8Array | ReadableStream<Uint8Array>;
  /** Milliseconds, before `slowness`; then SIGKILL and an error. Default 20,000. */
  readonly timeout?: number;
  /** Added to the variables of this process. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export interface CallResult {
  readonly stdout: string;
  readonly stderr: string;
  /** 128 + the signal when the command itself was killed. */
  readonly code: number;
  readonly ms: number;
}

/** A command that goes on while the test does something else. */
export interface RunningCall {
  readonly process: Bun.Subprocess<"pipe", "pipe", "pipe">;
  /** What has come so far. */
  output(): string;
  errors(): string;
  /** Resolves when `output()` holds the text or matches; rejects after `ms` (default 10,000) or at the end without it. */
  until(text: string | RegExp, ms?: number): Promise<void>;
  readonly done: Promise<CallResult>;
}

/** A command on a terminal of its own. */
export interface TerminalCall {
  screen(): string;
  write(text: string): void;
  resize(columns: number, rows: number): void;
  until(text: string | RegExp, ms?: number): Promise<void>;
  /** Exit status. */
  readonly done: Promise<number>;
  kill(): void;
}

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** What to type into a shell to have a program in the foreground, and what is seen once Ctrl-C would reach it and not the shell. */
export const IN_FOREGROUND = { typed: "sh -c 'echo in \"\"foreground; exec sleep 500'\n", seen: /in foreground\r*\n/ } as const;

/**
 * Resizes a terminal on which a shell waits for a command, until the shell's own terminal has that size. More than once: a
 * client that is not yet listening for changes when one comes does not hear of it.
 */
export async function followsSize(call: TerminalCall, columns: number, rows: number): Promise<void> {
  call.write(`until stty size | grep -q '^${rows} ${columns}'; do sleep 0.1; done; echo the size is "right"\n`);
  let settled = false;
  const right = call.until("the size is right").finally(() => {
    settled = true;
  });
  right.catch(() => {});
  while (!settled) {
    call.resize(columns, rows);
    await Bun.sleep(400);
    if (!settled) call.resize(columns + 1, rows + 1);
    await Bun.sleep(50);
  }
  await right;
}

/** Starts a command with pipes; its standard input stays open unless `stdin` is given. */
export function startCommand(words: readonly string[], options: CallOptions = {}): RunningCall {
  const started = performance.now();
  const child = Bun.spawn([...words], {
    ...(options.cwd && { cwd: options.cwd }),
    env: environment(options.env),
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  const limit = (options.timeout ?? 20_000) * slowness;
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, limit);
  const output = collect(child.stdout);
  const errors = collect(child.stderr);
  if (options.stdin !== undefined) void feed(child.stdin, options.stdin);
  const done = (async (): Promise<CallResult> => {
    await child.exited;
    // A daemon that inherited the pipe must not hold the test.
    await Promise.race([Promise.all([output.end, errors.end]), Bun.sleep(2000 * slowness)]);
    clearTimeout(timer);
    if (late) {
      throw new Error(`${words.join(" ")}: no end after ${limit} ms\nstdout: ${output.text()}\nstderr: ${errors.text()}`);
    }
    return { stdout: output.text(), stderr: errors.text(), code: statusOf(child), ms: performance.now() - started };
  })();
  // A test that does not await it must not die of it.
  done.catch(() => {});
  return {
    process: child,
    output: output.text,
    errors: errors.text,
    until: (text, ms) => waitFor(output.text, text, ms, child.exited),
    done,
  };
}

/** Starts a command on a new terminal of that size. */
export function startOnTerminal(
  words: readonly string[],
  options: Pick<CallOptions, "cwd" | "env"> = {},
  size: Size = { columns: 80, rows: 24 },
): TerminalCall {
  let screen = "";
  const decoder = new TextDecoder();
  const child = Bun.spawn([...words], {
    ...(options.cwd && { cwd: options.cwd }),
    env: environment({ TERM: "xterm", ...options.env }),
    terminal: {
      cols: size.columns,
      rows: size.rows,
      data: (_terminal, data) => {
        screen += decoder.decode(data, { stream: true });
      },
    },
  });
  return {
    screen: () => screen,
    write: (text) => void child.terminal!.write(text),
    resize: (columns, rows) => child.terminal!.resize(columns, rows),
    until: (text, ms) => waitFor(() => screen, text, ms, child.exited),
    done: child.exited.then(() => statusOf(child)),
    kill: () => child.kill("SIGKILL"),
  };
}

/** A program with the words and variables every call of it begins with. */
export class CommandLine {
  /** What every call begins with. */
  readonly words: readonly string[];
  readonly #options: CallOptions;
  readonly #running = new Set<{ kill(): void }>();

  constructor(words: readonly string[], options: Pick<CallOptions, "cwd" | "env" | "timeout"> = {}) {
    this.words = words;
    this.#options = options;
  }

  /** Runs it to its end, whatever that is. */
  run(args: readonly string[], options: CallOptions = {}): Promise<CallResult> {
    return this.spawn(args, { stdin: "", ...options }).done;
  }

  /** As `run`, throws unless it exits with 0; returns standard output without the last newline. */
  async ok(args: readonly string[], options: CallOptions = {}): Promise<string> {
    const { stdout, stderr, code } = await this.run(args, options);
    if (code !== 0) throw new Error(`${this.#name(args)} exited with ${code}\nstdout: ${stdout}\nstderr: ${stderr}`);
    return stdout.replace(/\n$/, "");
  }

  spawn(args: readonly string[], options: CallOptions = {}): RunningCall {
    const call = startCommand([...this.words, ...args], this.#merged(options));
    this.#track({ kill: () => call.process.kill("SIGKILL") }, call.process.exited);
    return call;
  }

  terminal(args: readonly string[], size?: Size): TerminalCall {
    const call = startOnTerminal([...this.words, ...args], this.#options, size);
    this.#track(call, call.done);
    return call;
  }

  /** Kills what a failed test left running. */
  killRunning(): void {
    for (const call of this.#running) call.kill();
  }

  #merged(options: CallOptions): CallOptions {
    return { ...this.#options, ...options, env: { ...this.#options.env, ...options.env } };
  }

  #track(call: { kill(): void }, end: Promise<unknown>): void {
    this.#running.add(call);
    void end.then(() => this.#running.delete(call));
  }

  #name(args: readonly string[]): string {
    return `${this.words[0]!.replace(/^.*\//, "")} ${args.join(" ")}`;
  }
}

const environment = (extra: Readonly<Record<string, string>> = {}): Record<string, string> => ({
  ...(process.env as Record<string, string>),
  ...extra,
});

function statusOf(child: Pick<Bun.Subprocess, "exitCode" | "signalCode">): number {
  if (child.exitCode !== null) return child.exitCode;
  return 128 + (constants.signals[child.signalCode as NodeJS.Signals] ?? 0);
}

function collect(stream: ReadableStream<Uint8Array>): { text: () => string; end: Promise<void> } {
  const decoder = new TextDecoder();
  let text = "";
  const end = (async () => {
    for await (const chunk of stream) text += decoder.decode(chunk, { stream: true });
  })();
  return { text: () => text, end };
}

async function feed(sink: Bun.FileSink, input: string | Uint8Array | ReadableStream<Uint8Array>): Promise<void> {
  try {
    if (typeof input === "string" || input instanceof Uint8Array) {
      if (input.length > 0) sink.write(input);
    } else {
      for await (const chunk of input) {
        sink.write(chunk);
        await sink.flush();
      }
    }
    await sink.end();
  } catch {
    // the command ended before it had read everything
  }
}

async function waitFor(text: () => string, wanted: string | RegExp, ms = 10_000, end: Promise<unknown>): Promise<void> {
  const deadline = Date.now() + ms * slowness;
  const matches = () => (typeof wanted === "string" ? text().includes(wanted) : wanted.test(text()));
  let ended = false;
  void end.then(async () => {
    await Bun.sleep(300);
    ended = true;
  });
  while (!matches()) {
    if (ended || Date.now() > deadline)
      throw new Error(`${wanted} did not appear${ended ? " before the end" : ""}; output so far:\n${text()}`);
    await Bun.sleep(5);
  }
}
