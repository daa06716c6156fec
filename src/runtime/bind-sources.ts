/** What the compiler has to know about the host's and the image's files and cannot find out itself. */
import { lstatSync, readlinkSync, statSync } from "node:fs";
import { messageOf, OnggiError } from "../lib/errors.ts";
import type { Spec } from "../oci/spec.ts";
import { AT, close, isErrno, MAGIC, O, openat2, RESOLVE, statfs, statx } from "../sys/index.ts";
import { parseMountOptions } from "./mount-options.ts";
import { cleanPath, isWithin } from "./paths.ts";

/** Members of the compiler's input; sources are spelt as the specification does. */
export interface BindSources {
  /** No directories: their mount points are made as files. */
  readonly fileSources: Set<string>;
  /** Symbolic links to be made anew in the container (copy-symlink) -> where they lead to. */
  readonly linkSources: Map<string, string>;
  /** On a procfs. */
  readonly procSources: Set<string>;
}

/**
 * Looks at every bind source; relative ones start from `bundle`. Throws OnggiError `mount_source_missing`. A source that
 * changes its kind between this look and the mount makes the mount fail; it cannot make it go elsewhere.
 */
export function bindSources(spec: Spec, bundle = "/"): BindSources {
  const found: BindSources = { fileSources: new Set(), linkSources: new Map(), procSources: new Set() };
  for (const { source, type, options: names, destination } of spec.mounts ?? []) {
    const options = parseMountOptions(names ?? [], type);
    if (!source || !options.bind || options.remount) continue;
    const path = source.startsWith("/") ? source : `${bundle}/${source}`;
    try {
      if (options.copySymlink && lstatSync(path).isSymbolicLink()) {
        found.linkSources.set(source, readlinkSync(path));
        continue;
      }
      const stat = options.sourceNoFollow ? lstatSync(path) : statSync(path);
      if (!stat.isDirectory()) found.fileSources.add(source);
      if (cleanPath(destination) === "/proc" && statfs(path).type === MAGIC.PROC_SUPER_MAGIC) found.procSources.add(source);
    } catch (error) {
      throw new OnggiError("mount_source_missing", `mount source ${source} for ${destination}: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }
  return found;
}

/** The bind sources that are no directories, as `bindSources` finds them. */
export const bindSourceFiles = (spec: Spec, bundle = "/"): Set<string> => bindSources(spec, bundle).fileSources;

/**
 * Modes of the directories that each tmpfs covers, by the mount's index: what is mounted there looks like what was there, as
 * with runc. `root` is the root file system, open. A directory that another mount brings is not looked at.
 */
export function tmpfsModes(spec: Spec, root: number): Record<number, number> {
  const modes: Record<number, number> = {};
  const covered: string[] = [];
  (spec.mounts ?? []).forEach(({ destination, type, options: names }, index) => {
    const path = cleanPath(destination);
    const options = parseMountOptions(names ?? [], type);
    const inImage = !covered.some((above) => isWithin(path, above));
    covered.push(path);
    if (type !== "tmpfs" || options.bind || options.remount || !inImage) return;
    const mode = modeOf(root, path.slice(1));
    if (mode !== undefined) modes[index] = mode;
  });
  return modes;
}

/** Links do not lead out of the root. Undefined where there is no directory, which the mount itself then makes or refuses. */
function modeOf(root: number, path: string): number | undefined {
  let fd: number;
  try {
    const resolve = RESOLVE.RESOLVE_IN_ROOT | RESOLVE.RESOLVE_NO_MAGICLINKS;
    fd = openat2(root, path, { flags: O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC, resolve });
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "EXDEV")) return undefined;
    throw error;
  }
  try {
    return statx(fd, "", AT.AT_EMPTY_PATH).mode & 0o7777;
  } finally {
    close(fd);
  }
}
