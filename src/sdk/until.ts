/** What a source gives until `over` settles; then it is told that nobody reads it any more, and is not waited for. Throws what it throws. */
export async function* until<T>(over: Promise<unknown>, source: AsyncIterable<T> | Iterable<T>): AsyncGenerator<T, void, void> {
  const values = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  let isOver = false;
  let stop: () => void = () => {};
  const end = (): void => {
    isOver = true;
    stop();
  };
  over.then(end, end);
  let isDone = false;
  try {
    while (!isOver) {
      // no race with `over` itself: that would keep every value until then
      const next = await new Promise<IteratorResult<T> | undefined>((resolve, reject) => {
        stop = () => resolve(undefined);
        Promise.resolve(values.next()).then(resolve, reject);
      });
      isDone = next?.done ?? false;
      if (!next || next.done) return;
      yield next.value;
    }
  } finally {
    // one that waits for something returns when that has come
    if (!isDone) Promise.resolve(values.return?.()).catch(() => {});
  }
}
