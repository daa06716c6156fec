import { expect, test } from "bun:test";
import fc from "fast-check";
import type { EntryType, TarEntry, Xattr } from "../archive/tar-types.ts";
import { Inode } from "./tree.ts";
import { shownXattrs } from "./tree-xattrs.ts";

const shown = (type: EntryType, xattrs: readonly Xattr[] | null): readonly Xattr[] =>
  shownXattrs(new Inode({ type, xattrs } as TarEntry, 0));

const value = Buffer.from("1");

test("overlayfs's own are not shown, whatever their name; those of users are", () => {
  const names = ["opaque", "metacopy", "redirect", "whiteout", "overlay.opaque", "", "made-up"].map(
    (name) => `trusted.overlay.${name}`,
  );
  expect(
    shown(
      "dir",
      names.map((name) => ({ name, value })),
    ),
  ).toEqual([]);
  const kept = ["trusted.overlays", "user.overlay.opaque", "security.x"].map((name) => ({ name, value }));
  expect(shown("dir", kept)).toEqual(kept);
  expect(shown("file", null)).toEqual([]);
});

test("the marks of an opaque directory are ours, not the layer's", () => {
  const inode = new Inode(
    { type: "dir", xattrs: [{ name: "trusted.overlay.opaque", value: Buffer.from("x") }] } as unknown as TarEntry,
    0,
  );
  inode.opaque = true;
  expect(shownXattrs(inode).map(({ name, value: text }) => `${name}=${text}`)).toEqual([
    `trusted.overlay.opaque=${Buffer.from("y")}`,
    `user.overlay.opaque=${Buffer.from("y")}`,
  ]);
});

test("any bytes are an attribute or none", () => {
  const name = fc.constantFrom("system.posix_acl_access", "system.posix_acl_default", "security.capability", "user.x", ".", "");
  const type = fc.constantFrom<EntryType>("file", "dir", "symlink", "fifo");
  fc.assert(
    fc.property(name, type, fc.uint8Array({ maxLength: 60 }), (text, kind, bytes) => {
      const given: Xattr[] = [{ name: text, value: bytes }];
      expect([0, 1]).toContain(shown(kind, given).length);
    }),
  );
});
