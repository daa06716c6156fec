import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname } from "node:path";
import type { Linux, Process, Spec } from "../oci/spec.ts";
import { checkHostSupport, type HostSupport } from "./host-support.ts";

let root = "";
beforeAll(() => {
  root = mkdtempSync(`${tmpdir()}/onggi-host-`);
  const files = {
    "proc/self/numa_maps": "",
    "sys/devices/system/node/has_memory": "0-1\n",
    "sys/module/apparmor/parameters/enabled": "Y\n",
  };
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(`${root}/${dirname(path)}`, { recursive: true });
    writeFileSync(`${root}/${path}`, text);
  }
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const facts: HostSupport["facts"] = { kernel: [6, 8], lastCap: 40, idmap: true, unprivileged: false };
const spec = (linux: Linux, process: Partial<Process> = {}, mounts: Spec["mounts"] = []): Spec => ({
  ociVersion: "1.3.0",
  process: { cwd: "/", ...process },
  mounts,
  linux,
});
const bare = () => `${root}/nothing`;

describe("what this host has not is refused by name", () => {
  const cases: [Spec, string, Partial<HostSupport["facts"]>?, boolean?][] = [
    [spec({}, { apparmorProfile: "p" }), "process.apparmorProfile: AppArmor is not enabled in this kernel", {}, true],
    [spec({}, { selinuxLabel: "a:b:c" }), "process.selinuxLabel: SELinux is not enabled in this kernel"],
    [spec({ mountLabel: "a:b:c" }), "linux.mountLabel: SELinux is not enabled in this kernel"],
    [spec({ memoryPolicy: { mode: "MPOL_LOCAL" } }), "linux.memoryPolicy: this kernel has no NUMA memory policies", {}, true],
    [
      spec({ memoryPolicy: { mode: "MPOL_WEIGHTED_INTERLEAVE", nodes: "0" } }),
      "linux.memoryPolicy.mode: MPOL_WEIGHTED_INTERLEAVE needs Linux 6.9, this is 6.8",
    ],
    [
      spec({ memoryPolicy: { mode: "MPOL_BIND", nodes: "1-2" } }),
      "linux.memoryPolicy.nodes: 1-2 is more than the nodes of this machine that have memory, 0-1",
    ],
    [
      spec({}, {}, [{ destination: "/a", source: "/a", options: ["rbind", "ridmap"] }]),
      "mounts[0]: this kernel",
      { idmap: false },
    ],
    [spec({ netDevices: { eth0: {} } }), "linux.netDevices: moving the host's network devices", { unprivileged: true }],
    [spec({ intelRdt: {} }), "linux.intelRdt: it takes root's privileges", { unprivileged: true }],
    [
      spec({}, { ioPriority: { class: "IOPRIO_CLASS_RT" } }),
      "process.ioPriority.class: IOPRIO_CLASS_RT takes root's privileges",
      { unprivileged: true },
    ],
  ];
  test.each(cases)("%j", (value, message, change = {}, empty = false) => {
    const support = { facts: { ...facts, ...change }, root: empty ? bare() : root };
    expect(() => checkHostSupport(value, support)).toThrow(message);
  });
});

test("what it has passes", () => {
  const linux: Linux = { memoryPolicy: { mode: "MPOL_PREFERRED_MANY", nodes: "0,1" }, netDevices: { eth0: {} } };
  expect(checkHostSupport(spec(linux, { apparmorProfile: "p" }), { facts, root })).toEqual([]);
  const relative: Linux = { memoryPolicy: { mode: "MPOL_BIND", nodes: "7", flags: ["MPOL_F_RELATIVE_NODES"] } };
  expect(checkHostSupport(spec(relative), { facts, root })).toEqual([]);
});

test("what is done without is a warning", () => {
  const capabilities = { bounding: ["CAP_CHOWN", "CAP_FUTURE", "constructor"], effective: ["CAP_FUTURE"] };
  const linux: Linux = { resources: { memory: { useHierarchy: false } } };
  expect(checkHostSupport(spec(linux, { capabilities }), { facts, root })).toEqual([
    'process.capabilities: this kernel has no "CAP_FUTURE"; it is left out',
    'process.capabilities: this kernel has no "constructor"; it is left out',
    "linux.resources.memory.useHierarchy: memory is always accounted hierarchically; false has no effect",
  ]);
});
