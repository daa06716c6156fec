/** An iterator whose end of scope, as its loop's, ends what feeds it. */
export type Feed<T> = AsyncIterableIterator<T> & AsyncDisposable;

const over = { done: true, value: undefined } as const;

/**
 * @internal Values on their way from a call to one reader. What is waiting is bounded: `push` returns a promise when there is more than `limit`,
 * which resolves when the reader has taken some. The reader may leave at any time; `left` is told so.
 */
export class Channel<T> implements AsyncIterableIterator<T>, AsyncDisposable {
  readonly #limit: number;
  readonly #sizeOf: (value: T) => number;
  readonly #left: () => void;
  #values: T[] = [];
  #held = 0;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  /** Those who ask before there is anything, first come, first served. */
  readonly #readers: { give(result: IteratorResult<T>): void; fail(error: unknown): void }[] = [];
  #wakeWriters: (() => void)[] = [];

  constructor(options: { limit?: number; sizeOf?: (value: T) => number; left?: () => void } = {}) {
    this.#limit = options.limit ?? 16;
    this.#sizeOf = options.sizeOf ?? (() => 1);
    this.#left = options.left ?? (() => {});
  }

  /** Dropped once the channel has ended. */
  push(value: T): Promise<void> | undefined {
    if (this.#ended) return undefined;
    const reader = this.#readers.shift();
    if (reader) {
      reader.give({ done: false, value });
      return undefined;
    }
    this.#values.push(value);
    this.#held += this.#sizeOf(value);
    if (this.#held <= this.#limit) return undefined;
    return new Promise((resolve) => this.#wakeWriters.push(resolve));
  }

  /** Takes the oldest value away, for nobody. */
  drop(): void {
    const value = this.#values.shift();
    if (value !== undefined) this.#took(value);
  }

  get isFull(): boolean {
    return this.#held > this.#limit;
  }

  /** The reader gets what is there, then the end, or the error. */
  end(failure?: { readonly error: unknown }): void {
    if (this.#ended) return;
    this.#ended = true;
    const [first, ...others] = this.#readers.splice(0);
    if (first && failure) first.fail(failure.error);
    else first?.give(over);
    for (const reader of others) reader.give(over);
    if (!first) this.#failure = failure;
    this.#release();
  }

  async next(): Promise<IteratorResult<T>> {
    if (this.#values.length > 0) {
      const value = this.#values.shift() as T;
      this.#took(value);
      return { done: false, value };
    }
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure) throw failure.error;
    if (this.#ended) return over;
    return new Promise((give, fail) => this.#readers.push({ give, fail }));
  }

  async return(): Promise<IteratorResult<T>> {
    this.#values = [];
    this.end();
    this.#failure = undefined;
    this.#left();
    return over;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  #took(value: T): void {
    this.#held -= this.#sizeOf(value);
    if (this.#held <= this.#limit) this.#release();
  }

  #release(): void {
    for (const wake of this.#wakeWriters.splice(0)) wake();
  }
}

/**
 * @internal What a call tells, as an iterator that ends the call when its reader leaves. Throws what the call throws.
 * @param start makes the call; it waits for each `push` before the next, and is over when its promise is
 */
export function follow<T>(
  start: (push: (value: T) => Promise<void> | undefined, signal: AbortSignal) => Promise<unknown>,
  signal?: AbortSignal,
): Feed<T> {
  const leave = new AbortController();
  const channel = new Channel<T>({ left: () => leave.abort() });
  const either = signal ? AbortSignal.any([signal, leave.signal]) : leave.signal;
  start((value) => channel.push(value), either).then(
    () => channel.end(),
    (error: unknown) => channel.end({ error }),
  );
  return channel;
}
