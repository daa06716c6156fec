import { expect, test } from "bun:test";
import fc from "fast-check";
import { ancestorsAndSelf, cgroupsPathOf, checkPath, ownCgroup, parentOf } from "./paths.ts";

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

const V1 = "4:memory:/jobs/7/a\n3:cpu,cpuacct:/jobs/7\n1:name=systemd:/jobs/7/b\n0::/elsewhere\n";

test("the caller's own group", () => {
  expect(ownCgroup("0::/user.slice/a.scope\n", "v2")).toBe("/user.slice/a.scope");
  expect(ownCgroup("4:memory:/x\n0::/y\n", "v2")).toBe("/y");
  expect(ownCgroup(V1, "hybrid")).toBe("/jobs/7");
  expect(ownCgroup("2:memory:/a\n1:cpu:/\n", "v1")).toBe("/");
  expect(ownCgroup("0::/../sibling\n", "v2")).toBe("/");
  expect(ownCgroup("", "v1")).toBe("/");
  expect(ownCgroup("1:name=a:/c:d\n", "v1")).toBe("/c:d");
});

test("cgroupsPath: absolute, relative, none", () => {
  const v1 = { version: "v1", path: "/jobs/7" } as const;
  const v2 = { version: "v2", path: "/user.slice/a.scope" } as const;
  for (const own of [v1, v2]) expect(cgroupsPathOf("/a/b", "c1", own)).toBe("/a/b");
  expect(cgroupsPathOf("a/b", "c1", v1)).toBe("/jobs/7/a/b");
  expect(cgroupsPathOf("a/b", "c1", v2)).toBe("/user.slice/a/b");
  expect(cgroupsPathOf(undefined, "c1", v1)).toBe("/jobs/7/c1");
  expect(cgroupsPathOf("", "c1", v2)).toBe("/user.slice/c1");
  for (const path of ["/", "/a/"]) expect(() => cgroupsPathOf(path, "c1", v1)).toThrow(/empty component/);
  expect(cgroupsPathOf(undefined, "c1", { version: "v2", path: "/" })).toBe("/c1");
  for (const wrong of ["../a", "/a/../../b", "a//b", "./a"])
    expect(() => cgroupsPathOf(wrong, "c1", v2)).toThrow(/^cgroup path /);
});
