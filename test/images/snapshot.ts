/** A directory tree described name by name, so that two trees can be compared whole. Paths may be longer than PATH_MAX. */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { lgetxattr, llistxattr, O, open } from "../../src/sys/index.ts";

export interface SnapshotOptions {
  /** Leaves times of directories out: a tree made by several extractions has others. */
  readonly directoryTimes?: boolean;
  /** Names ("etc/hosts") that are left out, with all below them. */
  readonly without?: ReadonlySet<string>;
}

const kinds: readonly (readonly [bits: number, name: string])[] = [
  [0o100000, "file"],
  [0o040000, "dir"],
  [0o120000, "symlink"],
  [0o020000, "char"],
  [0o060000, "block"],
  [0o010000, "fifo"],
];

const buffer = Buffer.alloc(1 << 20);

const contentOf = (path: Buffer): string => {
  const hash = createHash("sha256");
  const fd = fs.openSync(path, "r");
  for (let bytes = fs.readSync(fd, buffer); bytes > 0; bytes = fs.readSync(fd, buffer)) hash.update(buffer.subarray(0, bytes));
  fs.closeSync(fd);
  return hash.digest("hex").slice(0, 16);
};

const attributesOf = (path: Buffer): string[] =>
  llistxattr(path)
    .sort()
    .map((attribute) => `${attribute}=${Buffer.from(lgetxattr(path, attribute) ?? []).toString("hex")}`);

/** Path (latin1 of its bytes) to everything a program can see of it: type, mode, owner, time, links, device, attributes, content. */
export const snapshot = (root: string, { directoryTimes = true, without }: SnapshotOptions = {}): Record<string, string> => {
  const found: Record<string, string> = {};
  const firstName = new Map<string, string>();
  const visit = (path: Buffer, name: string): void => {
    const stat = fs.lstatSync(path, { bigint: true });
    const mode = Number(stat.mode);
    const kind = kinds.find(([bits]) => (mode & 0o170000) === bits)?.[1] ?? "unknown";
    const parts = [kind, (mode & 0o7777).toString(8), `${stat.uid}:${stat.gid}`];
    if (kind !== "dir" || directoryTimes) parts.push(`mtime ${stat.mtimeNs}`);
    if (kind === "char" || kind === "block") parts.push(`rdev ${stat.rdev}`);
    if (kind === "symlink") parts.push(`-> ${fs.readlinkSync(path, { encoding: "buffer" }).toString("latin1")}`);
    if (kind === "file") parts.push(`${stat.size} bytes ${contentOf(path)}`);
    if (kind !== "dir" && stat.nlink > 1n) {
      const inode = `${stat.dev}:${stat.ino}`;
      if (!firstName.has(inode)) firstName.set(inode, name);
      parts.push(`${stat.nlink} links with ${firstName.get(inode)}`);
    }
    parts.push(...attributesOf(path));
    found[name] = parts.join(" ");
    if (kind !== "dir") return;
    const fd = open(path, O.O_RDONLY | O.O_DIRECTORY | O.O_NOFOLLOW);
    try {
      const here = `/proc/self/fd/${fd}`;
      const names = fs.readdirSync(here, { encoding: "buffer" }).map((child) => child.toString("latin1"));
      for (const child of names.sort()) {
        const below = name === "." ? child : `${name}/${child}`;
        if (!without?.has(below)) visit(Buffer.from(`${here}/${child}`, "latin1"), below);
      }
    } finally {
      fs.closeSync(fd);
    }
  };
  visit(Buffer.from(root), ".");
  return found;
};
