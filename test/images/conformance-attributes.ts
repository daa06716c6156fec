/** Cases of modes, owners, times, attributes and devices; see conformance.ts. */
import type { Case } from "./conformance-case.ts";
import { dir, file, hardLink, layer, node, symlink } from "./entries.ts";
import { overlayAttributes } from "./overlay-attributes.ts";
import type { Reference } from "./references.ts";

const both: readonly Reference[] = ["tar", "umoci"];
const umoci: readonly Reference[] = ["umoci"];

const xattr = (name: string, value: string): { name: string; value: Buffer } => ({ name, value: Buffer.from(value, "latin1") });
const capability = (revision: number, ...words: number[]): Buffer => {
  const value = Buffer.alloc(4 * (1 + words.length));
  for (const [i, word] of [((revision << 24) | 1) >>> 0, ...words].entries()) value.writeUInt32LE(word, 4 * i);
  return value;
};

const aclTags = { u: 1, U: 2, g: 4, G: 8, m: 16, o: 32 } as const;

/** An access control list: "U4:5" is user 5 with the right to read. Source: linux/posix_acl_xattr.h. */
const acl = (kind: "access" | "default", ...entries: readonly string[]): { name: string; value: Buffer } => {
  const value = Buffer.alloc(4 + 8 * entries.length);
  value.writeUInt32LE(2);
  for (const [i, entry] of entries.entries()) {
    value.writeUInt16LE(aclTags[entry[0] as keyof typeof aclTags], 4 + 8 * i);
    value.writeUInt16LE(Number(entry[1]), 6 + 8 * i);
    value.writeUInt32LE(Number(entry.slice(3) || 0xffffffff), 8 + 8 * i);
  }
  return { name: `system.posix_acl_${kind}`, value };
};

export const attributes: readonly Case[] = [
  {
    name: "modes: set-id bits, sticky, none at all",
    by: both,
    layers: [
      layer(
        ...[0, 0o1, 0o444, 0o644, 0o1777, 0o2755, 0o4755, 0o6711, 0o7777].flatMap((mode) => [
          file(`file-${mode}`, "x", { mode, uid: 7, gid: 8 }),
          dir(`dir-${mode}`, { mode, uid: 7, gid: 8 }),
          node("fifo", `fifo-${mode}`, { mode }),
        ]),
        symlink("link", "x", { mode: 0o600 }),
      ),
    ],
  },
  {
    name: "owners up to the largest, and the one that is none",
    by: both,
    layers: [
      layer(
        ...[0, 65_534, 65_535, 2_097_151, 2_097_152, 2 ** 31 - 1, 2 ** 31, 2 ** 31 + 5, 2 ** 32 - 2, 2 ** 32 - 1].flatMap(
          (id) => [
            file(`u${id}`, "x", { uid: id, gid: 1 }),
            dir(`g${id}`, { uid: 2, gid: id }),
            symlink(`s${id}`, "x", { uid: id, gid: id }),
          ],
        ),
      ),
    ],
  },
  {
    name: "times before 1970, beyond 2038, to the nanosecond",
    by: both,
    layers: [
      layer(
        ...(
          [
            [0, 0],
            [0, 1],
            [-1, 0],
            [-2, 500_000_000],
            [-(2 ** 31), 0],
            [2 ** 31, 999_999_999],
            [2 ** 33, 1],
            [8 ** 11 - 1, 0],
          ] as const
        ).flatMap(([mtime, mtimeNs], i) => [
          file(`f${i}`, "x", { mtime, mtimeNs }),
          dir(`d${i}`, { mtime, mtimeNs }),
          symlink(`s${i}`, "x", { mtime, mtimeNs }),
          node("fifo", `p${i}`, { mtime, mtimeNs }),
        ]),
      ),
    ],
  },
  {
    name: "extended attributes of every kind that a layer may bring",
    by: both,
    layers: [
      layer(
        file("capable", "x", { mode: 0o755, xattrs: [{ name: "security.capability", value: capability(2, 1 << 13, 0, 0, 0) }] }),
        file("rooted", "x", { xattrs: [{ name: "security.capability", value: capability(3, 1 << 13, 0, 0, 0, 1_000_000) }] }),
        file("user", "x", { xattrs: [xattr("user.a", "1"), xattr("user.bytes", "\0\n=\xff%")] }),
        file("big", "x", { xattrs: [xattr("user.big", "v".repeat(3000)), xattr(`user.${"n".repeat(250)}`, "long name")] }),
        dir("dir", { xattrs: [xattr("user.dir", "d"), xattr("trusted.dir", "t")] }),
        symlink("link", "x", { xattrs: [xattr("trusted.link", "t")] }),
        node("fifo", "fifo", { xattrs: [xattr("trusted.fifo", "t")] }),
      ),
    ],
  },
  {
    name: "an extended attribute without a value",
    by: ["tar"],
    layers: [layer(file("empty", "x", { xattrs: [xattr("user.empty", "")] }))],
  },
  {
    name: "an upper layer's entry of a directory has its own attributes only",
    by: umoci,
    layers: [
      layer(dir("d", { mode: 0o700, xattrs: [xattr("user.a", "1"), xattr("user.b", "2")] }), file("d/x")),
      layer(dir("d", { mode: 0o1777, uid: 5, mtime: 9, xattrs: [xattr("user.b", "3")] })),
    ],
  },
  {
    name: "overlayfs's own attributes, of which none is taken over",
    by: ["tar"],
    layers: [layer(...overlayAttributes)],
    withoutAttributes: / trusted\.overlay\.\S+/g,
  },
  {
    name: "devices with the largest numbers, FIFOs",
    by: both,
    layers: [
      layer(
        node("char", "null", { mode: 0o666, major: 1, minor: 3 }),
        node("char", "largest", { mode: 0o600, uid: 1, gid: 2, major: 0xfff, minor: 0xfffff }),
        node("block", "disk", { mode: 0o660, major: 259, minor: 70_000 }),
        node("block", "zero", { major: 0, minor: 0 }),
        node("fifo", "fifo", { mode: 0o622, xattrs: null }),
        hardLink("null-again", "null"),
      ),
    ],
  },
  {
    name: "character devices 0/0",
    by: umoci,
    layers: [
      layer(dir("d"), file("d/a"), file("b"), file("c")),
      layer(...["d/a", "b", "new"].map((name) => node("char", name, { major: 0, minor: 0 }))),
    ],
    without: { names: ["d/a", "b", "new"], why: "overlayfs takes them for whiteouts: names that can be listed and not be found" },
  },
  {
    name: "access control lists",
    by: both,
    layers: [
      layer(
        file("a", "x", { mode: 0o640, xattrs: [acl("access", "u6", "U4:5", "g4", "G7:4000000000", "m4", "o0")] }),
        dir("d", { xattrs: [acl("default", "u7", "g5", "o0")] }),
        file("d/inherits-nothing", "x", { mode: 0o666 }),
        dir("d/s", {
          mode: 0o770,
          xattrs: [acl("default", "u7", "U6:1", "g5", "m7", "o5"), acl("access", "u7", "U6:1", "g5", "m7", "o0")],
        }),
      ),
    ],
  },
  {
    name: "attributes that Linux keeps on no such file are left out",
    by: ["tar"],
    layers: [
      layer(
        symlink("link", "x", {
          xattrs: [xattr("user.a", "1"), xattr("trusted.kept", "1"), acl("access", "u6", "U4:5", "g4", "m4", "o0")],
        }),
        node("fifo", "fifo", { xattrs: [xattr("user.a", "1"), xattr("trusted.kept", "1")] }),
        node("char", "null", { major: 1, minor: 3, xattrs: [xattr("user.a", "1")] }),
        file("capability", "x", { xattrs: [xattr("security.capability", "none"), xattr("user.kept", "1")] }),
        file("list", "x", { xattrs: [xattr("system.posix_acl_access", "none"), acl("default", "u6", "g4", "o4")] }),
        file("order", "x", { xattrs: [acl("access", "u6", "g4", "U4:5", "m4", "o4"), xattr("user.kept", "1")] }),
        file("no-mask", "x", { xattrs: [acl("access", "u6", "U4:5", "g4", "o4")] }),
        file("no-more-than-mode", "x", { xattrs: [acl("access", "u6", "g4", "o4")] }),
        file("names", "x", {
          xattrs: [
            ..."user. trusted. security. system.nfs4_acl bogus.x nodot .".split(" "),
            "user.\xff\xfe",
            "user.\xc3\xbc",
          ].map((name) => xattr(name, "1")),
        }),
      ),
    ],
  },
];
