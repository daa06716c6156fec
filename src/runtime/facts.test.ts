import { expect, test } from "bun:test";
import { probeHost } from "./facts.ts";

test("facts are looked up when they are asked for, and once", () => {
  let asked = 0;
  const facts = probeHost({
    get cgroup() {
      asked++;
      return "v2" as const;
    },
    get cgroupHierarchies(): never {
      throw new Error("nobody has asked for it");
    },
  });
  expect(facts.kernel[0]).toBeGreaterThan(3);
  expect(asked).toBe(0);
  expect([facts.cgroup, facts.cgroup]).toEqual(["v2", "v2"]);
  expect(asked).toBe(1);
});

test("all of them can be had, and copied", () => {
  const copy = { ...probeHost() };
  expect(Object.keys(copy).sort()).toEqual([
    "arch",
    "cgroup",
    "cgroupHierarchies",
    "cloneDetached",
    "idmap",
    "kernel",
    "lastCap",
    "overlayFds",
    "unavailableCaps",
    "unprivileged",
  ]);
  expect(copy.lastCap).toBeGreaterThan(30);
  expect(copy.unprivileged).toBe(process.geteuid?.() !== 0);
});
