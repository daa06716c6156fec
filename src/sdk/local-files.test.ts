import { afterAll, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { byteStringOf } from "../archive/bytes.ts";
import { TarDecoder } from "../archive/tar.ts";
import { archiveEnd, encodeEntry, type NewEntry } from "../archive/tar-encode.ts";
import { isOnggiError } from "./errors.ts";
import { packLocal, Unpacker } from "./local-files.ts";

const base = mkdtempSync(join(tmpdir(), "sdk-files-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));
let count = 0;
const fresh = (): string => {
  const path = join(base, `${count++}`);
  mkdirSync(path);
  return path;
};

function unpack(tar: Uint8Array, target: string, name: string): void {
  const unpacker = new Unpacker(target, byteStringOf(name));
  const decoder = new TarDecoder({ entry: (entry) => unpacker.entry(entry), data: (bytes) => unpacker.data(bytes) });
  try {
    decoder.push(tar);
    decoder.end();
  } finally {
    unpacker.close();
  }
}

const tarOf = (entries: readonly (NewEntry & { data?: string })[]): Uint8Array =>
  Buffer.concat([
    ...entries.map(({ data, ...entry }) => encodeEntry(entry, data === undefined ? undefined : Buffer.from(data))),
    archiveEnd(),
  ]);

/** What lies below a path, as text. */
function tree(path: string): unknown {
  const stat = lstatSync(path);
  if (stat.isSymbolicLink()) return `-> ${readlinkSync(path)}`;
  if (!stat.isDirectory()) return [stat.mode & 0o7777, Math.floor(stat.mtimeMs / 1000), readFileSync(path, "utf8")];
  return Object.fromEntries(readdirSync(path).map((name) => [name, tree(join(path, name))]));
}

test("what is packed and unpacked is the same", async () => {
  const from = join(fresh(), "things");
  mkdirSync(join(from, "deep/er"), { recursive: true });
  writeFileSync(join(from, "deep/er/용기"), "옹기".repeat(200_000));
  writeFileSync(join(from, "n".repeat(200)), "a long name");
  writeFileSync(join(from, "run"), "#!/bin/sh\n");
  writeFileSync(join(from, "empty"), "");
  chmodSync(join(from, "run"), 0o750);
  utimesSync(join(from, "run"), 1_500_000_000, 1_500_000_000);
  symlinkSync("../nowhere", join(from, "deep/link"));
  const chunks: Uint8Array[] = [];
  for await (const chunk of packLocal(from, "things", { uid: 0, gid: 0 })) chunks.push(chunk.slice());
  const to = join(fresh(), "elsewhere");
  unpack(Buffer.concat([...chunks, archiveEnd()]), to, "things");
  expect(tree(to)).toEqual(tree(from));
});

test("a file that is not there, and one that cannot be copied", async () => {
  const read = async (path: string) => {
    for await (const _ of packLocal(path, "x", { uid: 0, gid: 0 }));
  };
  await expect(read(join(base, "nowhere"))).rejects.toThrow("there is no file");
  await expect(read("/dev/null")).rejects.toThrow("cannot be copied");
});

const hostile: [what: string, entries: (NewEntry & { data?: string })[]][] = [
  [
    "a file through a link to elsewhere",
    [
      { type: "dir", name: "a" },
      { type: "symlink", name: "a/out", link: "OUTSIDE" },
      { type: "file", name: "a/out/stolen", data: "x" },
    ],
  ],
  [
    "a directory in place of a link, and a file in it",
    [
      { type: "symlink", name: "a", link: "OUTSIDE" },
      { type: "file", name: "a/stolen", data: "x" },
    ],
  ],
  ["a name beside what was asked for", [{ type: "file", name: "b", data: "x" }]],
  ["a hard link to what was not asked for", [{ type: "link", name: "a", link: "etc/passwd" }]],
  [
    "a hard link through a link",
    [
      { type: "dir", name: "a" },
      { type: "symlink", name: "a/out", link: "OUTSIDE" },
      { type: "link", name: "a/got", link: "a/out/secret" },
    ],
  ],
  ["a device", [{ type: "char", name: "a", major: 1, minor: 3 }]],
];

for (const [what, entries] of hostile) {
  test(`refused: ${what}`, () => {
    const outside = fresh();
    writeFileSync(join(outside, "secret"), "s");
    const placed = entries.map((entry) => ({ ...entry, ...(entry.link === "OUTSIDE" ? { link: outside } : {}) }));
    const target = join(fresh(), "a");
    let thrown: unknown;
    try {
      unpack(tarOf(placed), target, "a");
    } catch (error) {
      thrown = error;
    }
    expect(isOnggiError(thrown, "archive_unsafe", "file_unsupported")).toBe(true);
    expect(readdirSync(outside)).toEqual(["secret"]);
    expect(existsSync(join(target, "got"))).toBe(false);
  });
}

test("whatever an archive says, nothing is made outside of the target", () => {
  const name = fc.constantFrom("a", "a/b", "a/b/c", "a/c", "b", "a/../b", "/a/x", "a/./d");
  const entry = fc.record({
    type: fc.constantFrom("file", "dir", "symlink", "link"),
    name,
    link: fc.oneof(name, fc.constantFrom("OUTSIDE", "..", "../..", ".")),
  });
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 8 }), (entries) => {
      const place = fresh();
      const outside = fresh();
      const placed = entries.map(({ link, ...rest }) => ({
        ...(rest as NewEntry),
        ...(rest.type === "file" ? { data: "x" } : {}),
        ...(rest.type === "symlink" || rest.type === "link" ? { link: link === "OUTSIDE" ? outside : link } : {}),
      }));
      try {
        unpack(tarOf(placed), join(place, "target"), "a");
      } catch {
        // refused is fine
      }
      expect(readdirSync(outside)).toEqual([]);
      expect(readdirSync(place).filter((found) => found !== "target")).toEqual([]);
    }),
    { numRuns: 100 },
  );
});
