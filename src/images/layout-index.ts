/**
 * index.json, by which others read the store as an OCI layout (OCI image specification, image-layout.md). It is derived from the
 * database, which is what counts, and written as a whole: so it follows the changes instead of being part of each.
 *
 * Guarantees: a reader finds a whole file. A change that comes alone is in it as soon as the engine has nothing else to do; of
 * many in a row the last is in it a second later. `catchUp` brings it up to date at once. A process that dies leaves one that
 * `restore` makes right.
 */
import * as fs from "node:fs";
import { join } from "node:path";
import type { ContentStore } from "./content.ts";

/** Writing takes this part of the time at most. */
const SHARE = 1 / 10;
const MAX_PAUSE_MS = 1000;

export class LayoutIndex {
  readonly #path: string;
  readonly #content: ContentStore;
  readonly #text: () => string;
  /** The file does not say what `text` does. */
  #behind = false;
  #timer: ReturnType<typeof setTimeout> | null = null;
  /** By performance.now(). */
  #notBefore = 0;

  /** `text` gives what the file should say. */
  constructor(content: ContentStore, text: () => string) {
    this.#path = join(content.root, "index.json");
    this.#content = content;
    this.#text = text;
  }

  /** The text is another one now: the file will follow. */
  changed(): void {
    this.#behind = true;
    this.#timer ??= setTimeout(() => this.catchUp(), Math.max(0, this.#notBefore - performance.now()));
  }

  /** Writes the file if it is behind. Where it cannot be written it stays behind until the next change. */
  catchUp(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    if (!this.#behind) return;
    const from = performance.now();
    const temporary = this.#content.temporaryPath();
    try {
      fs.writeFileSync(temporary, this.#text());
      fs.renameSync(temporary, this.#path);
      this.#behind = false;
    } catch {
      // What the change was about is done and durable, whatever becomes of a derived file.
      fs.rmSync(temporary, { force: true });
    }
    const now = performance.now();
    this.#notBefore = now + Math.min(MAX_PAUSE_MS, (now - from) / SHARE);
  }

  /** Writes the file if it is not what it should be, whatever made it so. */
  restore(): void {
    this.#behind ||= !fs.existsSync(this.#path) || fs.readFileSync(this.#path, "utf8") !== this.#text();
    this.catchUp();
  }
}
