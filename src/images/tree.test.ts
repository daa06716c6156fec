import { expect, test } from "bun:test";
import { TarDecoder } from "../archive/tar.ts";
import { encodeHeader, type NewEntry } from "../archive/tar-encode.ts";
import type { TarEntry } from "../archive/tar-types.ts";
import { buildTree, type Inode, type Whiteouts } from "./tree.ts";

/** Shorthand: "d/" a directory, "s -> t" a symbolic link, "h = t" a hard link, else a file; ".wh." as in a tar. */
const entries = (...lines: string[]): TarEntry[] => {
  const found: TarEntry[] = [];
  const decoder = new TarDecoder({ entry: (entry) => found.push(entry) });
  for (const line of lines) {
    const symlink = /^(\S+) -> (\S+)$/.exec(line);
    const link = /^(\S+) = (\S+)$/.exec(line);
    let entry: NewEntry = { type: "file", name: line };
    if (symlink) entry = { type: "symlink", name: symlink[1]!, link: symlink[2]! };
    else if (link) entry = { type: "link", name: link[1]!, link: link[2]! };
    else if (line.endsWith("/")) entry = { type: "dir", name: line.slice(0, -1), mode: 0o700 };
    decoder.push(encodeHeader(entry));
  }
  return found;
};

/** The tree as lines, each with the layer it came from. */
const show = (root: Inode): string[] => {
  const lines: string[] = [];
  const visit = (inode: Inode, path: string): void => {
    for (const [name, child] of [...inode.children!].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const { type, link } = child.entry;
      const end =
        type === "dir"
          ? child.implicit
            ? "/ implicit"
            : "/"
          : type === "symlink"
            ? ` -> ${link}`
            : type === "char"
              ? " whiteout"
              : "";
      lines.push(`${path}${name}${end}${child.opaque ? " opaque" : ""} ${child.layer}`);
      if (child.children) visit(child, `${path}${name}/`);
    }
  };
  visit(root, "");
  return lines;
};

const merged = (layers: string[][], whiteouts: Whiteouts = "resolve"): string[] =>
  show(
    buildTree(
      layers.map((lines) => entries(...lines)),
      whiteouts,
    ),
  );

test("layers lie one over the other", () => {
  expect(
    merged([
      ["a/", "a/x", "a/y", "b"],
      ["a/y", "a/z", "c/d"],
    ]),
  ).toEqual(["a/ 0", "a/x 0", "a/y 1", "a/z 1", "b 0", "c/ implicit 1", "c/d 1"]);
});

test("a whiteout removes what lower layers have of that name, wherever it stands in its layer", () => {
  expect(
    merged([
      ["a/", "a/x", "b"],
      ["a/.wh.x", ".wh.b"],
    ]),
  ).toEqual(["a/ 0"]);
  expect(merged([["a"], ["a", ".wh.a"]])).toEqual(["a 1"]);
  expect(merged([["a"], [".wh.a", "a"]])).toEqual(["a 1"]);
  expect(
    merged([
      ["a/", "a/x", "a/y"],
      ["a/z", ".wh.a"],
    ]),
  ).toEqual(["a/ implicit 1", "a/z 1"]);
  expect(
    merged([
      ["a/", "a/x", "a/y"],
      [".wh.a", "a/z"],
    ]),
  ).toEqual(["a/ implicit 1", "a/z 1"]);
  expect(merged([["x"], [".wh.y"]])).toEqual(["x 0"]);
});

test("a whiteout of what is not there makes nothing", () => {
  expect(
    merged([
      ["b", "l -> t", "t/x"],
      ["a/.wh.x", "b/.wh.x", "c/.wh..wh..opq", "l/.wh.x"],
    ]),
  ).toEqual(["b 0", "l -> t 0", "t/ implicit 0", "t/x 0"]);
});

test("a device 0/0 replaces what has its name and is not shown", () => {
  const device = entries("a", "d/w").map((entry) => ({ ...entry, type: "char" as const }));
  expect(show(buildTree([entries("a", "b", "d/x"), device]))).toEqual(["b 0", "d/ implicit 0", "d/x 0"]);
});

test("a tree that grows through symbolic links is not deeper than a path can be", () => {
  const deep = "d/".repeat(2000);
  expect(() => merged([[deep, `l -> ${deep}`, `l/${"e/".repeat(2000)}x`]])).toThrow(/too deep/);
});

test("an opaque directory hides what is below it, not what is beside its mark", () => {
  expect(
    merged([
      ["a/", "a/x", "a/s/", "a/s/t"],
      ["a/", "a/n", "a/.wh..wh..opq", "a/s/u"],
    ]),
  ).toEqual(["a/ 1", "a/n 1", "a/s/ implicit 1", "a/s/u 1"]);
  expect(merged([["x"], [".wh..wh..opq", "y"]])).toEqual(["y 1"]);
});

test("AUFS's own entries are left out", () => {
  expect(merged([[".wh..wh.aufs", ".wh..wh.plnk/", ".wh..wh.plnk/1", "a"]]).filter((line) => !line.includes("plnk"))).toEqual([
    "a 0",
  ]);
});

test("kept whiteouts are devices, opaque directories are marked", () => {
  expect(merged([["a/", "a/.wh.x", "b/", "b/.wh..wh..opq", "b/y", ".wh.c", "c/"]], "overlay")).toEqual([
    "a/ 0",
    "a/x whiteout 0",
    "b/ opaque 0",
    "b/y 0",
    "c/ opaque 0",
  ]);
});

test("kept whiteouts are left out where no lower layer shows through", () => {
  expect(merged([["a/", "a/.wh.x", "a/s/", "a/s/.wh.y", "a/s/z", "a/.wh..wh..opq", "b/.wh.x"]], "overlay")).toEqual([
    "a/ opaque 0",
    "a/s/ 0",
    "a/s/z 0",
    "b/ implicit 0",
    "b/x whiteout 0",
  ]);
});

test("of entries with one name the last one counts", () => {
  expect(merged([["a", "a"]])).toEqual(["a 0"]);
  expect(merged([["a", "a/", "a/x"]])).toEqual(["a/ 0", "a/x 0"]);
  expect(merged([["a/", "a/x", "a"]])).toEqual(["a 0"]);
  expect(merged([["a", "a/x"]])).toEqual(["a/ implicit 0", "a/x 0"]);
  expect(merged([["a/", "a/x"], ["a"]])).toEqual(["a 1"]);
});

test("a path through a symbolic link of its own layer stays inside the tree", () => {
  expect(merged([["t/", "l -> t", "l/x"]])).toEqual(["l -> t 0", "t/ 0", "t/x 0"]);
  expect(merged([["l -> /../../t", "l/x"]])).toEqual(["l -> /../../t 0", "t/ implicit 0", "t/x 0"]);
  expect(merged([["a/", "a/l -> ../../../b", "a/l/x"]])).toEqual(["a/ 0", "a/l -> ../../../b 0", "b/ implicit 0", "b/x 0"]);
});

test("over a lower layer's symbolic link a directory takes its place", () => {
  expect(merged([["t/", "l -> t"], ["l/x"]])).toEqual(["l/ implicit 1", "l/x 1", "t/ 0"]);
});

test("a ring of symbolic links is refused", () => {
  expect(() => merged([["a -> b", "b -> a", "a/x"]])).toThrow(/too many symbolic links/);
});

test("hard links share an inode", () => {
  const root = buildTree([entries("a", "b = a", "d/", "d/c = b")]);
  const inode = root.children!.get("a");
  expect(root.children!.get("b")).toBe(inode!);
  expect(root.children!.get("d")!.children!.get("c")).toBe(inode!);
});

test("a hard link outlives its target's replacement", () => {
  const root = buildTree([entries("a", "b = a", "a -> x")]);
  expect(root.children!.get("b")!.entry.type).toBe("file");
  expect(root.children!.get("a")!.entry.type).toBe("symlink");
});

test("a hard link may lead to a file of a lower layer, and outlives its whiteout", () => {
  const root = buildTree([
    entries("a", "d/", "d/x"),
    entries("b = a", "d/y = d/x", "d/.wh..wh..opq", "c = d/y", ".wh.a", ".wh.b"),
  ]);
  const b = root.children!.get("b")!;
  expect([...root.children!.keys()].sort()).toEqual(["b", "c", "d"]);
  expect(b.layer).toBe(0);
  expect([...root.children!.get("d")!.children!.keys()]).toEqual(["y"]);
  expect(root.children!.get("c")).toBe(root.children!.get("d")!.children!.get("y")!);
});

test("a hard link that is there already is this layer's from now on", () => {
  expect(
    merged([
      ["a", "b = a"],
      ["b = a", ".wh.b", ".wh.a"],
    ]),
  ).toEqual(["b 0"]);
});

test("a hard link to nothing, to what is whited out or to a directory is refused with its name", () => {
  for (const layers of [[["b = a"]], [["a/", "b = a"]], [["a"], [".wh.a", "b = a"]], [["b = a", "a"]]]) {
    expect(() => merged(layers)).toThrow(expect.objectContaining({ code: "layer_invalid" }));
    expect(() => merged(layers)).toThrow(/tar entry "b" at offset/);
  }
});

test("the root takes its attributes from its own entry and can be nothing but a directory", () => {
  expect(buildTree([entries("./")]).entry.mode).toBe(0o700);
  const file = entries("x").map((entry) => ({ ...entry, name: "" }));
  expect(() => buildTree([file])).toThrow(/root must be a directory/);
});

test("a tree of two thousand levels is built and pruned without recursion", () => {
  const deep = "d/".repeat(2000);
  expect(merged([[`${deep}x`], [".wh.d"]])).toEqual([]);
});
