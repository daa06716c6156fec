/** One engine, as the SDK's objects reach it: calls, the start of an engine that is not there, the session's lease. */
import { type CallHandlers, callOver, EngineUnreachable } from "../api/control/connection.ts";
import type { CallName, Calls } from "../api/control/protocol.ts";
import { Lease, type LeaseReport } from "./lease.ts";
import { startEngine } from "./start-engine.ts";
import { nodeTransport } from "./transport.ts";

export interface LinkOptions {
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
  #starting: Promise<void> | undefined;
  #lease: Promise<Lease> | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** The environment is read when it is needed: programs may set it after this package was loaded. */
  get #run(): string {
    return this.#options.run ?? (process.env.ONGGI_RUN || "/run/onggi");
  }

  get socket(): string {
    return `${this.#run}/onggi.sock`;
  }

  /** One call; where no engine answers, one is started first. Throws OnggiError, and the reason of `signal`. */
  async call<K extends CallName>(
    name: K,
    request: Calls[K]["request"],
    handlers: CallHandlers<K> = {},
    signal?: AbortSignal,
  ): Promise<Calls[K]["result"]> {
    const attempt = () => callOver(nodeTransport(), this.socket, name, request, handlers, signal);
    try {
      return await attempt();
    } catch (error) {
      const startable = this.#options.start !== false && error instanceof EngineUnreachable && absent.has(error.reason);
      if (!startable) throw error;
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
    return Lease.take(this.socket);
  }

  #start(): Promise<void> {
    this.#starting ??= startEngine({ ...this.#options, run: this.#run }).finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }
}
