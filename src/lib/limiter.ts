/** Lets so many operations run at once; the others wait in the order in which they came. */
export class Limiter {
  #most: number;
  #inside = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  /** Those that are inside stay, also when there are more of them than may be from now on. */
  set most(most: number) {
    this.#most = most;
    this.#admit();
  }

  #admit(): void {
    while (this.#inside < this.#most) {
      const next = this.#waiting.shift();
      if (!next) return;
      this.#inside += 1;
      next();
    }
  }

  /** A place, and how to give it back: once, whatever is called how often. */
  async enter(): Promise<() => void> {
    if (this.#inside < this.#most) this.#inside += 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let inside = true;
    return () => {
      if (!inside) return;
      inside = false;
      this.#inside -= 1;
      this.#admit();
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
