/**
 * Who waits for a log to change: one watch of the kernel's for each directory of logs, however many wait there.
 *
 *     const watch = watchLog(path);
 *     try {
 *       for (;;) {
 *         read();
 *         await watch.changed();
 *       }
 *     } finally {
 *       watch.close();
 *     }
 */
import { type FSWatcher, watch } from "node:fs";
import { basename, dirname } from "node:path";

/** Milliseconds: the kernel drops events where too many wait (inotify(7)), and may have no more watches to give. */
const PATIENCE = 2000;
const PATIENCE_UNWATCHED = 250;

export interface LogWatch {
  /** Resolves when the log's files, or their names, may have changed since the call before, or since the watch began. */
  changed(): Promise<void>;
  /** Lets `changed` resolve. */
  wake(): void;
  /** Idempotent. */
  close(): void;
}

class Waiter implements LogWatch {
  readonly name: string;
  readonly #leave: (waiter: Waiter) => void;
  #changed = false;
  #resolve: (() => void) | undefined;

  constructor(name: string, leave: (waiter: Waiter) => void) {
    this.name = name;
    this.#leave = leave;
  }

  async changed(): Promise<void> {
    if (!this.#changed) {
      await new Promise<void>((resolve) => {
        this.#resolve = resolve;
      });
    }
    this.#changed = false;
  }

  wake(): void {
    this.#changed = true;
    this.#resolve?.();
    this.#resolve = undefined;
  }

  close(): void {
    this.#leave(this);
    this.wake();
  }
}

class Directory {
  readonly waiters = new Set<Waiter>();
  readonly #watcher: FSWatcher | undefined;
  readonly #timer: Timer;

  constructor(path: string) {
    try {
      this.#watcher = watch(path, (_, file) => this.#tell(file));
      this.#watcher.on("error", () => {});
    } catch {
      // they look at it from time to time
    }
    this.#timer = setInterval(() => this.#tell(null), this.#watcher ? PATIENCE : PATIENCE_UNWATCHED);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#watcher?.close();
  }

  /** Rotated files are called as the log is, and more. */
  #tell(file: string | null): void {
    for (const waiter of this.waiters) if (file === null || file.startsWith(waiter.name)) waiter.wake();
  }
}

const directories = new Map<string, Directory>();

/** Watches the log at `path`, which need not be there. */
export function watchLog(path: string): LogWatch {
  const at = dirname(path);
  const directory = directories.get(at) ?? new Directory(at);
  directories.set(at, directory);
  const waiter = new Waiter(basename(path), (leaving) => {
    if (!directory.waiters.delete(leaving) || directory.waiters.size > 0) return;
    directories.delete(at);
    directory.close();
  });
  directory.waiters.add(waiter);
  return waiter;
}
