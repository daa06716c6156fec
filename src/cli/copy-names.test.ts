import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { absolute, nameOfTarget, planCopy, renamed, splitEntry, splitPlace } from "./copy-names.ts";

test("a place has a name before its first colon, unless it is a path", () => {
  expect(splitPlace("web:/etc")).toEqual({ name: "web", path: "/etc" });
  expect(splitPlace("web:a:b")).toEqual({ name: "web", path: "a:b" });
  for (const path of ["/a:b", "./a:b", "../a:b", "a", "-"]) expect(splitPlace(path)).toEqual({ path });
});

test("entries", () => {
  expect(splitEntry("/a/b/")).toEqual({ directory: "/a", base: "b" });
  expect(splitEntry("/a/b/.")).toEqual({ directory: "/a/b", base: "." });
  expect(splitEntry("/")).toEqual({ directory: "/", base: "/" });
  expect(splitEntry("x")).toEqual({ directory: ".", base: "x" });
  expect(absolute("/w", "a/../b/")).toBe("/w/b/");
  expect(absolute("/w", ".")).toBe("/w/.");
  expect(absolute("/", "/.")).toBe("/.");
});

describe("plans", () => {
  const file = { path: "/s/f", isDirectory: false };
  const dir = { path: "/s/d", isDirectory: true };
  const at = (path: string, kind: "file" | "dir" | "none") => ({ path, exists: kind !== "none", isDirectory: kind === "dir" });
  test("what is copied, and to where", () => {
    expect(planCopy(file, at("/t", "dir"))).toEqual({ directory: "/t", from: "f", name: "f" });
    expect(planCopy(file, at("/t/g", "file"))).toEqual({ directory: "/t", from: "f", name: "g" });
    expect(planCopy(file, at("/t/g", "none"))).toEqual({ directory: "/t", from: "f", name: "g" });
    expect(planCopy(dir, at("/t/e/", "none"))).toEqual({ directory: "/t", from: "d", name: "e" });
    expect(planCopy({ ...dir, path: "/s/d/." }, at("/t", "dir"))).toEqual({ directory: "/t", from: ".", name: "." });
    expect(planCopy({ ...dir, path: "/s/d/." }, at("/t/e", "none"))).toEqual({ directory: "/t", from: ".", name: "e" });
    expect(planCopy({ ...file, name: "link" }, at("/t", "dir")).name).toBe("link");
  });
  test("what cannot be", () => {
    expect(() => planCopy(dir, at("/t/f", "file"))).toThrow("cannot copy directory");
    expect(() => planCopy(file, at("/t/g/", "none"))).toThrow("no such directory");
  });
});

test("names in an archive", () => {
  expect(renamed("d", "d", "e")).toBe("e");
  expect(renamed("d/x", "d", "e")).toBe("e/x");
  expect(renamed("dd/x", "d", "e")).toBe("dd/x");
  expect(renamed("", ".", ".")).toBeNull();
  expect(renamed("x", ".", ".")).toBe("x");
  expect(renamed("", ".", "e")).toBe("e");
  expect(renamed("x", "/", "e")).toBe("e/x");
});

test("what a link leads to is called as the link", () => {
  expect(nameOfTarget("/etclink", "/etc")).toEqual({ path: "/etc", name: "etclink" });
  expect(nameOfTarget("/etclink/.", "/etc")).toEqual({ path: "/etc/." });
  expect(nameOfTarget("/a/x", "/b/x")).toEqual({ path: "/b/x" });
});

test("absolute paths stay in their directory and keep their end", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom("a", "..", ".", "b"), { minLength: 1, maxLength: 6 }), (parts) => {
      const path = absolute("/w", parts.join("/"));
      expect(path.startsWith("/")).toBe(true);
      expect(path.endsWith("/.")).toBe(parts.at(-1) === ".");
      expect(path.split("/")).not.toContain("..");
    }),
  );
});
