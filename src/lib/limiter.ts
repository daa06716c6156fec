/** Lets so many operations run at once; the others wait in the order in which they came. */
export class Limiter {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(most: number) {
    this.#free = most;
  }

  /** A place, and how to give it back: once, whatever is called how often. */
  async enter(): Promise<() => void> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let inside = true;
    return () => {
      if (!inside) return;
      inside = false;
      // The place goes to the next in line, or back.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    };
  }

  async run<T>(operation: () => Promise<T>): Promise<T> {
    const leave = await this.enter();
    try {
      return await operation();
    } finally {
      leave();
    }
  }
}
