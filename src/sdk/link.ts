/** One engine, as the SDK's objects reach it: calls, the start of an engine that is not there, the session's lease. */
import { readFileSync } from "node:fs";
import { type CallHandlers, callOver, EngineUnreachable } from "../api/control/connection.ts";
import { addressOf, type Endpoint, parseEndpoint } from "../api/control/endpoint.ts";
import type { CallName, Calls } from "../api/control/protocol.ts";
import { sshTransport } from "../api/control/ssh.ts";
import { DEFAULT, selectEngine } from "../contexts/contexts.ts";
import { invalid } from "./errors.ts";
import { Lease, type LeaseReport } from "./lease.ts";
import { startEngine } from "./start-engine.ts";
import { type Connect, nodeTransport } from "./transport.ts";

export interface LinkOptions {
  readonly host?: string | undefined;
  readonly context?: string | undefined;
  readonly run?: string | undefined;
  readonly root?: string | undefined;
  readonly binary?: string | undefined;
  readonly start?: boolean | undefined;
}

/** Reasons to start an engine: nobody is there. */
const absent = new Set(["ENOENT", "ECONNREFUSED", "ECONNRESET"]);

/** How long what nobody wants any more is waited for, to be taken away, in milliseconds: the engine may be frozen. */
const PATIENCE = 3000;

/**
 * Makes something by a call that runs to its end: one that is cut off may have made it. Where `signal` was aborted meanwhile it is taken
 * away again, and the signal's reason is thrown.
 */
export async function making<T>(
  signal: AbortSignal | undefined,
  make: () => Promise<T>,
  undo: (made: T) => Promise<unknown>,
): Promise<T> {
  signal?.throwIfAborted();
  if (!signal) return make();
  const making = make().then(async (made) => {
    if (!signal.aborted) return made;
    // what cannot be taken away goes with the lease
    await undo(made).catch(() => {});
    throw signal.reason;
  });
  let timer: NodeJS.Timeout | undefined;
  let aborted = (): void => {};
  const late = new Promise<never>((_, reject) => {
    aborted = () => {
      timer = setTimeout(() => reject(signal.reason), PATIENCE);
    };
  });
  signal.addEventListener("abort", aborted, { once: true });
  try {
    return await Promise.race([making, late]);
  } finally {
    signal.removeEventListener("abort", aborted);
    clearTimeout(timer);
  }
}

export class Link {
  readonly #options: LinkOptions;
  #found: Endpoint | undefined;
  #starting: Promise<void> | undefined;
  #lease: Promise<Lease> | undefined;

  /** Throws `invalid_endpoint`, `invalid_option`. */
  constructor(options: LinkOptions) {
    this.#options = options;
    const { host, context, run, root } = options;
    if (host !== undefined && context !== undefined) throw invalid("`host` and `context` both say which engine: leave one out");
    const elsewhere = host !== undefined || (context ?? DEFAULT) !== DEFAULT;
    if (elsewhere && (run !== undefined || root !== undefined))
      throw invalid("run and root are of an engine of this host: leave them out with `host` and `context`");
    if (host !== undefined) parseEndpoint(host);
  }

  /** The environment is read when it is needed: programs may set it after this package was loaded. */
  get #run(): string {
    return this.#options.run ?? (process.env.ONGGI_RUN || "/run/onggi");
  }

  /** Looked for once: what `context use` chooses meanwhile is for others. */
  get #endpoint(): Endpoint {
    this.#found ??= selectEngine(this.#options, process.env, (path) => readFileSync(path, "utf8")).endpoint;
    return this.#found;
  }

  /** Path of the engine's socket; for one that ssh reaches, its address. */
  get socket(): string {
    return addressOf(this.#endpoint, `${this.#run}/onggi.sock`);
  }

  /** The host that the engine is on, if that is another one. */
  get otherHost(): string | undefined {
    const endpoint = this.#endpoint;
    return endpoint.kind === "ssh" ? endpoint.host : undefined;
  }

  get #connect(): Connect {
    const endpoint = this.#endpoint;
    if (endpoint.kind !== "ssh") return nodeTransport;
    const start = this.#options.start !== false;
    return (made) => sshTransport(endpoint, { start, messages: "pipe", made });
  }

  /** One call; where no engine answers, one is started first. Throws OnggiError, and the reason of `signal`. */
  async call<K extends CallName>(
    name: K,
    request: Calls[K]["request"],
    handlers: CallHandlers<K> = {},
    signal?: AbortSignal,
  ): Promise<Calls[K]["result"]> {
    const attempt = () => callOver(this.#connect(), this.socket, name, request, handlers, signal);
    try {
      return await attempt();
    } catch (error) {
      const isAbsent = error instanceof EngineUnreachable && absent.has(error.reason);
      // on another host what ssh calls there starts it
      if (!isAbsent || this.#options.start === false || this.#endpoint.kind !== "local") throw error;
    }
    await this.#start();
    return attempt();
  }

  /** What is made now is to be made under; nothing for what is kept. */
  async lease(keep: boolean | undefined): Promise<{ lease?: string }> {
    while (!keep) {
      this.#lease ??= this.#take();
      const taking = this.#lease;
      const lease = await taking.catch((error: unknown) => {
        this.#forget(taking);
        throw error;
      });
      if (!lease.isLost) return { lease: lease.id };
      this.#forget(taking);
    }
    return {};
  }

  /** Removes what was made under the lease. */
  async release(): Promise<LeaseReport | undefined> {
    const lease = await this.#lease?.catch(() => undefined);
    this.#lease = undefined;
    return lease?.end();
  }

  #forget(taking: Promise<Lease>): void {
    if (this.#lease === taking) this.#lease = undefined;
  }

  async #take(): Promise<Lease> {
    await this.call("ping", {});
    return Lease.take(this.#connect, this.socket);
  }

  #start(): Promise<void> {
    this.#starting ??= startEngine({ ...this.#options, run: this.#run }).finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }
}
