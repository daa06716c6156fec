import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { parseMountinfo, unescapeOctal } from "./mountinfo.ts";

test("a line", () => {
  const text = "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue\n";
  expect(parseMountinfo(text)).toEqual([
    {
      id: 36,
      parent: 35,
      major: 98,
      minor: 0,
      root: "/mnt1",
      mountPoint: "/mnt 2",
      options: ["rw", "noatime"],
      optional: ["master:1", "shared:7"],
      type: "ext3",
      source: "/dev/root",
      superOptions: ["rw", "errors=continue"],
    },
  ]);
});

test("no optional field, an empty source, a mount point that is a dash", () => {
  const [mount] = parseMountinfo("1 1 0:1 / /- rw - tmpfs  rw");
  expect(mount).toMatchObject({ mountPoint: "/-", optional: [], type: "tmpfs", source: "", superOptions: ["rw"] });
});

test("every mount of this machine is understood", () => {
  const text = readFileSync("/proc/self/mountinfo", "utf8");
  expect(parseMountinfo(text).length).toBe(text.trimEnd().split("\n").length);
});

const mangle = (text: string) => text.replace(/[ \t\n\\#]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, "0")}`);

test("whatever path the kernel escapes comes back", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", minLength: 1 }), fc.string({ unit: "binary" }), (path, source) => {
      const [mount] = parseMountinfo(`7 1 0:9 / /${mangle(path)} rw - tmpfs ${mangle(source)} rw`);
      expect(mount?.mountPoint).toBe(`/${path}`);
      expect(mount?.source).toBe(source);
    }),
  );
});

test("octal runs above 127 are UTF-8", () => {
  expect(unescapeOctal("\\341\\204\\202x\\040\\9\\8\\400")).toBe("ᄂx \\9\\8\\400");
});

test("garbage is left out and never throws", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(Array.isArray(parseMountinfo(text))).toBe(true);
    }),
  );
  expect(parseMountinfo("36 35 98:0 / /mnt rw\nrubbish\n\n36 x 98:0 / / rw - a b c")).toEqual([]);
});
