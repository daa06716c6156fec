/** What containers use, second by second: one look at a container a second, however many follow it. */
import { type Context, findContainer } from "./context.ts";
import { sampleStats } from "./stats.ts";
import type { StatsSample } from "./types.ts";

const SECOND = 1000;

/** One look at a container. */
export interface StatsLook {
  readonly sample: StatsSample;
  /** Of one that does not run all is zero. */
  readonly runs: boolean;
  /** The look of a second ago, if there was one in this run. */
  readonly before?: StatsSample | undefined;
}

/** One container that is followed. */
class Followed {
  followers = 0;
  #latest: StatsLook;
  #failure: unknown;
  readonly #look: () => StatsLook;
  readonly #timer: Timer;
  readonly #waiting = new Set<() => void>();

  constructor(look: () => StatsLook) {
    this.#look = look;
    this.#latest = look();
    this.#timer = setInterval(() => this.#tick(), SECOND);
  }

  /** Throws ContainerNotFound when it has been removed. */
  get latest(): StatsLook {
    if (this.#failure !== undefined) throw this.#failure;
    return this.#latest;
  }

  /** Calls back once, at the next look. Returns what takes that back. */
  atNext(told: () => void): () => void {
    this.#waiting.add(told);
    return () => this.#waiting.delete(told);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const { runs, sample } = this.#latest;
    try {
      this.#latest = { ...this.#look(), before: runs ? sample : undefined };
    } catch (error) {
      this.#failure = error;
    }
    const told = [...this.#waiting];
    this.#waiting.clear();
    for (const tell of told) tell();
  }
}

export class Usage {
  readonly #context: Context;
  readonly #followed = new Map<string, Followed>();

  constructor(context: Context) {
    this.#context = context;
  }

  /** Throws ContainerNotFound. */
  look(reference: string): StatsLook {
    const container = findContainer(this.#context, reference);
    return { sample: sampleStats(this.#context, container), runs: container.isUp };
  }

  /**
   * A look at once, then one a second, until abort; a slow reader misses some. Throws ContainerNotFound, also when the container is
   * removed meanwhile.
   */
  async *follow(reference: string, signal: AbortSignal): AsyncGenerator<StatsLook> {
    const { id } = findContainer(this.#context, reference);
    const followed = this.#followed.get(id) ?? new Followed(() => this.look(id));
    this.#followed.set(id, followed);
    followed.followers++;
    let wake = (): void => {};
    const abort = (): void => wake();
    signal.addEventListener("abort", abort);
    try {
      while (!signal.aborted) {
        yield followed.latest;
        if (signal.aborted) return;
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        const takeBack = followed.atNext(resolve);
        await promise;
        takeBack();
      }
    } finally {
      signal.removeEventListener("abort", abort);
      if (--followed.followers === 0) {
        this.#followed.delete(id);
        followed.close();
      }
    }
  }
}
