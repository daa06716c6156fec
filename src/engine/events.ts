import { OnggiError } from "../lib/errors.ts";
import { lookUp } from "../lib/tables.ts";
import { nowNs, parseMoment } from "../lib/time.ts";
import type { EngineEvent } from "./types.ts";

const KEPT = 1024;

/** Events that wait for one listener who does not read them. */
const MOST_WAITING = 65_536;

/** The longest a timer can be set for, in milliseconds; a longer one fires at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

export interface EventQuery {
  /** Moments as the command line takes them. */
  readonly since?: string;
  readonly until?: string;
  readonly filters?: Record<string, string[]>;
}

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

/**
 * Events from `since` on that match all filters, as they happen; ends at `until` or on abort, at once when `until` is past.
 * Throws `invalid_filter`; `listener_late` when the reader is so far behind that events would be lost.
 */
export async function* followEvents(bus: EventBus, query: EventQuery, signal: AbortSignal): AsyncGenerator<EngineEvent> {
  const matches = eventFilter(query.filters ?? {});
  const now = nowNs();
  const until = query.until ? parseMoment(query.until, now) : undefined;
  let queue: EngineEvent[] = query.since ? bus.history(parseMoment(query.since, now) ?? 0n) : [];
  let wake = () => {};
  let late = false;
  const stopListening = bus.listen((event) => {
    if (queue.length < MOST_WAITING) queue.push(event);
    else late = true;
    wake();
  });
  const onAbort = () => wake();
  signal.addEventListener("abort", onAbort);
  try {
    for (;;) {
      const events = queue;
      queue = [];
      for (const event of events) {
        if (until !== undefined && BigInt(event.timeNano) > until) return;
        if (matches(event)) yield event;
      }
      if (late)
        throw new OnggiError("listener_late", `more than ${MOST_WAITING} events wait to be read; ask again, since the last`);
      if (queue.length > 0) continue;
      if (signal.aborted) return;
      const left = until === undefined ? Number.POSITIVE_INFINITY : Number(until - nowNs()) / 1e6;
      if (left <= 0) return;
      await new Promise<void>((resolve) => {
        // a timer may fire a moment early: it only makes the loop look at the clock again
        const timer = until === undefined ? undefined : setTimeout(resolve, Math.min(Math.ceil(left), LONGEST_TIMER));
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    stopListening();
  }
}

/** Throws `invalid_filter` and `invalid_time`. */
export function checkEventQuery({ since, until, filters }: EventQuery): void {
  eventFilter(filters ?? {});
  for (const moment of [since, until]) {
    if (moment && parseMoment(moment) === undefined)
      throw new OnggiError("invalid_time", `${moment}: give a date (RFC 3339), unix seconds, or a duration such as 10m`);
  }
}

/** "reg:5000/app:1" -> "reg:5000/app". */
const withoutTag = (name: string): string => name.replace(/:[^/:]*$/, "");

/** Values of one key are alternatives, keys and labels add up. */
function eventFilter(filters: Record<string, string[]>): (event: EngineEvent) => boolean {
  const tests: Record<string, (event: EngineEvent, value: string) => boolean> = {
    type: (event, value) => event.type === value,
    // "exec_start: true" and "health_status: healthy" are found by what stands before the colon, too
    event: ({ action }, value) => action === value || action.replace(/: .*$/s, "") === value,
    container: (event, value) => event.type === "container" && (event.id.startsWith(value) || event.attributes.name === value),
    image: ({ type, id, attributes }, value) => {
      const name = (type === "image" ? attributes.name : attributes.image) ?? "";
      return [id, name, withoutTag(id), withoutTag(name)].includes(value);
    },
    volume: (event, value) => event.type === "volume" && event.id === value,
    network: (event, value) => event.type === "network" && (event.id.startsWith(value) || event.attributes.name === value),
    daemon: (event, value) => event.type === "daemon" && (event.id === value || event.attributes.name === value),
    scope: (_, value) => value === "local",
    label: (event, value) => {
      const [key = "", wanted] = value.split(/=(.*)/s);
      return key in event.attributes && (wanted === undefined || event.attributes[key] === wanted);
    },
  };
  for (const key of Object.keys(filters)) {
    if (!lookUp(tests, key))
      throw new OnggiError("invalid_filter", `no such filter: ${key}; one of ${Object.keys(tests).join(", ")}`);
  }
  return (event) =>
    Object.entries(filters).every(([key, values]) => {
      const fits = (value: string): boolean => tests[key]?.(event, value) ?? false;
      return key === "label" ? values.every(fits) : values.some(fits);
    });
}
