/**
 * The lease under which a session makes things: a call that stays open as long as the process lives. When it ends, by whatever end of the
 * process, the engine removes what was made. An engine that goes is waited for: the next one gives the lease back. See docs/leases.md.
 */
import { type CallInput, callOver } from "../api/control/connection.ts";
import type { Held } from "../api/control/ssh.ts";
import { isOnggiError } from "./errors.ts";
import type { Connect } from "./transport.ts";

/** How long the next engine is waited for, in milliseconds, and how often it is looked for. */
const PATIENCE = 60_000;
const PATIENCE_AT_END = 5000;
const PAUSE = 100;

export interface LeaseReport {
  /** Ids. */
  readonly containers: readonly string[];
  readonly networks: readonly string[];
  /** Names. */
  readonly volumes: readonly string[];
  /** What could not be removed, and why. */
  readonly problems: readonly string[];
}

export class Lease {
  readonly id: string;
  readonly #connect: Connect;
  readonly #socket: string;
  #input: CallInput | undefined;
  #connection: Held | undefined;
  #ended: Promise<LeaseReport | undefined>;
  #isLost = false;
  #isEnding = false;

  private constructor(connect: Connect, socket: string, id: string) {
    this.#connect = connect;
    this.#socket = socket;
    this.id = id;
    this.#ended = Promise.resolve(undefined);
  }

  /** @internal Throws what a call throws. */
  static async take(connect: Connect, socket: string): Promise<Lease> {
    const lease = new Lease(connect, socket, crypto.randomUUID());
    await new Promise<void>((resolve, reject) => {
      lease.#ended = lease.#hold(resolve);
      lease.#ended.catch(reject);
    });
    return lease;
  }

  /** What was made under it is gone, or going: another one is needed. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Removes what was made under it. Resolves with what that was; undefined where the engine has gone and does not come back soon. */
  async end(): Promise<LeaseReport | undefined> {
    this.#isEnding = true;
    this.#isLost = true;
    // now somebody waits for it
    this.#connection?.ref();
    this.#input?.detach();
    return this.#ended.catch(() => undefined);
  }

  async #hold(held: () => void): Promise<LeaseReport | undefined> {
    let resume = false;
    let lostAt = 0;
    for (;;) {
      const connect = this.#connect((made) => {
        this.#connection = made;
      });
      const told = (): void => {
        lostAt = 0;
        resume = true;
        // from now on it must not keep the process alive: what it is for begins when that ends
        if (!this.#isEnding) this.#connection?.unref();
        else this.#input?.detach();
        held();
      };
      const opened = (input: CallInput): void => {
        this.#input = input;
      };
      try {
        return await callOver(connect, this.#socket, "lease", { id: this.id, resume }, { opened, item: told });
      } catch (error) {
        if (!resume || !isOnggiError(error, "engine_unreachable", "connection_lost", "engine_stopping", "lease_held")) {
          this.#isLost = true;
          throw error;
        }
      }
      this.#input = undefined;
      lostAt ||= Date.now();
      if (Date.now() > lostAt + (this.#isEnding ? PATIENCE_AT_END : PATIENCE)) {
        this.#isLost = true;
        return undefined;
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, PAUSE);
        // who waits for its end waits for this
        if (!this.#isEnding) timer.unref();
      });
    }
  }
}
