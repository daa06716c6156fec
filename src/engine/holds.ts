import { Mutex } from "../lib/mutex.ts";

/** Names that one client has at a time, as long as it stays: what several must not do at once. They end with the engine. */
export class Holds {
  readonly #turns = new Map<string, { readonly lock: Mutex; users: number }>();

  /** Waits for its turn, calls `held`, and returns when `signal` is aborted. */
  async hold(name: string, held: () => void, signal: AbortSignal): Promise<void> {
    const turn = this.#turns.get(name) ?? { lock: new Mutex(), users: 0 };
    this.#turns.set(name, turn);
    turn.users++;
    try {
      await turn.lock.run(async () => {
        if (signal.aborted) return;
        held();
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
      });
    } finally {
      turn.users--;
      if (turn.users === 0) this.#turns.delete(name);
    }
  }
}
