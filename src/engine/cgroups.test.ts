import { expect, test } from "bun:test";
import { cgroupDriverOf, cgroupRoots, containerCgroup, containerOf } from "./cgroups.ts";

const ID = "0123456789abcdef".repeat(4);

test("each engine has groups of its own, by its driver", () => {
  const plain = cgroupRoots("/var/lib/onggi", "cgroupfs");
  expect(plain.own).toMatch(/^\/onggi-[0-9a-f]{8}$/);
  expect(plain.other).toMatch(/^\/onggi_[0-9a-f]{8}\.slice$/);
  expect(cgroupRoots("/var/lib/onggi", "systemd")).toEqual({ own: plain.other, other: plain.own });
  expect(cgroupRoots("/srv/other", "cgroupfs").own).not.toBe(plain.own);
});

test("a container's group, and back", () => {
  expect(containerCgroup("cgroupfs", "/onggi-1", ID)).toBe(`/onggi-1/${ID}`);
  expect(containerCgroup("cgroupfs", "/onggi-1", ID, "/jobs")).toBe(`/jobs/${ID}`);
  expect(containerCgroup("systemd", "/onggi_1.slice", ID)).toBe(`/onggi_1.slice/onggi-${ID}.scope`);
  expect(containerCgroup("systemd", "/onggi_1.slice", ID, "a-b.slice")).toBe(`/a.slice/a-b.slice/onggi-${ID}.scope`);
  for (const parent of ["/jobs", "jobs", "a/b.slice", "a--b.slice"]) {
    expect(() => containerCgroup("systemd", "/onggi_1.slice", ID, parent)).toThrow(/slice/);
  }
  for (const driver of ["cgroupfs", "systemd"] as const) expect(containerOf(containerCgroup(driver, "/x", ID))).toBe(ID);
  for (const strange of ["/x/abc", "/x/docker.scope", `/x/other-${ID}.scope`]) expect(containerOf(strange)).toBeNull();
});

test("names of drivers", () => {
  expect([cgroupDriverOf("cgroupfs"), cgroupDriverOf("systemd")]).toEqual(["cgroupfs", "systemd"]);
  for (const wrong of ["", "Systemd", "cgroup"]) expect(() => cgroupDriverOf(wrong)).toThrow(/no such cgroup driver/);
});
