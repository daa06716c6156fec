/** Answers of name servers, kept as long as their TTLs allow, within bounds. */
import type { Response } from "./message.ts";

export interface Kept {
  readonly response: Response;
  /** When it came, in milliseconds. */
  readonly at: number;
}

export class AnswerCache {
  /** In the order of use. */
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;
  readonly #most: { readonly entries: number; readonly bytes: number };

  constructor(most: { readonly entries: number; readonly bytes: number }) {
    this.#most = most;
  }

  get size(): number {
    return this.#kept.size;
  }

  /** `now` in milliseconds of any one clock that never goes back. */
  get(key: string, now: number): Kept | undefined {
    const kept = this.#kept.get(key);
    if (!kept) return undefined;
    if (now - kept.at >= kept.response.ttl * 1000) {
      this.#delete(key, kept);
      return undefined;
    }
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    return kept;
  }

  /** Keeps an answer, if it may be kept, and lets go of those that were not used for longest. */
  put(key: string, response: Response, now: number): void {
    const former = this.#kept.get(key);
    if (former) this.#delete(key, former);
    const size = sizeOf(key, response);
    if (response.ttl <= 0 || response.truncated || size > this.#most.bytes / 8) return;
    this.#kept.set(key, { response, at: now });
    this.#bytes += size;
    for (const [oldest, kept] of this.#kept) {
      if (this.#kept.size <= this.#most.entries && this.#bytes <= this.#most.bytes) break;
      this.#delete(oldest, kept);
    }
  }

  clear(): void {
    this.#kept.clear();
    this.#bytes = 0;
  }

  #delete(key: string, kept: Kept): void {
    this.#kept.delete(key);
    this.#bytes -= sizeOf(key, kept.response);
  }
}

const OVERHEAD = 200;
const sizeOf = (key: string, { bytes, ttlsAt }: Response): number => OVERHEAD + key.length * 2 + bytes.length + ttlsAt.length * 8;
