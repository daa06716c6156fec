/**
 * Places inside the container's root: made when missing, opened without ever leaving the root.
 *
 * Runs in the child, as root of the container, while the host's file system is still in sight. Input is safe because a
 * path is resolved by openat2(2) with RESOLVE_IN_ROOT (a link out of the root stays in it), magic links are refused (the
 * shim's descriptors would be in reach through /proc/self/fd), a missing component is made by mkdirat(2) or O_EXCL, which
 * follow no link, and what was opened is what is mounted on: nothing is looked up twice (CVE-2021-30465).
 *
 * The plan is a straight line, so every component is made and EEXIST accepted: exists, missing and link inside the root
 * come out right. A directory link that dangles fails with ENOENT. A file's last component is not followed: a
 * file is mounted over a link, not where the link leads, so a dangling one (/etc/resolv.conf in many images) is no obstacle.
 */
import type { Reg } from "../plan/ops.ts";
import { O, RESOLVE } from "../sys/constants.ts";
import { errno } from "../sys/errno.ts";
import type { Writer } from "./compile-builder.ts";
import { IN_ROOT, PATH_DIRECTORY, STRICTLY_BELOW } from "./compile-context.ts";
import { components } from "./paths.ts";

export interface TargetOptions {
  readonly kind: "directory" | "file";
  /** No component may be a link: what is mounted there (procfs, sysfs) is trusted by its path (CVE-2019-19921). */
  readonly strict?: boolean;
  /** The last component may be a link, which is then itself the target. */
  readonly noFollow?: boolean;
}

/** Opens `path` below `root`, made when missing. The caller has said what it is about, and closes it. */
export function openTarget(writer: Writer, root: Reg, path: string, options: TargetOptions): Reg {
  const parts = components(path);
  const resolve = IN_ROOT | (options.strict ? RESOLVE.RESOLVE_NO_SYMLINKS : 0);
  const last = parts.at(-1);
  if (last === undefined) return openDirectory(writer, root, ".", resolve);
  let parent = root;
  for (let depth = 1; depth < parts.length; depth++) {
    const next = makeDirectory(writer, root, parent, parts.slice(0, depth), resolve);
    if (parent !== root) writer.close(parent);
    parent = next;
  }
  const target =
    options.kind === "directory" && !options.noFollow
      ? makeDirectory(writer, root, parent, parts, resolve)
      : makeFile(writer, root, parent, parts, resolve, options.kind);
  if (parent !== root) writer.close(parent);
  return target;
}

/** Makes a link at `path`; fails with EEXIST where something is, were it the same link. */
export function symlinkTarget(writer: Writer, root: Reg, path: string, target: string): void {
  const parts = components(path);
  writer.about("mounts", `link ${path} as its source is`);
  const parent = openTarget(writer, root, parts.slice(0, -1).join("/"), { kind: "directory" });
  writer.do({ kind: "symlink", target, dir: parent, path: parts.at(-1) as string });
  if (parent !== root) writer.close(parent);
}

function openDirectory(writer: Writer, dir: Reg, path: string, resolve: number): Reg {
  return writer.keep({ kind: "open", dir, path, flags: PATH_DIRECTORY, mode: 0, resolve });
}

/** Opened from the root, not from the parent: links are resolved against the root. */
function makeDirectory(writer: Writer, root: Reg, parent: Reg, parts: string[], resolve: number): Reg {
  writer.do({ kind: "mkdir", dir: parent, path: parts.at(-1) as string, mode: 0o755, accept: [errno.EEXIST] });
  return openDirectory(writer, root, parts.join("/"), resolve);
}

function makeFile(writer: Writer, root: Reg, parent: Reg, parts: string[], resolve: number, kind: TargetOptions["kind"]): Reg {
  const flags = O.O_PATH | O.O_NOFOLLOW | O.O_CLOEXEC;
  if (kind === "directory") {
    writer.do({ kind: "mkdir", dir: parent, path: parts.at(-1) as string, mode: 0o755, accept: [errno.EEXIST] });
    return writer.keep({ kind: "open", dir: root, path: parts.join("/"), flags, mode: 0, resolve });
  }
  const create = O.O_WRONLY | O.O_CREAT | O.O_EXCL | O.O_CLOEXEC;
  const path = parts.at(-1) as string;
  const made = writer.keep({
    kind: "open",
    dir: parent,
    path,
    flags: create,
    mode: 0o644,
    resolve: STRICTLY_BELOW,
    accept: [errno.EEXIST, errno.ELOOP],
  });
  writer.close(made);
  return writer.keep({ kind: "open", dir: root, path: parts.join("/"), flags, mode: 0, resolve });
}
