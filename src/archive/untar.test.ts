import { afterAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { OnggiError } from "../lib/errors.ts";
import { close, O, open, SysError } from "../sys/index.ts";
import { copyTree } from "./copy-tree.ts";
import { archiveEnd, encodeEntry, type NewEntry } from "./tar-encode.ts";
import { treeTar } from "./tree-tar.ts";
import { Untar, type UntarOptions } from "./untar.ts";

const base = fs.mkdtempSync(join(tmpdir(), "onggi-untar-"));
afterAll(() => fs.rmSync(base, { recursive: true, force: true }));

const owner = { uid: process.getuid!(), gid: process.getgid!() };
let count = 0;
const newDirectory = (): string => {
  const path = join(base, `${++count}`);
  fs.mkdirSync(path);
  return path;
};
async function within<T>(path: string, work: (fd: number) => T | Promise<T>): Promise<T> {
  const fd = open(path, O.O_PATH | O.O_DIRECTORY);
  try {
    return await work(fd);
  } finally {
    close(fd);
  }
}

const unpack = (path: string, bytes: Uint8Array, piece = 700, options: UntarOptions = {}): Promise<void> =>
  within(path, (fd) => {
    const untar = new Untar(fd, options);
    try {
      for (let at = 0; at < bytes.length; at += piece) untar.push(bytes.subarray(at, at + piece));
      untar.end();
    } finally {
      untar.close();
    }
  });

/** Everything below a directory, one line each. Walked by hand: Bun's `recursive` may follow a link that leads to itself. */
function listing(path: string): string[] {
  const lines: string[] = [];
  const walk = (directory: Buffer, prefix: Buffer): void => {
    for (const entry of fs.readdirSync(directory, { encoding: "buffer" }) as unknown as Buffer[]) {
      const name = Buffer.concat([prefix, entry]);
      const whole = Buffer.concat([directory, Buffer.from("/"), entry]);
      const stat = fs.lstatSync(whole);
      const content = stat.isFile() ? fs.readFileSync(whole, "hex") : stat.isSymbolicLink() ? fs.readlinkSync(whole) : "";
      lines.push(`${name.toString("hex")} ${stat.mode.toString(8)} ${stat.nlink} ${stat.mtimeMs} ${content}`);
      if (stat.isDirectory()) walk(whole, Buffer.concat([name, Buffer.from("/")]));
    }
  };
  walk(Buffer.from(path), Buffer.alloc(0));
  return lines.sort();
}

const name = fc
  .string({ minLength: 1, maxLength: 8 })
  .map((text) => Buffer.from(text.replace(/[/\0]/g, "_")).toString("latin1"))
  .filter((one) => one !== "." && one !== "..");
const content = fc.uint8Array({ maxLength: 2000 });
const leaf = fc.oneof(
  content.map((data) => ({ kind: "file" as const, data })),
  name.map((link) => ({ kind: "symlink" as const, link })),
);
type Tree = Map<string, { kind: "file"; data: Uint8Array } | { kind: "symlink"; link: string } | Tree>;
const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc
    .array(fc.tuple(name, fc.oneof({ depthSize: "small", withCrossShrink: true }, leaf, tie("tree"))), { maxLength: 4 })
    .map((entries) => new Map(entries) as Tree),
}));

function* entriesOf(of: Tree, prefix = ""): Generator<Buffer> {
  for (const [each, node] of of) {
    const common = { ...owner, name: `${prefix}${each}`, mtime: 1_500_000_000 + each.length };
    if (node instanceof Map) {
      yield encodeEntry({ ...common, type: "dir", mode: 0o750 });
      yield* entriesOf(node, `${prefix}${each}/`);
    } else if (node.kind === "file") yield encodeEntry({ ...common, type: "file", mode: 0o640 }, Buffer.from(node.data));
    else yield encodeEntry({ ...common, type: "symlink", link: node.link });
  }
}

test("a tree that is packed, unpacked, packed and copied is the same", async () => {
  await fc.assert(
    fc.asyncProperty(tree, async (given) => {
      const [first, second, third] = [newDirectory(), newDirectory(), newDirectory()];
      await unpack(first, Buffer.concat([...entriesOf(given), archiveEnd()]));
      await unpack(second, await within(first, (fd) => Buffer.concat([...treeTar(fd, { ids: null })])));
      expect(listing(second)).toEqual(listing(first));
      await within(first, (from) => within(third, (to) => copyTree(from, to)));
      expect(listing(third)).toEqual(listing(first));
    }),
    { numRuns: 40 },
  );
});

test("whatever bytes come, nothing is written outside, and what is wrong is told", async () => {
  const hostile = fc.constantFrom("..", "../out", "/out", "link", "link/x", "a/../../out", "a", "a/b", ".", "");
  const type = fc.constantFrom<NewEntry["type"]>("file", "dir", "symlink", "link", "fifo");
  const entry = fc.record({ type, name: hostile, link: fc.constantFrom("..", "/", "../out", "a", "link", "link/x") });
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 8 }), fc.option(fc.nat({ max: 5000 })), async (entries, cut) => {
      const outer = newDirectory();
      fs.writeFileSync(join(outer, "out"), "untouched");
      const inner = join(outer, "inner");
      fs.mkdirSync(inner);
      const parts = entries.map((each) =>
        encodeEntry({ ...each, ...owner }, each.type === "file" ? Buffer.from("x") : undefined),
      );
      const whole = Buffer.concat([...parts, archiveEnd()]);
      try {
        await unpack(inner, cut === null ? whole : whole.subarray(0, cut));
      } catch (error) {
        if (!(error instanceof OnggiError) && !(error instanceof SysError)) throw error;
      }
      expect(fs.readdirSync(outer).sort()).toEqual(["inner", "out"]);
      expect(fs.readFileSync(join(outer, "out"), "utf8")).toBe("untouched");
      expect(fs.statSync(join(outer, "out")).nlink).toBe(1);
    }),
    { numRuns: 150 },
  );
});

describe("what is there already", () => {
  const archive = (...entries: NewEntry[]): Buffer =>
    Buffer.concat([
      ...entries.map((each) => encodeEntry({ ...owner, ...each }, each.type === "file" ? Buffer.from("new") : undefined)),
      archiveEnd(),
    ]);

  test("a file or link is replaced, a directory kept, and neither becomes the other", async () => {
    const path = newDirectory();
    fs.writeFileSync(join(path, "file"), "old");
    fs.symlinkSync("file", join(path, "link"));
    fs.mkdirSync(join(path, "dir"));
    fs.writeFileSync(join(path, "dir/kept"), "");
    await unpack(path, archive({ type: "file", name: "link" }, { type: "dir", name: "dir", mode: 0o700 }));
    expect([fs.readFileSync(join(path, "link"), "utf8"), fs.readFileSync(join(path, "file"), "utf8")]).toEqual(["new", "old"]);
    expect(fs.readdirSync(join(path, "dir"))).toEqual(["kept"]);
    expect(fs.statSync(join(path, "dir")).mode & 0o777).toBe(0o700);
    await expect(unpack(path, archive({ type: "file", name: "dir" }))).rejects.toThrow(
      'cannot overwrite directory "dir" with non-directory',
    );
    await expect(unpack(path, archive({ type: "dir", name: "file" }))).rejects.toThrow(
      'cannot overwrite non-directory "file" with directory',
    );
    await expect(unpack(path, archive({ type: "file", name: "file/below" }))).rejects.toThrow("in the way");
  });

  test("with replace a directory and a file give way to each other", async () => {
    const path = newDirectory();
    fs.mkdirSync(join(path, "dir/below"), { recursive: true });
    fs.writeFileSync(join(path, "dir/below/file"), "");
    fs.mkdirSync(join(path, "outside"));
    fs.writeFileSync(join(path, "outside/kept"), "");
    fs.symlinkSync("../outside", join(path, "dir/link"));
    fs.writeFileSync(join(path, "file"), "");
    const bytes = archive({ type: "file", name: "dir" }, { type: "dir", name: "file" });
    await unpack(path, bytes, 700, { replace: true });
    expect([fs.statSync(join(path, "dir")).isFile(), fs.statSync(join(path, "file")).isDirectory()]).toEqual([true, true]);
    expect(fs.readdirSync(join(path, "outside"))).toEqual(["kept"]);
  });

  test("links on the way are followed below the root that is given, and no further", async () => {
    const root = newDirectory();
    for (const name of ["tree", "place"]) fs.mkdirSync(join(root, name));
    fs.symlinkSync("/place", join(root, "tree/in"));
    fs.symlinkSync(`${"../".repeat(30)}place`, join(root, "tree/up"));
    fs.symlinkSync(base, join(root, "tree/out"));
    await within(root, async (fd) => {
      const options = { within: { root: fd, path: "/tree" } };
      const file = (name: string) => archive({ type: "file", name });
      for (const name of ["in/a", "up/b", "in/new/c"]) await unpack(join(root, "tree"), file(name), 700, options);
      await expect(unpack(join(root, "tree"), file("out/d"), 700, options)).rejects.toThrow("in the way");
    });
    expect(fs.readdirSync(join(root, "place")).sort()).toEqual(["a", "b", "new"]);
  });

  test("zeros become holes", async () => {
    const path = newDirectory();
    const data = Buffer.alloc(1 << 20);
    data.write("end", data.length - 3);
    const tar = Buffer.concat([encodeEntry({ type: "file", name: "hole", ...owner }, data), archiveEnd()]);
    await unpack(path, tar, 1 << 16);
    expect(Buffer.compare(fs.readFileSync(join(path, "hole")), data)).toBe(0);
    expect(fs.statSync(join(path, "hole")).blocks * 512).toBeLessThan(1 << 18);
  });

  test("a tar without its end is refused", async () => {
    await expect(unpack(newDirectory(), new Uint8Array(0))).rejects.toThrow("truncated, or no tar");
  });
});
