/**
 * Passes on what containers log. The shim writes the log whether or not there is an engine; this reads it behind the shim, sends it, and
 * writes down how far it has come: the next engine goes on from there. So every entry that the log still holds is sent, once, and
 * after the death of an engine what it sent last once more. Who takes nothing is tried again, and holds nobody back.
 */
import { closeSync, fstatSync, openSync, readFileSync, readSync, renameSync, statSync, writeFileSync } from "node:fs";
import { messageOf } from "../lib/errors.ts";
import { logFiles } from "./log-files.ts";
import { type LogWatch, watchLog } from "./log-watch.ts";
import { type LogEntry, parseJsonLine } from "./logs.ts";

export interface LogSink {
  /** Sends all of them, in order; throws when they, or some of them, have to be sent again. */
  send(entries: readonly LogEntry[]): Promise<void>;
  close(): void;
}

export interface ForwardJob {
  readonly id: string;
  /** The current file of the log, in json-file form. */
  readonly path: string;
  /** File that says how far it has come. */
  readonly positionPath: string;
  readonly sink: () => LogSink;
}

/** Bytes that are read and sent at a time; longer than any line. */
const BATCH = 256 * 1024;
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 30_000;

/**
 * A place in the log: a file, whatever its name is meanwhile, an offset, and the bytes before it, in hexadecimal. They have a time in
 * them: where others are found, the file was emptied and written anew, or its number was given to another one.
 */
interface Position {
  readonly inode: number;
  readonly offset: number;
  readonly before: string;
}

const BEFORE = 64;

function readPosition(path: string): Position | undefined {
  try {
    const { inode, offset, before } = JSON.parse(readFileSync(path, "utf8")) as Position;
    const sound = Number.isSafeInteger(inode) && Number.isSafeInteger(offset) && offset >= 0 && typeof before === "string";
    return sound ? { inode, offset, before } : undefined;
  } catch {
    return undefined;
  }
}

const inodeOf = (path: string): number | undefined => {
  try {
    return statSync(path).ino;
  } catch {
    return undefined;
  }
};

/** Reads whole lines from an offset on, of a file that is open and may be renamed or cut off. */
class Cursor {
  readonly fd: number;
  readonly inode: number;
  private offset: number;
  private before: string;

  constructor(path: string, { offset, before }: Pick<Position, "offset" | "before"> = { offset: 0, before: "" }) {
    this.fd = openSync(path, "r");
    this.inode = fstatSync(this.fd).ino;
    this.offset = offset;
    this.before = before;
  }

  get position(): Position {
    return { inode: this.inode, offset: this.offset, before: this.before };
  }

  /** Whether what has been read is still what it was. */
  get isSound(): boolean {
    return this.bytesBefore(this.offset) === this.before;
  }

  private bytesBefore(offset: number): string {
    const bytes = Buffer.alloc(Math.min(BEFORE, offset));
    return bytes.toString("hex", 0, readSync(this.fd, bytes, 0, bytes.length, offset - bytes.length));
  }

  /** The lines that come next; `take` says that they were taken. */
  next(buffer: Buffer): { lines: string[]; take: () => void } {
    if (!this.isSound) Object.assign(this, { offset: 0, before: "" });
    const length = readSync(this.fd, buffer, 0, buffer.length, this.offset);
    const whole = length === 0 ? 0 : buffer.lastIndexOf(10, length - 1) + 1;
    const take = () => {
      this.offset += whole;
      const from = Math.max(0, whole - BEFORE);
      this.before = whole < BEFORE ? this.bytesBefore(this.offset) : buffer.toString("hex", from, whole);
    };
    return { lines: whole === 0 ? [] : buffer.toString("utf8", 0, whole - 1).split("\n"), take };
  }

  close(): void {
    closeSync(this.fd);
  }
}

function openAt(path: string, position: Position | undefined): Cursor | undefined {
  for (const file of logFiles(path)) {
    if (!position || inodeOf(file) !== position.inode) continue;
    const cursor = new Cursor(file, position);
    if (cursor.inode === position.inode && cursor.isSound) return cursor;
    cursor.close();
  }
  return openFirst(() => logFiles(path)[0]);
}

/** The file that was begun after the one that is being read; the oldest if that is gone. Undefined: there is none yet. */
function openAfter(path: string, { inode }: Cursor): Cursor | undefined {
  return openFirst(() => {
    const files = logFiles(path);
    return files[files.findIndex((file) => inodeOf(file) === inode) + 1];
  });
}

/** Names move while files are rotated: opened is what `choose` still names afterwards. */
function openFirst(choose: () => string | undefined): Cursor | undefined {
  for (let tries = 0; tries < 100; tries++) {
    const name = choose();
    if (name === undefined) return undefined;
    try {
      const cursor = new Cursor(name);
      const now = choose();
      if (now !== undefined && inodeOf(now) === cursor.inode) return cursor;
      cursor.close();
    } catch {
      // renamed meanwhile
    }
  }
  return undefined;
}

class Forward {
  readonly done: Promise<void>;
  /** It takes no more. */
  finished = false;
  private readonly job: ForwardJob;
  private readonly log: (message: string) => void;
  private readonly sink: LogSink;
  private over: Promise<unknown>;
  private ended = false;
  private stopped = false;
  private wake = () => {};
  private readonly stopping = new Promise<void>((resolve) => {
    this.wake = resolve;
  });
  private readonly watch: LogWatch;

  constructor(job: ForwardJob, ended: Promise<unknown>, log: (message: string) => void) {
    this.job = job;
    this.log = log;
    this.sink = job.sink();
    this.watch = watchLog(job.path);
    this.over = Promise.resolve();
    this.until(ended);
    this.done = this.run().finally(() => {
      this.watch.close();
      this.sink.close();
    });
  }

  /** Goes on until `ended` resolves, in place of what it went on until before. */
  until(ended: Promise<unknown>): void {
    this.ended = false;
    this.over = ended;
    void ended.then(() => {
      if (this.over !== ended) return;
      this.ended = true;
      this.watch.wake();
    });
  }

  stop(): void {
    this.stopped = true;
    this.wake();
    this.watch.wake();
    this.sink.close();
  }

  private async run(): Promise<void> {
    const { path, positionPath } = this.job;
    const buffer = Buffer.allocUnsafe(BATCH);
    let cursor = openAt(path, readPosition(positionPath));
    try {
      while (!this.stopped) {
        // asked before reading: what is read after the end, or after a rotation, is all there will be in this file
        const last = this.ended;
        cursor ??= openAt(path, undefined);
        const moved = cursor !== undefined && (inodeOf(path) ?? cursor.inode) !== cursor.inode;
        if (cursor && (await this.pass(cursor, buffer))) continue;
        const next = cursor && moved ? openAfter(path, cursor) : undefined;
        if (next) {
          cursor?.close();
          cursor = next;
        } else if (last && !moved) return;
        else await this.watch.changed();
      }
    } catch (error) {
      if (!this.stopped) this.log(`forwarding the log of ${this.job.id}: ${messageOf(error)}`);
    } finally {
      this.finished = true;
      cursor?.close();
    }
  }

  /** Sends what comes next, and writes down that it is sent. Whether there was something. */
  private async pass(cursor: Cursor, buffer: Buffer): Promise<boolean> {
    const { lines, take } = cursor.next(buffer);
    if (lines.length === 0) return false;
    const entries = lines.map(parseJsonLine).filter((entry) => entry !== undefined);
    if (!(await this.deliver(entries))) return false;
    take();
    const text = JSON.stringify(cursor.position);
    try {
      writeFileSync(`${this.job.positionPath}.new`, text, { mode: 0o600 });
      renameSync(`${this.job.positionPath}.new`, this.job.positionPath);
    } catch (error) {
      this.log(`forwarding the log of ${this.job.id}: ${messageOf(error)}`); // a full disk; sent it is
    }
    return true;
  }

  /** Until it has worked, or is stopped. */
  private async deliver(entries: readonly LogEntry[]): Promise<boolean> {
    let delay = FIRST_RETRY_MS;
    for (let failures = 0; !this.stopped; failures++) {
      try {
        await this.sink.send(entries);
        if (failures > 0) this.log(`the log of ${this.job.id} is forwarded again`);
        return true;
      } catch (error) {
        if (this.stopped) return false;
        if (failures === 0) this.log(`cannot forward the log of ${this.job.id}, trying again: ${messageOf(error)}`);
        await Promise.race([Bun.sleep(delay), this.stopping]);
        delay = Math.min(delay * 2, LONGEST_RETRY_MS);
      }
    }
    return false;
  }
}

/** The logs that are being forwarded, by container. */
export class LogForwards {
  private readonly forwards = new Map<string, Forward>();
  private readonly log: (message: string) => void;

  constructor(log: (message: string) => void) {
    this.log = log;
  }

  /** Forwards a log until `ended` resolves and all of it is sent. One that is being forwarded goes on until then. */
  follow(job: ForwardJob, ended: Promise<unknown>): void {
    const known = this.forwards.get(job.id);
    if (known && !known.finished) {
      known.until(ended);
      return;
    }
    const forward = new Forward(job, ended, this.log);
    this.forwards.set(job.id, forward);
    void forward.done.then(() => {
      if (this.forwards.get(job.id) === forward) this.forwards.delete(job.id);
    });
  }

  /** The container has ended and is about to go: waits until its log is sent, at most `ms` milliseconds, and lets go of it. */
  async finish(id: string, ms: number): Promise<void> {
    const forward = this.forwards.get(id);
    if (!forward) return;
    let timer: Timer | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([forward.done, late]);
    clearTimeout(timer);
    forward.stop();
    await forward.done;
  }

  async close(): Promise<void> {
    for (const forward of this.forwards.values()) forward.stop();
    await Promise.all([...this.forwards.values()].map(({ done }) => done));
  }
}
