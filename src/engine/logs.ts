/** Reads back what the shim logged, in either form, across rotated files, following on request. */
import { closeSync, existsSync, fstatSync, openSync, readSync, rmSync, statSync, truncateSync, watch } from "node:fs";
import { nowNs, parseRfc3339 } from "../lib/time.ts";

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

/** The files of one log, oldest first. */
export function logFiles(path: string): string[] {
  const files = [path];
  for (let n = 1; existsSync(`${path}.${n}`); n++) files.unshift(`${path}.${n}`);
  return files.filter((file) => existsSync(file));
}

const CHUNK = 256 * 1024;
const decoder = new TextDecoder();

/** Cuts a file into lines as it grows. Keeps its place when the file is renamed by rotation: it reads by descriptor. */
class LineReader {
  private readonly fd: number;
  private offset = 0;
  private rest: Buffer<ArrayBuffer> = Buffer.alloc(0);
  private readonly buffer = Buffer.alloc(CHUNK);

  private readonly inode: number;

  constructor(path: string) {
    this.fd = openSync(path, "r");
    this.inode = fstatSync(this.fd).ino;
  }

  /** The whole lines that are there now. */
  *lines(): Generator<string> {
    if (fstatSync(this.fd).size < this.offset) {
      this.offset = 0; // it was cleared
      this.rest = Buffer.alloc(0);
    }
    for (;;) {
      const count = readSync(this.fd, this.buffer, 0, CHUNK, this.offset);
      if (count === 0) return;
      this.offset += count;
      const data =
        this.rest.length === 0 ? this.buffer.subarray(0, count) : Buffer.concat([this.rest, this.buffer.subarray(0, count)]);
      let start = 0;
      for (let end = data.indexOf(10); end >= 0; end = data.indexOf(10, start)) {
        yield decoder.decode(data.subarray(start, end));
        start = end + 1;
      }
      this.rest = Buffer.from(data.subarray(start));
    }
  }

  /** Whether `path` names the file being read; true when it names nothing, as it does for a moment during a rotation. */
  reads(path: string): boolean {
    try {
      return statSync(path).ino === this.inode;
    } catch {
      return true;
    }
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** Wakes when the file at `path` changes, `done` resolves, or half a second has passed; at once where it is being rotated. */
export function change(path: string, done: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    let watcher: ReturnType<typeof watch> | undefined;
    let patience = 500;
    const finish = () => {
      clearTimeout(timer);
      watcher?.close();
      resolve();
    };
    try {
      watcher = watch(path, finish);
      watcher.on("error", finish);
    } catch {
      patience = 2;
    }
    const timer = setTimeout(finish, patience);
    void done.then(finish);
  });
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

/** The file that was begun after the one `reader` reads, which has been renamed; the current one if that is unknown. */
function successor(path: string, reader: LineReader): string {
  const files = logFiles(path);
  const index = files.findIndex((file) => reader.reads(file));
  return files[index + 1] ?? path;
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
  void over.then(() => {
    ended = true;
  });
  try {
    for (;;) {
      // asked before reading: what is read after the end, or after a rotation, is all there will be in this file
      const last = ended;
      reader ??= existsSync(path) ? new LineReader(path) : undefined;
      const moved = reader !== undefined && !reader.reads(path);
      if (reader) yield* entries(reader, want);
      if (reader && moved) {
        const next = openNext(path, reader);
        reader.close();
        reader = next;
      } else if (last) {
        return;
      } else {
        await change(path, over);
      }
    }
  } finally {
    reader?.close();
  }
}

function openOldest(path: string): LineReader | undefined {
  for (const file of logFiles(path)) {
    try {
      return new LineReader(file);
    } catch {
      // rotated away since it was listed: the next one is the oldest now
    }
  }
  return undefined;
}

/** Rotation may rename a file between the look at its name and the open: looks again. */
function openNext(path: string, reader: LineReader): LineReader | undefined {
  for (let tries = 0; tries < 100; tries++) {
    const name = successor(path, reader);
    try {
      const next = new LineReader(name);
      if (next.reads(name) && successor(path, reader) === name) return next;
      next.close();
    } catch {
      // renamed meanwhile
    }
  }
  return undefined;
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
  let reader = openOldest(path);
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
      const next = openNext(path, reader);
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

/**
 * Empties the log at `path`. Its current file stays, because the shim has it open, and appends; what has been rotated goes.
 * Entries that are written meanwhile may go or stay.
 */
export function clearLog(path: string): void {
  for (const file of logFiles(path)) {
    if (file === path) truncateSync(file);
    else rmSync(file, { force: true });
  }
}
