/**
 * Filling an empty volume: first a directory beside it, the **staging** directory, then by renames. It lies in the same file system:
 * beside the volume's directory, or in it where something is mounted there. The volume's record says when the staging directory is
 * whole; what interrupts the renames is followed by `finishFill`, as often as it takes.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setAttributes } from "../archive/attributes.ts";
import { bytesOf } from "../archive/bytes.ts";
import { namesIn, xattrsOf } from "../archive/tree-reader.ts";
import { close, fstat, isErrno, O, open, RENAME, renameat2 } from "../sys/index.ts";

const INSIDE = ".onggi-filling";
const DIRECTORY = O.O_PATH | O.O_DIRECTORY | O.O_NOFOLLOW;

/** Where a volume's staging directory may be. */
export const stagingPaths = (directory: string, data: string): string[] => [join(directory, "_filling"), join(data, INSIDE)];

export const isEmpty = (data: string): boolean => readdirSync(data).every((name) => name === INSIDE);

/** On the disk: sync(1) of one file system, which may have much to write, beside everything else. */
export async function sync(path: string): Promise<void> {
  const child = Bun.spawn(["sync", "-f", path], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
  await child.exited;
}

export interface Staged {
  readonly path: string;
  /** Puts the whole directory in place of the volume's. False where that cannot be; then nothing has changed. */
  replace(): boolean;
}

/** Has `work` fill a new staging directory. When it throws, that is gone. */
export async function stage(
  directory: string,
  data: string,
  mounted: boolean,
  work: (directory: number) => Promise<unknown>,
): Promise<Staged> {
  const path = stagingPaths(directory, data)[mounted ? 1 : 0]!;
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path, { mode: 0o755 });
  const fd = open(path, DIRECTORY);
  try {
    await work(fd);
    if (namesIn(fd).length > 0) await sync(path);
  } catch (error) {
    rmSync(path, { recursive: true, force: true });
    throw error;
  } finally {
    close(fd);
  }
  return {
    path,
    replace: () => {
      try {
        renameSync(path, data);
        return true;
      } catch (error) {
        if (["EBUSY", "ENOTEMPTY", "EEXIST"].includes((error as { code?: string }).code ?? "")) return false;
        throw error;
      }
    },
  };
}

/** Moves what the staging directory has into the volume, gives that its attributes, and removes it. What is there already stays. */
export function finishFill(path: string, data: string): void {
  if (!existsSync(path)) return;
  const from = open(path, DIRECTORY);
  const to = open(data, DIRECTORY);
  try {
    for (const name of namesIn(from)) {
      try {
        renameat2(from, bytesOf(name), to, bytesOf(name), RENAME.RENAME_NOREPLACE);
      } catch (error) {
        if (!isErrno(error, "EEXIST")) throw error;
      }
    }
    const { uid, gid, mode, mtimeNs } = fstat(from);
    setAttributes(to, { type: "dir", uid, gid, mode: mode & 0o7777, mtimeNs, xattrs: xattrsOf(from) });
  } finally {
    close(from);
    close(to);
  }
  try {
    rmdirSync(path);
  } catch {
    rmSync(path, { recursive: true, force: true });
  }
}
