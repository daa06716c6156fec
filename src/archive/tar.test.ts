import { expect, test } from "bun:test";
import fc from "fast-check";
import { OnggiError } from "../lib/errors.ts";
import { byteStringOf } from "./bytes.ts";
import { LayerInvalid } from "./errors.ts";
import { TarDecoder } from "./tar.ts";
import { archiveEnd, encodeEntry, encodeHeader, type NewEntry } from "./tar-encode.ts";
import { paxTime } from "./tar-fields.ts";
import type { TarEntry } from "./tar-types.ts";

/** Entries and their data, the tar given in chunks of the sizes in `cuts` by turns. */
const decode = (tar: Uint8Array, cuts: readonly number[] = [tar.length]): { entry: TarEntry; data: Buffer }[] => {
  const found: { entry: TarEntry; data: Buffer }[] = [];
  const decoder = new TarDecoder({
    entry: (entry) => found.push({ entry, data: Buffer.alloc(0) }),
    data: (bytes) => {
      const last = found.at(-1)!;
      last.data = Buffer.concat([last.data, bytes]);
    },
  });
  for (let at = 0, i = 0; at < tar.length; i++) {
    const end = at + cuts[i % cuts.length]!;
    decoder.push(tar.subarray(at, end));
    at = end;
  }
  decoder.end();
  return found;
};

const tarOf = (...parts: Uint8Array[]): Buffer => Buffer.concat([...parts, archiveEnd()]);

const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof OnggiError) return error.code;
    throw error;
  }
  return "none";
};

const messageOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    return (error as Error).message;
  }
  return "";
};

/** A header with one field overwritten and the checksum made right again. */
const patched = (entry: NewEntry, at: number, bytes: string | Uint8Array): Buffer => {
  const header = encodeHeader(entry);
  header.set(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes, at);
  header.write("        ", 148, "latin1");
  let sum = 0;
  for (let i = 0; i < 512; i++) sum += header[i]!;
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return header;
};

const byte = fc.integer({ min: 1, max: 255 }).filter((code) => code !== 0x2f);
const component = fc
  .array(byte, { minLength: 1, maxLength: 120 })
  .map((codes) => String.fromCharCode(...codes))
  .filter((name) => name !== "." && name !== "..");
const path = fc.array(component, { minLength: 1, maxLength: 5 }).map((parts) => parts.join("/"));
const id = fc.oneof(fc.nat(0xffff), fc.nat(0xfffffffe));
const newEntry = fc.record({
  type: fc.constantFrom("file", "dir", "symlink", "char", "block", "fifo", "link") as fc.Arbitrary<TarEntry["type"]>,
  name: path,
  link: path,
  mode: fc.nat(0o7777),
  uid: id,
  gid: id,
  mtime: fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
  mtimeNs: fc.nat(999_999_999),
  major: fc.nat(0xfff),
  minor: fc.nat(0xfffff),
  xattrs: fc.option(
    fc.uniqueArray(
      fc.record({
        name: fc.constantFrom("user.a", "user.b", "trusted.overlay.opaque", "security.capability"),
        value: fc.uint8Array({ maxLength: 200 }),
      }),
      { selector: ({ name }) => name, minLength: 1, maxLength: 4 },
    ),
  ),
  data: fc.uint8Array({ maxLength: 1500 }),
});

test("what is encoded is decoded, however the stream is cut", () => {
  fc.assert(
    fc.property(
      fc.array(newEntry, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 1, maxLength: 5 }),
      (list, cuts) => {
        const tar = tarOf(...list.map(({ data, ...entry }) => encodeEntry(entry, entry.type === "file" ? data : undefined)));
        const found = decode(tar, cuts);
        expect(found.length).toBe(list.length);
        found.forEach(({ entry, data }, i) => {
          const want = list[i]!;
          const device = want.type === "char" || want.type === "block";
          expect({ ...entry, offset: 0, stored: 0, at: 0 }).toEqual({
            type: want.type,
            name: want.name,
            link: want.type === "link" || want.type === "symlink" ? want.link : "",
            mode: want.mode,
            uid: want.uid,
            gid: want.gid,
            mtime: want.mtime,
            mtimeNs: want.mtimeNs,
            size: want.type === "file" ? want.data.length : 0,
            major: device ? want.major : 0,
            minor: device ? want.minor : 0,
            xattrs: want.xattrs?.map(({ name, value }) => ({ name, value: Buffer.from(value) })) ?? null,
            sparse: null,
            offset: 0,
            stored: 0,
            at: 0,
          });
          expect(data.equals(Buffer.from(want.type === "file" ? want.data : []))).toBe(true);
          if (want.type === "file") expect(tar.subarray(entry.offset, entry.offset + entry.stored).equals(data)).toBe(true);
        });
      },
    ),
    { numRuns: 300 },
  );
});

test("random bytes give entries or LayerInvalid, never anything else", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 4000 }), (bytes) => {
      try {
        decode(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(LayerInvalid);
      }
    }),
    { numRuns: 500 },
  );
});

test("a tar with changed bytes gives entries or LayerInvalid, never anything else", () => {
  const whole = tarOf(
    encodeEntry({ type: "dir", name: "d" }),
    encodeEntry(
      { type: "file", name: "n".repeat(300), mtimeNs: 5, xattrs: [{ name: "user.x", value: Buffer.from("y") }] },
      Buffer.alloc(700, 1),
    ),
    encodeEntry({ type: "symlink", name: "s", link: "t".repeat(200) }),
  );
  const position = fc.nat(whole.length - 1);
  fc.assert(
    fc.property(fc.array(fc.tuple(position, fc.nat(255)), { maxLength: 6 }), position, fc.boolean(), (changes, end, cut) => {
      const tar = Buffer.from(whole);
      for (const [at, value] of changes) tar[at] = value;
      // A checksum that fits lets the change through to the field it is in.
      for (let at = 0; at + 512 <= tar.length; at += 512) {
        if (tar.toString("latin1", at + 257, at + 262) !== "ustar") continue;
        let sum = 0;
        for (let i = 0; i < 512; i++) sum += i >= 148 && i < 156 ? 32 : tar[at + i]!;
        tar.write(`${sum.toString(8).padStart(6, "0")}\0 `, at + 148, "latin1");
      }
      try {
        decode(cut ? tar.subarray(0, end) : tar);
      } catch (error) {
        expect(error).toBeInstanceOf(LayerInvalid);
      }
    }),
    { numRuns: 1000 },
  );
});

test("names are taken relative to the root, spelled one way", () => {
  const names = ["./a", "/b", "//c//d/", "./", "e/./f", ".g", "./.h", "..i/j..", "k/"];
  const found = decode(tarOf(...names.map((name) => encodeHeader({ type: "file", name }))));
  expect(found.map(({ entry }) => entry.name)).toEqual(["a", "b", "c/d", "", "e/f", ".g", ".h", "..i/j..", "k"]);
  expect(found.map(({ entry }) => entry.type)).toEqual(["file", "file", "dir", "dir", "file", "file", "file", "file", "dir"]);
});

test("a name that is not UTF-8 stays what it is", () => {
  const name = "caf\xe9-\xff\xfe";
  expect(decode(tarOf(encodeHeader({ type: "file", name })))[0]!.entry.name).toBe(name);
  expect(decode(tarOf(encodeHeader({ type: "file", name: byteStringOf("옹기") })))[0]!.entry.name).toBe(byteStringOf("옹기"));
});

test("a name of exactly 100 bytes has no NUL behind it", () => {
  const name = "x".repeat(100);
  expect(decode(tarOf(patched({ type: "file", name: "y" }, 0, name)))[0]!.entry.name).toBe(name);
});

test("the prefix field belongs to POSIX headers only", () => {
  expect(decode(tarOf(patched({ type: "file", name: "file" }, 345, "some/folder")))[0]!.entry.name).toBe("some/folder/file");
  const gnu = patched({ type: "file", name: "file" }, 257, "ustar  \0");
  gnu.write("12345670123", 345, "latin1");
  const fixed = Buffer.concat([patchSum(gnu)]);
  expect(decode(tarOf(fixed))[0]!.entry.name).toBe("file");
});

const patchSum = (header: Buffer): Buffer => {
  let sum = 0;
  for (let i = 0; i < 512; i++) sum += i >= 148 && i < 156 ? 32 : header[i]!;
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return header;
};

test("numbers in base 256, also negative ones", () => {
  const uid = Buffer.from([0x80, 0, 0, 0, 0xee, 0x6b, 0x28, 0]);
  expect(decode(tarOf(patched({ type: "file", name: "a" }, 108, uid)))[0]!.entry.uid).toBe(4_000_000_000);
  const before = Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]);
  expect(decode(tarOf(patched({ type: "file", name: "a" }, 136, before)))[0]!.entry.mtime).toBe(-2);
});

test("times of PAX records keep nanoseconds on both sides of the epoch", () => {
  expect(paxTime("12.5")).toEqual({ seconds: 12, nanoseconds: 500_000_000 });
  expect(paxTime("12.0000000019")).toEqual({ seconds: 12, nanoseconds: 1 });
  expect(paxTime("-1.5")).toEqual({ seconds: -2, nanoseconds: 500_000_000 });
  expect(paxTime("-3")).toEqual({ seconds: -3, nanoseconds: 0 });
});

const hostile: [what: string, tar: () => Uint8Array, says: RegExp][] = [
  ['".." at the front', () => tarOf(encodeHeader({ type: "file", name: "../evil" })), /"\.\.\/evil" at offset 0: "\.\."/],
  ['".." in the middle', () => tarOf(encodeHeader({ type: "file", name: "a/../../evil" })), /"a\/..\/..\/evil" at offset 0/],
  [
    '".." in a hard link\'s target',
    () => tarOf(encodeHeader({ type: "link", name: "a", link: "../../etc/passwd" })),
    /"\.\." in a path/,
  ],
  ["NUL in a PAX path", () => tarOf(encodeHeader({ type: "file", name: `${"a".repeat(120)}\0b` })), /NUL in a path/],
  ["a name of 256 bytes", () => tarOf(encodeHeader({ type: "file", name: "a".repeat(256) })), /longer than 255/],
  ["a path of 4,096 bytes", () => tarOf(encodeHeader({ type: "file", name: `${"a/".repeat(2047)}bb` })), /longer than 4095/],
  [
    "a link target of 4,096 bytes",
    () => tarOf(encodeHeader({ type: "symlink", name: "a", link: "b".repeat(4096) })),
    /target of 4096 bytes/,
  ],
  ["an empty link target", () => tarOf(encodeHeader({ type: "symlink", name: "a", link: "" })), /target of 0 bytes/],
  ["a wrong checksum", () => tarOf(encodeEntry({ type: "file", name: "a" }).fill(0x41, 3, 4)), /checksum is wrong/],
  [
    "letters in a number",
    () => tarOf(patched({ type: "file", name: "a" }, 124, "0000000zz00")),
    /"a" at offset 0: size is not an octal number/,
  ],
  [
    "a size beyond all bounds",
    () =>
      tarOf(patched({ type: "file", name: "a" }, 124, Buffer.from([0x80, 0, 0, 0xff, 255, 255, 255, 255, 255, 255, 255, 255]))),
    /size is out of range/,
  ],
  ["a negative size", () => tarOf(patched({ type: "file", name: "a" }, 124, Buffer.alloc(12, 0xff))), /negative size/],
  ["an unknown type", () => tarOf(patched({ type: "file", name: "a" }, 156, "M")), /entry type "M"/],
  [
    "an extension header of 2 MiB",
    () => tarOf(patched({ type: "file", name: "a", size: 2 << 20 }, 156, "x")),
    /extension header of 2097152 bytes/,
  ],
  ["a device that no kernel has", () => tarOf(encodeHeader({ type: "char", name: "a", major: 5000 })), /device number 5000/],
  [
    "one zero block in the middle",
    () => tarOf(Buffer.alloc(512), encodeHeader({ type: "file", name: "a" })),
    /single zero block/,
  ],
];

for (const [what, tar, says] of hostile) {
  test(`refused with the entry's name and offset: ${what}`, () => {
    expect(codeOf(() => decode(tar()))).toBe("layer_invalid");
    expect(messageOf(() => decode(tar()))).toMatch(says);
  });
}

test("a tar cut off anywhere inside an entry is truncated; without its end blocks it is whole", () => {
  const entry = encodeEntry({ type: "file", name: "a", mtimeNs: 1 }, Buffer.alloc(600, 7));
  for (let length = 1; length < entry.length; length += 37)
    expect(codeOf(() => decode(entry.subarray(0, length)))).toBe("layer_invalid");
  expect(decode(entry).length).toBe(1);
  expect(decode(Buffer.concat([entry, Buffer.alloc(512)])).length).toBe(1);
});

test("what comes after the end blocks is not looked at", () => {
  expect(decode(Buffer.concat([tarOf(encodeHeader({ type: "file", name: "a" })), Buffer.alloc(5000, 0x55)])).length).toBe(1);
});

test("skipping data gives the same entries as reading it", () => {
  const tar = tarOf(
    encodeEntry({ type: "file", name: "big" }, Buffer.alloc(100_000, 3)),
    encodeEntry({ type: "file", name: "next" }, Buffer.from("x")),
  );
  const found: TarEntry[] = [];
  const decoder = new TarDecoder({ entry: (entry) => found.push(entry) });
  let read = 0;
  while (decoder.position < tar.length) {
    const chunk = tar.subarray(decoder.position, decoder.position + 512);
    decoder.push(chunk);
    read += chunk.length;
    if (decoder.skippable === Number.POSITIVE_INFINITY) break;
    if (decoder.skippable > 0) decoder.skip(decoder.skippable);
  }
  decoder.end();
  expect(found).toEqual(decode(tar).map(({ entry }) => entry));
  expect(read).toBeLessThan(4096);
});

test("global PAX records hold for all that follows, an entry's own come first", () => {
  const record = (text: string): string => {
    const length = text.length + 1 + String(text.length + 4).length;
    return `${length} ${text}`;
  };
  const global = (text: string): Buffer => {
    const body = Buffer.alloc(512);
    body.write(text, "latin1");
    return Buffer.concat([patched({ type: "file", name: "g", size: text.length }, 156, "g"), body]);
  };
  const tar = tarOf(
    global(record("uid=77\n")),
    encodeHeader({ type: "file", name: "a", uid: 1 }),
    encodeHeader({ type: "file", name: "b", uid: 3_000_000 }),
  );
  expect(decode(tar).map(({ entry }) => entry.uid)).toEqual([77, 3_000_000]);
});

const formats = ["--format=v7", "--format=ustar", "--format=gnu", "--format=oldgnu", "--format=posix"];
for (const format of formats) {
  test(`GNU tar ${format}`, () => {
    const made = Bun.spawnSync([
      "tar",
      format,
      "-C",
      `${import.meta.dir}/..`,
      "--sort=name",
      "-cf",
      "-",
      "lib",
      "archive/tar.ts",
    ]);
    const listed = Bun.spawnSync(["tar", "-tf", "-"], { stdin: made.stdout });
    const found = decode(made.stdout, [777, 10_000]);
    expect(found.map(({ entry }) => (entry.type === "dir" ? `${entry.name}/` : entry.name))).toEqual(
      listed.stdout.toString().trim().split("\n"),
    );
    expect(found.at(-1)!.data.toString()).toBe(require("node:fs").readFileSync(`${import.meta.dir}/tar.ts`, "utf8"));
  });
}
