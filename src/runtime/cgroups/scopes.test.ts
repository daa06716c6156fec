import { describe, expect, test } from "bun:test";
import type { Spec } from "../../oci/spec.ts";
import { cgroupPathOf, expandSlice, scopeOf, scopePath } from "./scopes.ts";

describe("names", () => {
  test("a slice's place is its name", () => {
    expect(expandSlice("system.slice")).toBe("/system.slice");
    expect(expandSlice("a-b-c.slice")).toBe("/a.slice/a-b.slice/a-b-c.slice");
    expect(expandSlice("-.slice")).toBe("");
    for (const wrong of ["system", "a--b.slice", "-a.slice", "a/b.slice", ".slice"])
      expect(() => expandSlice(wrong)).toThrow(/no name of a slice/);
  });

  test("cgroupsPath in systemd's form", () => {
    expect(scopePath("a-b.slice:onggi:x1", "id")).toBe("/a.slice/a-b.slice/onggi-x1.scope");
    expect(scopePath("::x1", "id")).toBe("/system.slice/x1.scope");
    expect(scopePath("", "c1")).toBe("/system.slice/onggi-c1.scope");
    expect(scopePath("", "c1", true)).toBe("/user.slice/onggi-c1.scope");
    expect(scopePath(":onggi:x", "c1", true)).toBe("/user.slice/onggi-x.scope");
    expect(scopeOf("/a.slice/a-b.slice/onggi-x1.scope")).toEqual({ unit: "onggi-x1.scope", slice: "a-b.slice" });
    for (const wrong of ["/a/b", "a:b", "a.slice:b:c:d", "a.slice:b:c/d"]) expect(() => scopePath(wrong, "id")).toThrow();
  });

  test("a path that is no scope where systemd would put it", () => {
    for (const wrong of ["/onggi/x", "/system.slice/x", "/b.slice/a-b.slice/x.scope", "/system.slice/a b.scope"]) {
      expect(() => scopeOf(wrong)).toThrow(/systemd driver needs|no name of a slice/);
    }
  });
});

test("a specification's group, by driver", () => {
  const spec = (cgroupsPath?: string): Spec =>
    ({ ociVersion: "1.2.0", linux: cgroupsPath === undefined ? {} : { cgroupsPath } }) as Spec;
  const own = { version: "v2", path: "/user.slice/session-1.scope", rootless: false } as const;
  expect(cgroupPathOf(spec("/a/b"), "c1", "cgroupfs", own)).toBe("/a/b");
  expect(cgroupPathOf(spec(), "c1", "cgroupfs", own)).toBe("/user.slice/c1");
  expect(cgroupPathOf(spec(), "c1", "systemd", own)).toBe("/system.slice/onggi-c1.scope");
  expect(cgroupPathOf(spec(), "c1", "systemd", { ...own, rootless: true })).toBe("/user.slice/onggi-c1.scope");
  expect(cgroupPathOf(spec("a.slice:p:n"), "c1", "systemd", own)).toBe("/a.slice/p-n.scope");
  expect(() => cgroupPathOf(spec("/a/b"), "c1", "systemd", own)).toThrow(/needs "slice:prefix:name"/);
});
