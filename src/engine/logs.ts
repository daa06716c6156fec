/** Reads back what the shim logged, in either form, across rotated files, following on request. */
import { existsSync } from "node:fs";
import { nowNs, parseRfc3339 } from "../lib/time.ts";
import { LineReader, openNext, openOldest } from "./log-files.ts";
import { watchLog } from "./log-watch.ts";

export interface LogEntry {
  /** RFC 3339 with nanoseconds, as written. */
  readonly time: string;
  readonly stream: "stdout" | "stderr";
  readonly text: string;
}

export interface LogQuery {
  readonly follow: boolean;
  /** Number of last lines; undefined: all. */
  readonly tail?: number | undefined;
  /** Nanoseconds since the epoch. */
  readonly since?: bigint | undefined;
  readonly until?: bigint | undefined;
}

/** One line of Docker's json-file form; undefined for a line that a crash cut short. */
export function parseJsonLine(line: string): LogEntry | undefined {
  try {
    const { log, stream, time } = JSON.parse(line) as Record<string, unknown>;
    if (typeof log !== "string" || typeof time !== "string") return undefined;
    return { time, stream: stream === "stderr" ? "stderr" : "stdout", text: log };
  } catch {
    return undefined;
  }
}

/** One line of CRI's form: time, stream, P (part of a line) or F (its end), text. */
export function parseCriLine(line: string): LogEntry | undefined {
  const match = /^(\S+) (stdout|stderr) ([PF])(?::\S*)? ?([\s\S]*)$/.exec(line);
  if (!match) return undefined;
  const [, time, stream, tag, text] = match as unknown as [string, string, "stdout" | "stderr", string, string];
  return { time, stream, text: tag === "F" ? `${text}\n` : text };
}

/** Keeps the last `count` values, or all. */
class Tail<T> {
  private readonly values: T[] = [];
  private readonly count: number | undefined;

  constructor(count: number | undefined) {
    this.count = count;
  }

  push(value: T): void {
    this.values.push(value);
    if (this.count !== undefined && this.values.length > this.count * 2 + 64)
      this.values.splice(0, this.values.length - this.count);
  }

  last(): T[] {
    return this.count === undefined ? this.values : this.count === 0 ? [] : this.values.slice(-this.count);
  }
}

type Wanted = (line: string) => LogEntry | undefined;

/** Lines that are entries and lie in the range asked for. */
function wanted(format: "json-file" | "cri", { since, until }: LogQuery): Wanted {
  const parse = format === "cri" ? parseCriLine : parseJsonLine;
  if (since === undefined && until === undefined) return parse;
  return (line) => {
    const entry = parse(line);
    if (!entry) return undefined;
    const time = parseRfc3339(entry.time) ?? 0n;
    return (since === undefined || time >= since) && (until === undefined || time <= until) ? entry : undefined;
  };
}

function* entries(reader: LineReader, want: Wanted): Generator<LogEntry> {
  for (const line of reader.lines()) {
    const entry = want(line);
    if (entry) yield entry;
  }
}

/** Reads on from `reader`, through rotations, until `over` says that nothing more will come. */
async function* followLog(
  path: string,
  from: LineReader | undefined,
  want: Wanted,
  over: Promise<void>,
): AsyncGenerator<LogEntry> {
  let reader = from;
  let ended = false;
  const watch = watchLog(path);
  void over.then(() => {
    ended = true;
    watch.wake();
  });
  try {
    for (;;) {
      // asked before reading: what is read after the end, or after a rotation, is all there will be in this file
      const last = ended;
      reader ??= existsSync(path) ? await LineReader.open(path) : undefined;
      const moved = reader !== undefined && !reader.reads(path);
      if (reader) yield* entries(reader, want);
      if (reader && moved) {
        const next = await openNext(path, reader);
        reader.close();
        reader = next;
      } else if (last) {
        return;
      } else {
        await watch.changed();
      }
    }
  } finally {
    watch.close();
    reader?.close();
  }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });

/**
 * The entries of the log at `path` in order. With `follow` it goes on until `ended` resolves and everything is read, `until` has
 * passed, or `signal` aborts. Entries that a crash cut short are left out.
 */
export async function* readLog(
  path: string,
  format: "json-file" | "cri",
  query: LogQuery,
  ended: Promise<unknown>,
  signal: AbortSignal,
): AsyncGenerator<LogEntry> {
  const want = wanted(format, query);
  const kept = new Tail<LogEntry>(query.tail);
  let reader = await openOldest(path);
  let complete = false;
  try {
    while (reader) {
      // asked before reading: a file that is not the current one any more gets nothing more
      const current = reader.reads(path);
      for (const entry of entries(reader, want)) {
        if (query.tail !== undefined) kept.push(entry);
        else if (signal.aborted) return;
        else yield entry;
      }
      if (current) break;
      const next = await openNext(path, reader);
      reader.close();
      reader = next;
    }
    yield* kept.last();
    complete = true;
  } finally {
    if (!complete || !query.follow) reader?.close();
  }
  if (!query.follow) return;
  const past = query.until === undefined ? [] : [Bun.sleep(Math.max(0, Number(query.until - nowNs()) / 1e6))];
  yield* followLog(
    path,
    reader,
    want,
    Promise.race([ended, aborted(signal), ...past]).then(() => {}),
  );
}
