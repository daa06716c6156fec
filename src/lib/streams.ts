/** An async iterable as a web stream; cancelling the stream ends the iteration. */
export function streamOf(source: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await iterator.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await iterator.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}

/**
 * What `produce` writes, as it writes it. A write returns when the reader asks for more, so its buffer may be used again; it throws
 * once the reader has gone or `signal` is aborted. What `produce` throws the reader gets behind what was written.
 */
export async function* produced<T>(
  produce: (write: (value: T) => Promise<void>) => Promise<void>,
  signal: AbortSignal,
): AsyncGenerator<T, void, void> {
  let offer: { readonly value: T; readonly taken: () => void; readonly refuse: (why: unknown) => void } | undefined;
  let wake = (): void => {};
  let gone: { readonly why: unknown } | undefined;
  let ended = false;
  let failure: { readonly error: unknown } | undefined;
  const stop = (why: unknown): void => {
    gone ??= { why };
    offer?.refuse(why);
  };
  const aborted = (): void => stop(signal.reason);
  if (signal.aborted) aborted();
  signal.addEventListener("abort", aborted, { once: true });
  const write = (value: T): Promise<void> =>
    new Promise((resolve, reject) => {
      if (gone) reject(gone.why);
      else {
        offer = { value, taken: resolve, refuse: reject };
        wake();
      }
    });
  const work = produce(write)
    .catch((error: unknown) => {
      failure = { error };
    })
    .finally(() => {
      ended = true;
      wake();
    });
  try {
    for (;;) {
      if (!offer && !ended)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      if (!offer) break;
      const { value, taken } = offer;
      yield value;
      offer = undefined;
      taken();
    }
    if (failure) throw failure.error;
  } finally {
    stop(new Error("nobody reads any more"));
    signal.removeEventListener("abort", aborted);
    await work;
  }
}

/** The same, begun: what goes wrong before there is a first value is thrown here. */
export async function begun<T>(source: AsyncGenerator<T, void, void>): Promise<AsyncIterable<T>> {
  const first = await source.next();
  return (async function* () {
    try {
      if (first.done) return;
      yield first.value;
      yield* source;
    } finally {
      await source.return();
    }
  })();
}
