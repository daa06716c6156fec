import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, type Stats } from "node:fs";
import { join } from "node:path";
import { byteStringOf } from "../../archive/bytes.ts";
import { archiveEnd, encodeEntry, encodeHeader, padding } from "../../archive/tar-encode.ts";
import { messageOf, OnggiError } from "../../lib/errors.ts";
import { codeOf, type Host } from "../host.ts";
import type { Trigger } from "./rules.ts";

/** What of a set of paths is to be brought into a container, by the place it has there. */
export interface Synced {
  /** Place in the container -> path here, of files, links and directories. */
  readonly put: ReadonlyMap<string, string>;
  /** Places in the container of what is gone here. */
  readonly gone: readonly string[];
}

/** What the paths come to now: of a directory all in it that the rule covers. */
export function syncedOf(trigger: Trigger, paths: Iterable<string>): Synced {
  const put = new Map<string, string>();
  const gone: string[] = [];
  const visit = (path: string): void => {
    const stat = statOf(path);
    if (stat === undefined) gone.push(trigger.targetOf(path));
    else if (stat.isFile() || stat.isSymbolicLink()) put.set(trigger.targetOf(path), path);
    else if (stat.isDirectory()) {
      // an empty one is one, too; with `include` only the files are meant
      if (trigger.rule.include === undefined && path !== trigger.rule.path) put.set(trigger.targetOf(path), path);
      for (const name of namesIn(path)) if (isWanted(trigger, join(path, name))) visit(join(path, name));
    }
  };
  for (const path of paths) visit(path);
  return { put, gone };
}

/** Directories are gone through, whatever `include` says: it is about files. */
const isWanted = (trigger: Trigger, path: string): boolean => trigger.covers(path) || (statOf(path)?.isDirectory() ?? false);

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(String(codeOf(error)))) return undefined;
    throw error;
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    // it is gone meanwhile; that is told too
    return [];
  }
}

/** Paths that one command line takes. */
const AT_ONCE = 500;

/** Makes a container's files those of here. Throws OnggiError `sync_failed`, and what copying throws. */
export async function sync(host: Host, container: string, { put, gone }: Synced): Promise<void> {
  // what was in a directory went with it
  const all = new Set(gone);
  const whole = gone.filter((place) => !hasParentIn(place, all));
  for (let at = 0; at < whole.length; at += AT_ONCE) await remove(host, container, whole.slice(at, at + AT_ONCE));
  if (put.size === 0) return;
  const broken = new AbortController();
  const opened = (input: { stdin(chunk: Uint8Array): Promise<void>; endStdin(): void }): void => {
    void (async () => {
      for (const chunk of tarOf(put)) await input.stdin(chunk);
      input.endStdin();
    })().catch((error: unknown) => broken.abort(new OnggiError("sync_failed", messageOf(error))));
  };
  await host.call("copyIn", { container, path: "/" }, { opened }, AbortSignal.any([broken.signal, host.signal]));
}

function hasParentIn(place: string, places: ReadonlySet<string>): boolean {
  for (let end = place.lastIndexOf("/"); end > 0; end = place.lastIndexOf("/", end - 1)) {
    if (places.has(place.slice(0, end))) return true;
  }
  return false;
}

async function remove(host: Host, container: string, places: readonly string[]): Promise<void> {
  const said: Uint8Array[] = [];
  const keep = (chunk: Uint8Array): void => void said.push(chunk.slice(0, 500));
  const exec = { command: ["rm", "-rf", "--", ...places], user: "0" };
  const attach = { stdin: false, stdout: true, stderr: true };
  const { exitCode } = await host.call("exec", { container, exec, attach }, { stdout: keep, stderr: keep }, host.signal);
  if (exitCode === 0) return;
  throw new OnggiError("sync_failed", `rm in the container exited with ${exitCode}: ${Buffer.concat(said).toString().trim()}`);
}

/** Bytes of a file, at most, that are in memory. */
const PIECE = 256 * 1024;

/** As of root, which is who files of an image are of; what vanishes meanwhile is left out. */
function* tarOf(put: ReadonlyMap<string, string>): Generator<Uint8Array> {
  for (const [place, path] of [...put].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const name = byteStringOf(place.replace(/^\/+/, ""));
    const stat = statOf(path);
    if (stat === undefined || name === "") continue;
    const common = { name, mode: stat.mode & 0o7777, mtime: Math.floor(stat.mtimeMs / 1000) };
    if (stat.isDirectory()) yield encodeEntry({ ...common, type: "dir" });
    else if (stat.isSymbolicLink()) yield encodeEntry({ ...common, type: "symlink", link: byteStringOf(readlinkSync(path)) });
    else if (stat.isFile()) yield* fileOf(path, common);
  }
  yield archiveEnd();
}

function* fileOf(path: string, common: { name: string; mode: number; mtime: number }): Generator<Uint8Array> {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (["ENOENT", "ELOOP"].includes(String(codeOf(error)))) return;
    throw error;
  }
  try {
    const { size } = fstatSync(fd);
    yield encodeHeader({ ...common, type: "file", size });
    for (let left = size; left > 0; ) {
      const piece = Buffer.alloc(Math.min(left, PIECE));
      // zeros for what was cut off meanwhile: there is another change to come
      readSync(fd, piece);
      yield piece;
      left -= piece.length;
    }
    yield padding(size);
  } finally {
    closeSync(fd);
  }
}
