/** Deadlines of a process that waits for its descriptors itself. */

/** No deadline is kept more exactly than this: milliseconds. */
const GRAIN_MS = 50;

interface Timer {
  readonly at: number;
  readonly fire: () => void;
}

export class Timers {
  readonly #timers = new Set<Timer>();
  #due = 0;

  /** Calls `fire` after so many milliseconds, unless what is returned is called before. */
  after(ms: number, fire: () => void): () => void {
    const timer = { at: performance.now() + ms, fire };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** Calls what is due. Returns for how many milliseconds one may wait; at most `most`. */
  run(most: number): number {
    const now = performance.now();
    if (this.#timers.size === 0) return most;
    if (now < this.#due) return Math.min(Math.ceil(this.#due - now), most);
    for (const timer of this.#timers) {
      if (timer.at > now) continue;
      this.#timers.delete(timer);
      timer.fire();
    }
    this.#due = now + GRAIN_MS;
    return Math.min(GRAIN_MS, most);
  }
}
