import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { parseMountOptions } from "../runtime/mount-options.ts";
import { compileSeccomp } from "../runtime/seccomp/index.ts";
import { features } from "./features.ts";

interface Shape {
  ociVersionMin: string;
  ociVersionMax: string;
  hooks: string[];
  mountOptions: string[];
  annotations: Record<string, string>;
  linux: {
    namespaces: string[];
    capabilities: string[];
    seccomp: Record<"actions" | "operators" | "archs" | "knownFlags" | "supportedFlags", string[]> & { enabled: boolean };
    memoryPolicy: { modes: string[]; flags: string[] };
  };
}

const given = features("1.2.3") as unknown as Shape;

test("every mount option is one of ours: none is passed to the file system", () => {
  expect(given.mountOptions.length).toBeGreaterThan(50);
  expect(new Set(given.mountOptions).size).toBe(given.mountOptions.length);
  for (const option of given.mountOptions) {
    const type = option === "idmap" || option === "ridmap" ? "bind" : "tmpfs";
    expect(parseMountOptions([option], type).data).toEqual([]);
  }
});

test("every word of seccomp's compiles", () => {
  const { actions, operators, archs, knownFlags, supportedFlags } = given.linux.seccomp;
  const compile = (more: object) =>
    compileSeccomp({ defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names: ["getpid"], action: "SCMP_ACT_ERRNO" }], ...more });
  for (const action of actions) {
    // libseccomp wants another action by default than that of the rule
    const defaultAction = action === "SCMP_ACT_ALLOW" ? "SCMP_ACT_ERRNO" : "SCMP_ACT_ALLOW";
    expect(compile({ defaultAction, syscalls: [{ names: ["getpid"], action }] }).program.length).toBeGreaterThan(0);
  }
  for (const op of operators) {
    const args = [{ index: 0, value: 1, valueTwo: 1, op }];
    expect(compile({ syscalls: [{ names: ["close"], action: "SCMP_ACT_ERRNO", args }] }).program.length).toBeGreaterThan(0);
  }
  expect(archs).toContain(process.arch === "arm64" ? "SCMP_ARCH_AARCH64" : "SCMP_ARCH_X86_64");
  for (const arch of archs) expect(arch).toMatch(/^SCMP_ARCH_[A-Z0-9_]+$/);
  for (const flag of knownFlags) {
    const action = flag.endsWith("WAIT_KILLABLE_RECV") ? "SCMP_ACT_NOTIFY" : "SCMP_ACT_ERRNO";
    expect(compile({ flags: [flag], syscalls: [{ names: ["getpid"], action }] }).flags).toBeGreaterThan(0);
  }
  // Linux 4.14 has it, older ones are not for us
  expect(supportedFlags).toContain("SECCOMP_FILTER_FLAG_LOG");
  for (const flag of supportedFlags) expect(knownFlags).toContain(flag);
});

test("capabilities are the kernel's", () => {
  const last = Number(readFileSync("/proc/sys/kernel/cap_last_cap", "utf8"));
  expect(given.linux.capabilities[0]).toBe("CAP_CHOWN");
  expect(given.linux.capabilities.length).toBeLessThanOrEqual(last + 1);
});

test("the shape is that of features.md", () => {
  expect(given).toMatchObject({
    ociVersionMin: "1.0.0",
    ociVersionMax: "1.3.0",
    hooks: ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
    annotations: { "io.onggi.version": "1.2.3" },
    potentiallyUnsafeConfigAnnotations: [],
    linux: {
      cgroup: { v1: true, v2: true, systemd: true, rdma: true },
      apparmor: { enabled: true },
      selinux: { enabled: true },
      mountExtensions: { idmap: { enabled: true } },
    },
  });
  expect(given.linux.namespaces.toSorted()).toEqual(["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"]);
  expect(given.linux.memoryPolicy.modes).toContain("MPOL_INTERLEAVE");
  expect(given.linux.memoryPolicy.flags).toContain("MPOL_F_STATIC_NODES");
  expect(JSON.parse(JSON.stringify(given))).toEqual(given);
});
