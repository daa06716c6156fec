import { expect, test } from "bun:test";
import fc from "fast-check";
import { elfHead, parseBinfmt, takes } from "./binfmt.ts";

/** As Debian's qemu-user-static registers them. */
const MASK = "ffffffffffffff00fffffffffffffffffeffffff";
const arm64 = `enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: POCF\noffset 0\nmagic 7f454c460201010000000000000000000200b700\nmask ${MASK}\n`;
const s390x =
  "enabled\ninterpreter /usr/bin/qemu-s390x-static\nflags: F\noffset 0\nmagic 7f454c4602020100000000000000000000020016\nmask ffffffffffffff00fffffffffffffffffffeffff\n";

test("an entry takes the programs of its architecture and no others", () => {
  const entry = parseBinfmt("qemu-aarch64", arm64)!;
  expect(entry).toMatchObject({
    name: "qemu-aarch64",
    enabled: true,
    interpreter: "/usr/bin/qemu-aarch64-static",
    flags: "POCF",
  });
  const big = parseBinfmt("qemu-s390x", s390x)!;
  const all = ["386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x"];
  expect(all.filter((architecture) => takes(entry, elfHead(architecture)!))).toEqual(["arm64"]);
  expect(all.filter((architecture) => takes(big, elfHead(architecture)!))).toEqual(["s390x"]);
});

test("one that is switched off takes none", () =>
  expect(takes(parseBinfmt("x", arm64.replace("enabled", "disabled"))!, elfHead("arm64")!)).toBe(false));

test("what is no entry by magic is none", () => {
  expect(parseBinfmt("jar", "enabled\ninterpreter /usr/bin/jexec\nflags: \nextension .jar\n")).toBeNull();
  expect(elfHead("sparc")).toBeUndefined();
  expect(elfHead("constructor")).toBeUndefined();
});

test("any text is an entry or none", () =>
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc
          .array(fc.constantFrom(...arm64.split("\n"), "offset 999", "mask ff", "magic 7"), { maxLength: 8 })
          .map((lines) => lines.join("\n")),
      ),
      (text) => {
        const entry = parseBinfmt("x", text);
        if (entry) expect(typeof takes(entry, elfHead("arm64")!)).toBe("boolean");
      },
    ),
  ));
