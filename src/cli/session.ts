import type { CallHandlers, CallInput } from "../api/control/client.ts";
import type { AttachStreams, CallName, TerminalSize } from "../api/control/protocol.ts";
import { DEFAULT_DETACH_KEYS, DetachScanner, parseDetachKeys } from "../lib/detach-keys.ts";
import { messageOf } from "../lib/errors.ts";
import type { Context, Terminal } from "./context.ts";
import { UsageError } from "./errors.ts";

/** The foreground of `run`, `start`, `attach` and `exec`: this process's streams, terminal and signals as the container's. */

/** Signals passed on to a container that is not given what is typed: all that can be caught, but those that are about this process. */
const proxied = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGTERM", "SIGCONT"] as const;

/** Signals that end this process, and must not leave the terminal raw. */
const fatal = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGTERM: 15 } as const;

export interface SessionOptions {
  attach: AttachStreams;
  /** The container has a terminal. */
  tty: boolean;
  detachKeys: string | undefined;
  sigProxy: boolean;
}

export interface Session {
  /** Of the terminal on standard output. */
  readonly size: TerminalSize | undefined;
  handlers<K extends CallName>(): CallHandlers<K>;
  /** Gives the terminal back and stops listening. Idempotent. */
  end(): void;
}

/**
 * Prepares a session. Throws UsageError for wrong keys, and when a terminal is asked for but standard input is none.
 * The terminal becomes raw when the call has been opened, and is restored by `end`, on a signal, and when the process exits.
 */
export async function openSession(context: Context, options: SessionOptions): Promise<Session> {
  const keys = keysOf(options.detachKeys ?? context.env.ONGGI_DETACH_KEYS ?? DEFAULT_DETACH_KEYS);
  const terminal = options.tty ? await context.terminal() : undefined;
  if (terminal && options.attach.stdin && !terminal.isTerminal(0)) {
    throw new UsageError("-t with -i needs a terminal, and standard input is none: leave -t out");
  }
  return new RunningSession(context, options, keys, terminal);
}

function keysOf(text: string): Uint8Array {
  try {
    return parseDetachKeys(text);
  } catch (error) {
    throw new UsageError(`--detach-keys "${text}": ${messageOf(error)}`);
  }
}

class RunningSession implements Session {
  readonly size: TerminalSize | undefined;
  readonly #context: Context;
  readonly #options: SessionOptions;
  readonly #keys: Uint8Array;
  readonly #terminal: Terminal | undefined;
  #undo: (() => void)[] = [];

  constructor(context: Context, options: SessionOptions, keys: Uint8Array, terminal: Terminal | undefined) {
    this.#context = context;
    this.#options = options;
    this.#keys = keys;
    this.#terminal = terminal;
    this.size = terminal?.size(1) ?? terminal?.size(0);
  }

  handlers<K extends CallName>(): CallHandlers<K> {
    const { stdout, stderr } = this.#context;
    return {
      stdout: (chunk) => stdout.write(chunk),
      stderr: (chunk) => stderr.write(chunk),
      opened: (input) => this.#open(input),
    };
  }

  end(): void {
    for (const undo of this.#undo.splice(0).reverse()) undo();
  }

  #open(input: CallInput): void {
    const { attach, tty, sigProxy } = this.#options;
    if (this.#terminal) this.#ownTerminal(this.#terminal, input);
    // on a raw terminal ctrl-c is a byte for the container; everywhere else it is a signal to this process
    if (sigProxy && !(tty && attach.stdin)) for (const name of proxied) this.#on(name, () => input.signal(name));
    if (attach.stdin) void this.#feed(input, tty);
  }

  #ownTerminal(terminal: Terminal, input: CallInput): void {
    this.#on("SIGWINCH", () => {
      const size = terminal.size(1) ?? terminal.size(0);
      if (size) input.resize(size);
    });
    if (!this.#options.attach.stdin) return;
    this.#undo.push(terminal.raw(0));
    // a raw terminal sends no signals itself: these come from outside
    for (const [name, number] of Object.entries(fatal)) {
      this.#on(name, () => {
        this.end();
        this.#context.exit(128 + number);
      });
    }
  }

  #on(name: string, listener: () => void): void {
    this.#undo.push(this.#context.signals.on(name, listener));
  }

  async #feed(input: CallInput, tty: boolean): Promise<void> {
    const scanner = new DetachScanner(tty ? this.#keys : new Uint8Array(0));
    const reader = this.#context.stdin().getReader();
    this.#undo.push(() => void reader.cancel().catch(() => {}));
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const { pass, detached } = scanner.scan(value);
        if (pass.length > 0) await input.stdin(pass);
        if (detached) {
          input.detach();
          return;
        }
      }
    } catch {
      // a descriptor that is closed or cannot be read is at its end
    }
    input.endStdin();
  }
}

/** What a foreground command ends with, once the call has given its result. */
export async function finish(
  context: Context,
  result: { exitCode?: number; detached?: boolean; error?: string },
  tty: boolean,
): Promise<number> {
  if (result.detached) {
    if (tty) await context.stderr.write("read escape sequence\n");
    return 0;
  }
  if (result.error) await context.stderr.write(`onggi: ${result.error}\n`);
  return result.exitCode ?? 0;
}
