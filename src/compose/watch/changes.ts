import { type FSWatcher, watch } from "node:fs";
import { basename, dirname, join } from "node:path";

/** Milliseconds without a change after which those before are told: saving writes files more than once. */
const QUIET = 300;
/** Milliseconds after which they are told even if there is no end of them. */
const PATIENCE = 3000;

export interface Watched {
  /** Absolute. */
  path: string;
  /** Also all below. */
  isDirectory: boolean;
}

/** Tells of paths that have changed, come or gone, many at once. */
export class Changes {
  readonly #watchers: FSWatcher[] = [];
  readonly #changed = new Set<string>();
  readonly #tell: (paths: ReadonlySet<string>) => void;
  #quiet: ReturnType<typeof setTimeout> | undefined;
  #patience: ReturnType<typeof setTimeout> | undefined;

  /** `failed` is told why nothing more is heard of a path. */
  constructor(
    watched: readonly Watched[],
    tell: (paths: ReadonlySet<string>) => void,
    failed: (path: string, error: Error) => void,
  ) {
    this.#tell = tell;
    try {
      for (const { path, isDirectory } of watched) {
        // a file is replaced by another one when it is saved: its directory hears of that
        const directory = isDirectory ? path : dirname(path);
        const watcher = watch(directory, { recursive: isDirectory }, (_, name) => {
          if (isDirectory || name === basename(path)) this.#add(name === null ? directory : join(directory, name));
        });
        watcher.on("error", (error) => failed(path, error));
        this.#watchers.push(watcher);
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    for (const watcher of this.#watchers) watcher.close();
    clearTimeout(this.#quiet);
    clearTimeout(this.#patience);
  }

  #add(path: string): void {
    this.#changed.add(path);
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => this.#flush(), QUIET);
    this.#patience ??= setTimeout(() => this.#flush(), PATIENCE);
  }

  #flush(): void {
    clearTimeout(this.#quiet);
    clearTimeout(this.#patience);
    this.#patience = undefined;
    const paths = new Set(this.#changed);
    this.#changed.clear();
    this.#tell(paths);
  }
}
