/**
 * Work that several want the outcome of is done once. Whoever stops waiting leaves; when the last one has left, the work is
 * aborted. What the work tells on its way reaches everybody who waits.
 */
interface Running<T, P> {
  readonly controller: AbortController;
  readonly listeners: Set<(step: P) => void>;
  readonly outcome: Promise<T>;
}

export class SharedWork<T, P> {
  readonly #running = new Map<string, Running<T, P>>();

  /**
   * The outcome of the work `key` names, begun by whoever asks first. Throws what the work throws, or the signal's reason: at once,
   * or for the last one who waits when the work has ended.
   */
  async join(
    key: string,
    work: (signal: AbortSignal, tell: (step: P) => void) => Promise<T>,
    signal: AbortSignal,
    listener: (step: P) => void,
  ): Promise<T> {
    signal.throwIfAborted();
    const running = this.#running.get(key) ?? this.#begin(key, work);
    // A listener of two that wait is two.
    const own = (step: P): void => listener(step);
    running.listeners.add(own);
    const left = Promise.withResolvers<never>();
    const leave = (): void => left.reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
    try {
      return await Promise.race([running.outcome, left.promise]);
    } finally {
      signal.removeEventListener("abort", leave);
      running.listeners.delete(own);
      if (running.listeners.size === 0 && this.#running.get(key) === running) {
        // Who comes now begins anew.
        this.#running.delete(key);
        running.controller.abort(signal.reason);
        // What it leaves behind is only known when it has ended.
        await running.outcome.catch(() => {});
      }
    }
  }

  #begin(key: string, work: (signal: AbortSignal, tell: (step: P) => void) => Promise<T>): Running<T, P> {
    const controller = new AbortController();
    const listeners = new Set<(step: P) => void>();
    const tell = (step: P): void => {
      for (const listener of listeners) listener(step);
    };
    const running = { controller, listeners, outcome: Promise.resolve().then(() => work(controller.signal, tell)) };
    const forget = (): void => {
      if (this.#running.get(key) === running) this.#running.delete(key);
    };
    running.outcome.then(forget, forget);
    this.#running.set(key, running);
    return running;
  }
}
