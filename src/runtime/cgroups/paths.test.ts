import { expect, test } from "bun:test";
import fc from "fast-check";
import { ancestorsAndSelf, checkPath, parentOf } from "./paths.ts";

test("good paths pass", () => {
  for (const path of ["/a", "/onggi/4f53/abc", "/system.slice/onggi-1.scope", "/a b/ü"]) checkPath(path);
});

test.each(["", "/", "a", "/a/", "//a", "/a/../b", "/..", "/a/./b", "/a\nb", "/a\u0000", "/cgroup.procs", `/${"x".repeat(256)}`])(
  "%j is refused",
  (path) => {
    expect(() => checkPath(path)).toThrow(/^cgroup path /);
  },
);

test("no path that passes leaves the tree", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const path = `/${text}`;
      try {
        checkPath(path);
      } catch {
        return;
      }
      expect(new URL(`file:///tree${encodeURI(path.toWellFormed())}`).pathname.startsWith("/tree/")).toBe(true);
    }),
  );
});

test("ancestors", () => {
  expect(ancestorsAndSelf("/a/b/c")).toEqual(["/a", "/a/b", "/a/b/c"]);
  expect([parentOf("/a/b"), parentOf("/a")]).toEqual(["/a", "/"]);
});
