import type { Caller } from "../api/control/client.ts";
import type { TerminalSize } from "../api/control/protocol.ts";
import type { Selected } from "../contexts/contexts.ts";
import { UsageError } from "./errors.ts";

/** Where a command writes. A promise: wait for it before writing more. */
export interface Sink {
  write(chunk: Uint8Array | string): Promise<void>;
}

/** The terminal this process was started from; `src/main.ts` makes it of system calls. */
export interface Terminal {
  isTerminal(fd: number): boolean;
  /** Undefined if `fd` is no terminal or does not say. */
  size(fd: number): TerminalSize | undefined;
  /** Raw mode; gives back what restores the former mode, to be called any number of times. */
  raw(fd: number): () => void;
}

/** How this process hears of signals. */
export interface Signals {
  /** Calls `listener` until the returned function is called. */
  on(name: string, listener: () => void): () => void;
}

/** What an engine is started with. */
export interface EngineFlags {
  /** Paths of engine.toml, and of a daemon.json of Docker's. */
  readonly config: string | undefined;
  readonly daemonJson: string | undefined;
  /** OCI runtimes: name -> path. */
  readonly runtimes: Readonly<Record<string, string>>;
  readonly defaultRuntime: string | undefined;
  readonly cgroupDriver: string | undefined;
  /** Path of registries.toml. */
  readonly registries: string | undefined;
  /** Path of policy.toml. */
  readonly policy: string | undefined;
  /** Directories of CNI networks and, separated by colons, of plugins; seconds that a plugin may take. */
  readonly cniConfigDir: string | undefined;
  readonly cniBinDir: string | undefined;
  readonly cniTimeout: string | undefined;
  /** Path of the socket of Docker's API, or "none"; absent: below the run directory. */
  readonly dockerSocket: string | undefined;
  /** Path of another one, at which that API only tells, or "none". */
  readonly readOnlySocket: string | undefined;
  /** Where that API is on TCP: "tcp://HOST:PORT", separated by commas; and the paths of the certificates it then wants. */
  readonly dockerHost: string | undefined;
  readonly tlsCa: string | undefined;
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
}

/** Everything a command touches outside itself. */
export interface Context {
  /** Data root and run directory of the engine, absolute. */
  readonly root: string;
  readonly run: string;
  /** Where the engine is. Throws what keeps that from being known: a context that is not there. */
  readonly selected: Selected;
  /** The engine's control socket; an address where it is elsewhere. */
  readonly socket: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  readonly stdout: Sink;
  readonly stderr: Sink;
  stdin(): ReadableStream<Uint8Array>;
  readonly signals: Signals;
  terminal(): Promise<Terminal>;
  /** Calls the engine; starts one when none answers. */
  readonly call: Caller;
  /** Calls the engine that runs. Throws EngineUnreachable. */
  readonly callRunning: Caller;
  /** Starts an engine in the background unless one answers. True if it did. What is not given the environment says. */
  startEngine(flags?: EngineFlags): Promise<boolean>;
  /** Ends this process at once. */
  exit(code: number): never;
  /** Whoever has started this process and wants to hear of it, sd_notify(3); nobody where there is none. */
  serviceManager(): Promise<{ ready(status: string): void; stopping(): void }>;
  /** Serves as the engine until it is stopped. */
  serveEngine(flags: EngineFlags): Promise<void>;
  /** Looks at what an engine with these flags would be set to. Throws what is wrong with it. */
  checkEngine(flags: EngineFlags): Promise<void>;
  /** Answers containers' questions for names, below the run directory, as long as one needs that. */
  serveResolver(): Promise<void>;
}

/** Whether lines at `fd` can be written over. */
export const isDrawable = async (context: Pick<Context, "env" | "terminal">, fd: 1 | 2): Promise<boolean> =>
  context.env.TERM !== "dumb" && (await context.terminal()).isTerminal(fd);

/** The engine is on another host: paths of this one mean nothing to it. */
export const isRemote = ({ selected }: Pick<Context, "selected">): boolean => selected.endpoint.kind === "ssh";

/** Throws UsageError for an engine on another host. `what`: as in "engine.log", something that is looked for here. */
export function localOnly(context: Pick<Context, "selected">, what: string): void {
  if (isRemote(context)) throw new UsageError(`${what} would be one of the engine's host, not of this one: log in there`);
}

/** Writes one line. */
export const line = (sink: Sink, text: string): Promise<void> => sink.write(`${text}\n`);
