import { nowNs } from "../lib/time.ts";
import type { EngineEvent } from "./types.ts";

const KEPT = 1024;

/** What happened, kept for late listeners (the last 1,024) and told to present ones. */
export class EventBus {
  private readonly past: EngineEvent[] = [];
  private readonly listeners = new Set<(event: EngineEvent) => void>();

  emit(type: EngineEvent["type"], action: string, id: string, attributes: Record<string, string>): void {
    const event = Object.freeze({ type, action, id, attributes, timeNano: nowNs().toString() });
    this.past.push(event);
    if (this.past.length > KEPT) this.past.shift();
    for (const listener of this.listeners) listener(event);
  }

  /** Events kept from `since` on, in order. */
  history(since: bigint): EngineEvent[] {
    return this.past.filter((event) => BigInt(event.timeNano) >= since);
  }

  /** Returns the function that ends it. */
  listen(listener: (event: EngineEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}
