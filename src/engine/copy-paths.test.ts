import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { close, O, open } from "../sys/index.ts";
import { copyPath, finalPath, goMode, openPath } from "./copy-paths.ts";

test("paths begin at the root, and keep what they end in", () => {
  expect(copyPath("etc/passwd")).toEqual({ text: "/etc/passwd", base: "passwd", directory: false });
  expect(copyPath("/etc/")).toEqual({ text: "/etc/", base: "etc", directory: true });
  expect(copyPath("/a/../../etc/.")).toEqual({ text: "/etc/.", base: ".", directory: true });
  expect(copyPath("/")).toEqual({ text: "/", base: "", directory: true });
  expect(copyPath(".")).toEqual({ text: "/.", base: ".", directory: true });
  expect(() => copyPath("")).toThrow("path cannot be empty");
  expect(() => copyPath("a\0b")).toThrow("NUL");
});

test("any path is below the root", () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 1 }).filter((text) => !text.includes("\0")),
      (text) => {
        const path = copyPath(text);
        expect(path.text.startsWith("/")).toBe(true);
        expect(path.text.split("/")).not.toContain("..");
      },
    ),
  );
});

test("modes as Go has them", () => {
  expect(goMode(0o100644)).toBe(0o644);
  expect(goMode(0o040755)).toBe(2147484141);
  expect(goMode(0o120777)).toBe(134218239);
  expect(goMode(0o104755)).toBe(0o755 + 2 ** 23);
  expect(goMode(0o041777)).toBe(2 ** 31 + 2 ** 20 + 0o777);
  expect(goMode(0o020666)).toBe(2 ** 26 + 2 ** 21 + 0o666);
});

describe("in a tree", () => {
  let base: string;
  let root: number;
  beforeAll(() => {
    base = mkdtempSync(join(tmpdir(), "onggi-copy-"));
    mkdirSync(join(base, "etc"));
    writeFileSync(join(base, "etc/file"), "x");
    const links = { link: "/etc/file", up: "../../../../etc", gone: "etc/none/x", loop: "loop", dir: "etc" };
    for (const [name, target] of Object.entries(links)) symlinkSync(target, join(base, name));
    root = open(base, O.O_PATH | O.O_DIRECTORY);
  });
  afterAll(() => {
    close(root);
    rmSync(base, { recursive: true });
  });

  test("links lead to places in it", () => {
    expect(finalPath(root, "/link")).toBe("/etc/file");
    expect(finalPath(root, "/up/file")).toBe("/etc/file");
    expect(finalPath(root, "/gone")).toBe("/etc/none/x");
    expect(() => finalPath(root, "/loop")).toThrow("too many links");
  });

  test("a last link is followed where a directory is asked for", () => {
    const kind = (path: string): boolean => {
      const fd = openPath(root, copyPath(path));
      if (fd !== null) close(fd);
      return fd !== null;
    };
    expect([kind("/link"), kind("/dir/"), kind("/up/."), kind("/none"), kind("/none/x")]).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
    expect(() => kind("/link/")).toThrow("not a directory");
    expect(() => kind("/loop/")).toThrow("too many links");
  });
});
