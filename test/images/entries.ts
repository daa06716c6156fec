/** Entries of a layer, written by hand: names and contents are byte strings, all have one time. */
import { archiveEnd, encodeEntry, encodeHeader, type NewEntry } from "../../src/archive/tar-encode.ts";

export type Extra = Partial<Omit<NewEntry, "type" | "name">>;

const stamp = { mtime: 1_600_000_000, mtimeNs: 123_456_789 };

export const dir = (name: string, extra: Extra = {}): Buffer => encodeHeader({ type: "dir", name, ...stamp, ...extra });
export const file = (name: string, data = name, extra: Extra = {}): Buffer =>
  encodeEntry({ type: "file", name, ...stamp, ...extra }, Buffer.from(data, "latin1"));
export const symlink = (name: string, link: string, extra: Extra = {}): Buffer =>
  encodeHeader({ type: "symlink", name, link, ...stamp, ...extra });
export const hardLink = (name: string, link: string): Buffer => encodeHeader({ type: "link", name, link, ...stamp });
export const node = (type: "char" | "block" | "fifo", name: string, extra: Extra = {}): Buffer =>
  encodeHeader({ type, name, ...stamp, ...extra });
/** The whiteout of a path. */
export const gone = (path: string): Buffer => {
  const slash = path.lastIndexOf("/") + 1;
  return file(`${path.slice(0, slash)}.wh.${path.slice(slash)}`, "");
};
export const opaque = (path: string): Buffer => file(`${path === "" ? "" : `${path}/`}.wh..wh..opq`, "");
/** A layer with an entry for its root. */
export const layer = (...parts: readonly Buffer[]): Buffer => Buffer.concat([dir("."), ...parts, archiveEnd()]);
