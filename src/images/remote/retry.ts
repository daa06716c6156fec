/** When a request is sent again. */
import { retryAfter } from "./headers.ts";
import type { Answer } from "./transport.ts";

export const MAX_TRIES = 5;
const MAX_WAIT_MS = 60_000;
const LONGEST_PAUSE_MS = 10_000;
/** Statuses of what will pass. */
export const temporary: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** Milliseconds before the next try: doubling from `first`, up to 10 s, with jitter. */
export const backOff = (attempt: number, first: number): number =>
  Math.min(LONGEST_PAUSE_MS, first * 2 ** attempt) * (0.5 + Math.random() / 2);

/** Waits; an abort ends the wait. */
export const pause = (milliseconds: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });

/** Milliseconds after which an answer's request is to be sent again, as the server asks or by `backOff`; null: it is final. */
export const againIn = (answer: Answer, attempt: number, first: number): number | null => {
  if (!temporary.has(answer.status)) return null;
  const asked = retryAfter(answer.headers.get("retry-after"), Date.now());
  if (asked === null) return backOff(attempt, first);
  return asked <= MAX_WAIT_MS ? asked : null;
};
