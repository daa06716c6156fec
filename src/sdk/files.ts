import { posix } from "node:path";
import type { CallInput } from "../api/control/connection.ts";
import type { CopyTarget, PathStat } from "../api/control/types.ts";
import { byteStringOf } from "../archive/bytes.ts";
import { TarDecoder } from "../archive/tar.ts";
import { archiveEnd, encodeEntry } from "../archive/tar-encode.ts";
import type { TarEntry } from "../archive/tar-types.ts";
import { isOnggiError, OnggiError } from "./errors.ts";
import type { Link } from "./link.ts";
import { packLocal, Unpacker } from "./local-files.ts";
import type { Cancellable, FileContent } from "./options.ts";
import { callOutput, type Output } from "./output.ts";
import { until } from "./until.ts";

/** What a path is. */
export interface FileStat {
  readonly type: "file" | "directory" | "symlink" | "other";
  /** Bytes. */
  readonly size: number;
  /** Permission bits, 0o7777. */
  readonly mode: number;
  readonly modified: Date;
  /** Where a link leads in the end, an absolute path; null for what is none. */
  readonly linkTarget: string | null;
}

export interface WriteOptions extends Cancellable {
  /** 0o644 by default. */
  readonly mode?: number;
  /** Root by default, as the container sees it. */
  readonly uid?: number;
  readonly gid?: number;
}

export interface CopyInOptions extends Cancellable {
  /** Of everything that is copied; root by default, as the container sees it. */
  readonly uid?: number;
  readonly gid?: number;
}

// os.FileMode of Go, as the engine tells modes
const GO_DIRECTORY = 2 ** 31;
const GO_LINK = 2 ** 27;
const GO_OTHER = 2 ** 26 + 2 ** 25 + 2 ** 24 + 2 ** 21;
const GO_BITS = [
  [2 ** 23, 0o4000],
  [2 ** 22, 0o2000],
  [2 ** 20, 0o1000],
] as const;
const has = (mode: number, bits: number): boolean => ((mode / 2 ** 20) & (bits / 2 ** 20)) !== 0;

const kindOf = (mode: number): FileStat["type"] =>
  has(mode, GO_DIRECTORY) ? "directory" : has(mode, GO_LINK) ? "symlink" : has(mode, GO_OTHER) ? "other" : "file";

/**
 * The files of a container, running or not, with what is mounted in it; or of a volume. Paths are absolute.
 *
 *     await container.files.write("/etc/app.conf", "port = 80\n");
 *     const log = await container.files.readText("/var/log/app.log");
 *     await container.files.copyIn("./site", "/srv/site");
 */
export class Files {
  readonly #link: Link;
  readonly #target: { container: string } | { volume: string };

  private constructor(link: Link, target: { container: string } | { volume: string }) {
    this.#link = link;
    this.#target = target;
  }

  /** @internal */
  static of(link: Link, target: { container: string } | { volume: string }): Files {
    return new Files(link, target);
  }

  /** What is at a path; a link is not followed. Throws `path_not_found`. */
  async stat(path: string, { signal }: Cancellable = {}): Promise<FileStat> {
    const { size, mode, mtime, linkTarget } = await this.#stat(path, signal);
    const special = GO_BITS.reduce((sum, [bit, value]) => sum + (has(mode, bit) ? value : 0), 0);
    return {
      type: kindOf(mode),
      size,
      mode: (mode & 0o777) | special,
      modified: new Date(mtime),
      linkTarget: linkTarget || null,
    };
  }

  /** Whether something is at a path. */
  async exists(path: string, options: Cancellable = {}): Promise<boolean> {
    return (await orNull(this.stat(path, options))) !== null;
  }

  /** A file's bytes; links are followed. Throws `path_not_found`, `not_a_file`. */
  async read(path: string, { signal }: Cancellable = {}): Promise<Uint8Array> {
    const { linkTarget } = await this.#stat(path, signal);
    let type: string | undefined;
    const chunks: Uint8Array[] = [];
    const decoder = new TarDecoder({
      entry: (entry) => {
        type ??= entry.type;
      },
      data: (bytes) => void chunks.push(bytes.slice()),
    });
    const stdout = (chunk: Uint8Array): void => {
      if (type === undefined || type === "file") decoder.push(chunk);
    };
    await this.#link.call("copyOut", this.#at(linkTarget || path), { stdout }, signal);
    if (type !== "file")
      throw new OnggiError("not_a_file", `${path} is no file (${type === "dir" ? "a directory" : type}); see copyOut`);
    return Buffer.concat(chunks);
  }

  /** A file's bytes, decoded as UTF-8. */
  async readText(path: string, options: Cancellable = {}): Promise<string> {
    return new TextDecoder().decode(await this.read(path, options));
  }

  /** Writes a file whole, in place of what is there; directories on the way to it are made. A link is followed. */
  async write(
    path: string,
    data: string | Uint8Array,
    { mode = 0o644, uid = 0, gid = 0, signal }: WriteOptions = {},
  ): Promise<void> {
    const there = await orNull(this.#stat(path, signal));
    const place = await this.#place(there?.linkTarget || path, signal);
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    const now = { uid, gid, mtime: Math.floor(Date.now() / 1000) };
    const entry = encodeEntry({ type: "file", name: byteStringOf(place.name), mode, ...now }, bytes);
    await this.#put(place.directory, [...place.missing(now), entry, archiveEnd()], { noOverwriteDirNonDir: true }, signal);
  }

  /**
   * Copies a file or a directory of this machine: `target` is what it becomes, or, where it ends in "/", the directory it is put in.
   * What is there is replaced, file by file; directories on the way are made.
   */
  async copyIn(source: string, target: string, { uid = 0, gid = 0, signal }: CopyInOptions = {}): Promise<void> {
    const named = target.endsWith("/") ? `${target}${source.replace(/\/+$/, "").replace(/^.*\//, "")}` : target;
    const place = await this.#place(named, signal);
    const owner = { uid, gid };
    const missing = place.missing({ ...owner, mtime: Math.floor(Date.now() / 1000) });
    async function* tar(): AsyncGenerator<Uint8Array> {
      yield* missing;
      yield* packLocal(source, place.name, owner);
      yield archiveEnd();
    }
    await this.#put(place.directory, tar(), { noOverwriteDirNonDir: true }, signal);
  }

  /**
   * Copies a file or a directory to this machine: `target` is what it becomes, or, where it ends in "/", the directory it is put in;
   * directories on the way are made. What is copied is the caller's; links are copied as links, and never followed on this machine.
   */
  async copyOut(source: string, target: string, { signal }: Cancellable = {}): Promise<void> {
    const base = posix.basename(posix.resolve("/", source));
    const unpacker = new Unpacker(target.endsWith("/") ? `${target}${base}` : target, byteStringOf(base));
    const decoder = new TarDecoder({ entry: (entry) => unpacker.entry(entry), data: (bytes) => unpacker.data(bytes) });
    try {
      await this.#link.call("copyOut", this.#at(source), { stdout: (chunk) => decoder.push(chunk) }, signal);
      decoder.end();
    } finally {
      unpacker.close();
    }
  }

  /** Files by path, as `files` of `run` has them. */
  async put(files: Readonly<Record<string, FileContent>>, { signal }: Cancellable = {}): Promise<void> {
    for (const [path, content] of Object.entries(files)) {
      if (typeof content === "string" || content instanceof Uint8Array) await this.write(path, content, { signal });
      else if ("source" in content) await this.copyIn(content.source, path, { ...content, signal });
      else await this.write(path, content.data, { ...content, signal });
    }
  }

  /** A file or a directory, as a tar. */
  tar(path: string, { signal }: Cancellable = {}): Output {
    return callOutput((stdout, cut) => this.#link.call("copyOut", this.#at(path), { stdout }, cut), signal);
  }

  /** Unpacks a tar into a directory that is there. `keepOwners`: with the tar's owners, as the container sees them. */
  async untar(
    directory: string,
    tar: ArchiveData,
    { signal, keepOwners = true }: Cancellable & { keepOwners?: boolean } = {},
  ): Promise<void> {
    await this.#put(directory, tar, keepOwners ? {} : { copyUidGid: true }, signal);
  }

  async #put(
    directory: string,
    tar: ArchiveData,
    how: { copyUidGid?: true; noOverwriteDirNonDir?: true },
    signal?: AbortSignal,
  ): Promise<void> {
    const request = { ...this.#at(directory), ...how };
    await sendInput(tar, signal, (opened, cut) => this.#link.call("copyIn", request, { opened }, cut));
  }

  #at(path: string): CopyTarget {
    return { ...this.#target, path };
  }

  #stat(path: string, signal?: AbortSignal): Promise<PathStat> {
    return this.#link.call("copyStat", this.#at(path), {}, signal);
  }

  /** Where something is to be: the last directory on the way to it that is there, and its name from there on. */
  async #place(path: string, signal?: AbortSignal): Promise<Place> {
    const absolute = posix.resolve("/", path);
    if (absolute === "/") throw new OnggiError("not_a_file", `"${path}" is the root directory; name a path below it`);
    const below: string[] = [];
    for (let directory = absolute; ; ) {
      below.unshift(posix.basename(directory));
      directory = posix.dirname(directory);
      if (directory === "/" || (await orNull(this.#stat(directory, signal)))) return placeAt(directory, below);
    }
  }
}

interface Place {
  readonly directory: string;
  /** Relative to it. */
  readonly name: string;
  /** Tar entries of the directories that are missing. */
  missing(attributes: Pick<TarEntry, "uid" | "gid" | "mtime">): Uint8Array[];
}

const placeAt = (directory: string, below: readonly string[]): Place => ({
  directory,
  name: below.join("/"),
  missing: (attributes) =>
    below
      .slice(0, -1)
      .map((_, index) =>
        encodeEntry({ type: "dir", name: byteStringOf(below.slice(0, index + 1).join("/")), mode: 0o755, ...attributes }),
      ),
});

/** Null for what is not there. */
const orNull = <T>(promise: Promise<T>): Promise<T | null> =>
  promise.catch((error: unknown) => {
    if (isOnggiError(error, "path_not_found")) return null;
    throw error;
  });

/** A tar, or another archive: whole or as it comes. */
export type ArchiveData = Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>;

/** @internal Makes a call that reads an archive. What producing it throws cancels the call, and is thrown. */
export async function sendInput<T>(
  archive: ArchiveData,
  signal: AbortSignal | undefined,
  start: (opened: (input: CallInput) => void, cut: AbortSignal) => Promise<T>,
): Promise<T> {
  const chunks = archive instanceof Uint8Array ? [archive] : (archive as AsyncIterable<Uint8Array>);
  const broken = new AbortController();
  let end: () => void = () => {};
  const over = new Promise<void>((resolve) => {
    end = resolve;
  });
  const opened = (input: CallInput): void => {
    void (async () => {
      for await (const chunk of until(over, chunks)) await input.stdin(chunk);
      input.endStdin();
    })().catch((error: unknown) => broken.abort(error));
  };
  try {
    return await start(opened, signal ? AbortSignal.any([signal, broken.signal]) : broken.signal);
  } finally {
    end();
  }
}
