/** Copies between files here and a container's, or a volume's; `cp` and `volume cp`. The files here are read and written by this process. */
import { lstatSync, readlinkSync, realpathSync, statSync } from "node:fs";
import { posix } from "node:path";
import { byteStringOf } from "../archive/bytes.ts";
import { packPath, unpackInto } from "../archive/local-files.ts";
import type { TarEntry } from "../archive/tar-types.ts";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { decimalSize } from "../lib/units.ts";
import { type Context, line } from "./context.ts";
import { absolute, type CopyDestination, type CopySource, nameOfTarget, planCopy, renamed, splitEntry } from "./copy-names.ts";
import { UsageError } from "./errors.ts";
import { bool } from "./flags.ts";

export const copyFlags = {
  archive: bool("a", "in: for the container's user; out: with the owners that the container sees"),
  "follow-link": bool("L", "follow a link that is named as the source"),
  quiet: bool("q", "say nothing when it is done"),
};

export interface CopyOptions {
  archive?: boolean;
  "follow-link"?: boolean;
  quiet?: boolean;
}

/** A container or a volume, and its name as it was given. */
export interface Remote {
  readonly target: { container: string } | { volume: string };
  readonly name: string;
}

// os.FileMode of Go, as the engine tells modes
const GO_DIRECTORY = 2 ** 31;
const GO_LINK = 2 ** 27;
const GO_OTHER = 2 ** 26 + 2 ** 25 + 2 ** 24 + 2 ** 21;
const has = (mode: number, bits: number): boolean => ((mode / 2 ** 20) & (bits / 2 ** 20)) !== 0;

const fail = (code: string, message: string): OnggiError => new OnggiError(code, message);

const done = async (context: Context, options: CopyOptions, bytes: number, to: string): Promise<void> => {
  if (options.quiet || !(await context.terminal()).isTerminal(2)) return;
  await line(context.stderr, `Successfully copied ${decimalSize(bytes)} to ${to}`);
};

/** From a container to a path here, or as a tar to standard output. */
export async function copyOut(context: Context, remote: Remote, from: string, to: string, options: CopyOptions): Promise<void> {
  const destination = to === "-" ? null : absolute(context.cwd, to);
  if (destination === null && (await context.terminal()).isTerminal(1))
    throw new UsageError("name a file or a directory: standard output is a terminal");
  if (destination !== null) checkOutput(destination);
  const source = options["follow-link"] ? await followed(context, remote, from) : { path: from };
  const request = { ...remote.target, path: source.path };
  if (destination === null) {
    await context.call("copyOut", request, { item: () => {}, stdout: (chunk) => context.stdout.write(chunk) });
    return;
  }
  let bytes = 0;
  let unpacking: ReturnType<typeof unpackInto> | undefined;
  try {
    await context.call("copyOut", request, {
      item: ({ mode }) => {
        const plan = planCopy({ ...source, isDirectory: has(mode, GO_DIRECTORY) }, destinationHere(destination));
        const inArchive = byteStringOf(splitEntry(posix.resolve("/", source.path) + ending(source.path)).base);
        const to = byteStringOf(plan.name);
        const map = (entry: TarEntry) => mapped(entry, inArchive, to, options);
        unpacking = unpackInto(plan.directory, { map, where: plan.directory });
      },
      stdout: (chunk) => {
        bytes += chunk.length;
        unpacking?.push(chunk);
      },
    });
    unpacking?.end();
  } finally {
    unpacking?.close();
  }
  await done(context, options, bytes, to);
}

const ending = (path: string): string => (/(^|\/)\.$/.test(path) ? "/." : "");

function mapped(entry: TarEntry, from: string, to: string, { archive }: CopyOptions): TarEntry | null {
  const name = renamed(entry.name, from, to);
  if (name === null) return null;
  const link = entry.type === "link" ? (renamed(entry.link, from, to) ?? "") : entry.link;
  const owner = archive ? {} : { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  return { ...entry, ...owner, name, link };
}

/** A link that was named as the source: what it leads to, under its own name. */
async function followed(context: Context, remote: Remote, path: string): Promise<{ path: string; name?: string }> {
  const { mode, linkTarget } = await context.call("copyStat", { ...remote.target, path });
  return has(mode, GO_LINK) ? nameOfTarget(path, linkTarget) : { path };
}

/** To a container from a path here, or from a tar on standard input. */
export async function copyIn(context: Context, remote: Remote, from: string, to: string, options: CopyOptions): Promise<void> {
  const destination = await destinationThere(context, remote, to);
  let directory = destination.path;
  let chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
  if (from === "-") {
    if (!destination.isDirectory) throw fail("not_a_directory", `destination "${remote.name}:${to}" must be a directory`);
    if ((await context.terminal()).isTerminal(0)) throw new UsageError("give the tar on standard input: there it is a terminal");
    chunks = context.stdin();
  } else {
    const source = sourceHere(absolute(context.cwd, from), options["follow-link"] ?? false);
    const plan = planCopy(source, destination);
    directory = plan.directory;
    chunks = packPath(source.path, plan.name === "/" ? "" : plan.name);
  }
  let bytes = 0;
  const broken = new AbortController();
  const request = {
    ...remote.target,
    path: directory,
    noOverwriteDirNonDir: true,
    ...(options.archive ? { copyUidGid: true } : {}),
  };
  const opened = (input: { stdin(chunk: Uint8Array): Promise<void>; endStdin(): void }): void => {
    void (async () => {
      for await (const chunk of chunks) {
        bytes += chunk.length;
        await input.stdin(chunk);
      }
      input.endStdin();
    })().catch((error: unknown) => broken.abort(fail("copy_failed", messageOf(error))));
  };
  await context.call("copyIn", request, { opened }, broken.signal);
  await done(context, options, bytes, `${remote.name}:${to}`);
}

/** Links of the destination are followed, also to what is not there yet. */
async function destinationThere(context: Context, remote: Remote, path: string): Promise<CopyDestination> {
  const look = async (at: string) => {
    try {
      return await context.call("copyStat", { ...remote.target, path: at });
    } catch (error) {
      // if more is missing than the last name, the copy says so
      if (error instanceof OnggiError && ["path_not_found", "not_a_directory"].includes(error.code)) return null;
      throw error;
    }
  };
  let at = path;
  let stat = await look(at);
  if (stat && has(stat.mode, GO_LINK)) {
    at = stat.linkTarget;
    stat = await look(at);
  }
  if (stat && has(stat.mode, GO_OTHER))
    throw fail("not_a_directory", `destination "${remote.name}:${path}" must be a directory or a regular file`);
  return { path: at, exists: stat !== null, isDirectory: stat !== null && has(stat.mode, GO_DIRECTORY) };
}

/** The file at an absolute path: links on the way to it are followed, with `follow` a last one too. */
function sourceHere(path: string, follow: boolean): CopySource {
  const missing = (error: unknown): OnggiError =>
    fail(
      "path_not_found",
      (error as { code?: string }).code === "ENOENT" ? `lstat ${path}: no such file or directory` : messageOf(error),
    );
  try {
    if (follow) {
      const source = nameOfTarget(path, realpathSync(path));
      return { ...source, isDirectory: lstatSync(source.path).isDirectory() };
    }
    // with a slash at its end it is what a link leads to
    const isDirectory = lstatSync(path).isDirectory();
    return path.endsWith("/") && lstatSync(path.slice(0, -1) || "/").isSymbolicLink()
      ? { path: realpathSync(path), isDirectory, name: splitEntry(path).base }
      : { path, isDirectory };
  } catch (error) {
    throw missing(error);
  }
}

/** As docker: what it would only find out at the end. */
function checkOutput(path: string): void {
  const directory = posix.dirname(posix.normalize(path).replace(/(?<=.)\/$/, ""));
  if (!statSync(directory, { throwIfNoEntry: false }))
    throw fail("path_not_found", `invalid output path: directory "${directory}" does not exist`);
  const there = statSync(path, { throwIfNoEntry: false });
  if (there && !there.isDirectory() && !there.isFile())
    throw fail("not_a_directory", `invalid output path: "${path}" must be a directory or a regular file`);
}

const MAX_LINKS = 10;

function destinationHere(given: string): CopyDestination {
  let path = given;
  for (let links = 0; ; links += 1) {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (!stat) return { path, exists: false, isDirectory: false };
    if (!stat.isSymbolicLink()) return { path, exists: true, isDirectory: stat.isDirectory() };
    if (links === MAX_LINKS) throw fail("too_many_links", `${given}: too many links`);
    path = posix.resolve(splitEntry(path).directory, readlinkSync(path));
  }
}
