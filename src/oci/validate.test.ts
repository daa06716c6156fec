import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { inputOf } from "../../test/runtime/plans.ts";
import { encode } from "../plan/encode.ts";
import { compileCreate } from "../runtime/compile.ts";
import { arbitrarySpec, mapping } from "./arbitrary.ts";
import { olderProperties, properties } from "./properties.ts";
import { InvalidSpec, MAX_SPEC_BYTES, parseSpec, validateSpec } from "./validate.ts";

const linux = { namespaces: [{ type: "mount" }, { type: "uts" }] };
const valid = { ociVersion: "1.0.2", process: { cwd: "/", args: ["sh"], user: { uid: 0, gid: 0 } }, linux };
const withProcess = (process: object) => ({ ...valid, process: { ...valid.process, ...process } });
const withLinux = (more: object) => ({ ...valid, linux: { ...linux, ...more } });
const userns = (more: object = {}) =>
  withLinux({ namespaces: [{ type: "mount" }, { type: "user" }], uidMappings: [mapping], gidMappings: [mapping], ...more });

const netDevices = (devices: object) => withLinux({ namespaces: [{ type: "network" }], netDevices: devices });
const seccomp = (more: object) => withLinux({ seccomp: { defaultAction: "SCMP_ACT_ALLOW", ...more } });

const faults: [unknown, string][] = [
  [null, "want an object, got null"],
  [[], "want an object, got a list"],
  [{}, "ociVersion: is missing"],
  [{ ociVersion: 1 }, "ociVersion: want a string, got 1"],
  [{ ociVersion: "2.0.0" }, 'ociVersion: version 1 is supported, got "2.0.0"'],
  [{ ociVersion: "new" }, 'ociVersion: want a version such as "1.2.0", got "new"'],
  [withProcess({ cwd: "x" }), 'process.cwd: must be an absolute path, got "x"'],
  [withProcess({ cwd: undefined }), "process.cwd: want a string, got undefined"],
  [withProcess({ args: [] }), "process.args: want at least 1 entry, got 0"],
  [withProcess({ args: [""] }), "process.args[0]: must not be empty"],
  [withProcess({ args: ["a\0b"] }), 'process.args[0]: must not hold a NUL byte, got "a\\u0000b"'],
  [withProcess({ user: { uid: -1, gid: 0 } }), "process.user.uid: want 0 to 4294967294, got -1"],
  [withProcess({ user: { uid: 0.5, gid: 0 } }), "process.user.uid: want a whole number, got 0.5"],
  [withProcess({ oomScoreAdj: 1001 }), "process.oomScoreAdj: want -1000 to 1000, got 1001"],
  [
    withProcess({ rlimits: [{ type: "RLIMIT_X", soft: 1, hard: 1 }] }),
    'process.rlimits[0].type: unknown resource limit "RLIMIT_X"; getrlimit(2) lists them',
  ],
  [
    withProcess({ rlimits: [{ type: "RLIMIT_CPU", soft: 2, hard: 1 }] }),
    "process.rlimits[0].soft: must not be above the hard limit 1, got 2",
  ],
  [withProcess({ capabilities: { bounding: [1] } }), "process.capabilities.bounding[0]: want a string, got 1"],
  [withProcess({ env: ["PATH=/", "LANG"] }), 'process.env[1]: want "NAME=value", got "LANG"'],
  [withProcess({ env: ["=x"] }), 'process.env[0]: want "NAME=value", got "=x"'],
  [
    withProcess({ terminal: true, consoleSize: { height: 65_536, width: 1 } }),
    "process.consoleSize.height: want 0 to 65535, got 65536",
  ],
  [
    withProcess({ scheduler: { policy: "SCHED_BATCH", priority: 5 } }),
    "process.scheduler.priority: only SCHED_FIFO and SCHED_RR have one, not SCHED_BATCH",
  ],
  [withProcess({ scheduler: { policy: "SCHED_RR" } }), "process.scheduler.priority: SCHED_RR needs one from 1 to 99"],
  [
    withProcess({ scheduler: { policy: "SCHED_OTHER", period: 5 } }),
    "process.scheduler.period: only SCHED_DEADLINE has it, not SCHED_OTHER",
  ],
  [withProcess({ scheduler: { policy: "SCHED_OTHER", nice: 20 } }), "process.scheduler.nice: want -20 to 19, got 20"],
  [withProcess({ scheduler: { policy: "SCHED_OTHER", flags: ["x"] } }), "process.scheduler.flags[0]: want one of SCHED_FLAG_"],
  [withProcess({ ioPriority: { class: "IOPRIO_CLASS_BE", priority: 8 } }), "process.ioPriority.priority: want 0 to 7, got 8"],
  [withProcess({ execCPUAffinity: { initial: "a" } }), 'process.execCPUAffinity.initial: want a list like "0-2,7", got "a"'],
  [withLinux({ namespaces: [{ type: "mount" }, { type: "mount" }] }), "linux.namespaces[1].type: mount is listed twice"],
  [
    withLinux({ namespaces: [{ type: "disk" }] }),
    'linux.namespaces[0].type: want one of pid, network, mount, ipc, uts, user, cgroup, time, got "disk"',
  ],
  [withLinux({ namespaces: [{ type: "pid", path: "x" }] }), 'linux.namespaces[0].path: must be an absolute path, got "x"'],
  [withLinux({ cgroupsPath: "/a/../b" }), 'linux.cgroupsPath: must not hold "..", got "/a/../b"'],
  [withLinux({ uidMappings: [mapping] }), "linux.uidMappings: needs a user namespace in linux.namespaces"],
  [userns({ gidMappings: [] }), "linux.gidMappings: is missing: a new user namespace needs it"],
  [userns({ uidMappings: [mapping, { ...mapping, containerID: 999 }] }), "linux.uidMappings: ranges overlap at containerID 999"],
  [
    userns({ uidMappings: [{ ...mapping, containerID: 1 }] }),
    "linux.uidMappings: user id 0, the root that sets the container up, is not mapped in the user namespace",
  ],
  [
    userns({ uidMappings: [{ ...mapping, hostID: 4294967294 }] }),
    "linux.uidMappings[0]: reaches beyond the highest id, 4294967294",
  ],
  [
    { ...userns(), process: { ...valid.process, user: { uid: 1000, gid: 0 } } },
    "process.user.uid: user id 1000 is not mapped in the user namespace",
  ],
  [{ ...valid, hostname: "ö".repeat(33) }, "hostname: want at most 64 bytes, got 66"],
  [{ ...withLinux({ namespaces: [{ type: "mount" }] }), hostname: "a" }, "hostname: needs a uts namespace in linux.namespaces"],
  [withLinux({ timeOffsets: { monotonic: { secs: 1 } } }), "linux.timeOffsets: needs a new time namespace in linux.namespaces"],
  [
    withLinux({ sysctl: { "kernel.panic": "1" } }),
    'linux.sysctl["kernel.panic"]: is not separate for each namespace and would change the host\'s',
  ],
  [
    withLinux({ sysctl: { "net.ipv4.ip_forward": "1" } }),
    'linux.sysctl["net.ipv4.ip_forward"]: needs a network namespace in linux.namespaces',
  ],
  [withLinux({ sysctl: { "net/../kernel/panic": "1" } }), 'linux.sysctl["net/../kernel/panic"]: is no kernel parameter\'s name'],
  [withLinux({ devices: [{ type: "c", path: "/dev/x", major: 1 }] }), "linux.devices[0].minor: is missing"],
  [{ ...valid, mounts: [{ destination: "" }] }, "mounts[0].destination: must not be empty"],
  [{ ...valid, mounts: [{ destination: "/a", uidMappings: [mapping] }] }, "mounts[0]: uidMappings and gidMappings go together"],
  [
    withLinux({ sysctl: { "kernel.hostname": "a" } }),
    'linux.sysctl["kernel.hostname"]: is what the specification\'s "hostname" is for',
  ],
  [
    withLinux({ sysctl: { "user.max_user_namespaces": "1" } }),
    'linux.sysctl["user.max_user_namespaces"]: needs a user namespace in linux.namespaces',
  ],
  [withLinux({ netDevices: { eth0: {} } }), 'linux.netDevices["eth0"]: needs a network namespace in linux.namespaces'],
  [netDevices({ "a/b": {} }), 'linux.netDevices["a/b"]: is no network device\'s name'],
  [netDevices({ eth0: { name: "sixteen-letters!" } }), 'linux.netDevices["eth0"].name: is no network device\'s name'],
  [
    netDevices({ eth0: { name: "eth1" }, eth1: {} }),
    'linux.netDevices["eth1"]: would be "eth1" in the container, and so would "eth0"',
  ],
  [withLinux({ memoryPolicy: { mode: "MPOL_X" } }), "linux.memoryPolicy.mode: want one of MPOL_DEFAULT, MPOL_BIND,"],
  [withLinux({ memoryPolicy: { mode: "MPOL_BIND" } }), "linux.memoryPolicy.nodes: MPOL_BIND needs at least one node"],
  [
    withLinux({ memoryPolicy: { mode: "MPOL_LOCAL", nodes: "0" } }),
    'linux.memoryPolicy.nodes: MPOL_LOCAL takes no nodes, got "0"',
  ],
  [
    withLinux({ memoryPolicy: { mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"] } }),
    "linux.memoryPolicy.flags: MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other",
  ],
  [withLinux({ intelRdt: { closID: "a/b" } }), 'linux.intelRdt.closID: want the name of a directory, or "/", got "a/b"'],
  [withLinux({ intelRdt: { memBwSchema: "L3:0=f" } }), 'linux.intelRdt.memBwSchema: must start with "MB:", got "L3:0=f"'],
  [withLinux({ intelRdt: { schemata: ["L3:0=f\nMB:0=1"] } }), "linux.intelRdt.schemata[0]: must be one line"],
  [
    withLinux({ intelRdt: { enableCMT: true } }),
    "linux.intelRdt.enableCMT: version 1.3 of the specification has enableMonitoring",
  ],
  [withLinux({ seccomp: { defaultAction: "SCMP_ACT_NOTIFY" } }), "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY is possible for"],
  [withLinux({ seccomp: { defaultAction: "SCMP_ACT_X" } }), "linux.seccomp.defaultAction: want one of SCMP_ACT_KILL,"],
  [seccomp({ flags: ["x"] }), "linux.seccomp.flags[0]: want one of SECCOMP_FILTER_FLAG_TSYNC,"],
  [seccomp({ architectures: ["amd64"] }), "linux.seccomp.architectures[0]: want one of SCMP_ARCH_X86,"],
  [seccomp({ listenerMetadata: "x" }), "linux.seccomp.listenerMetadata: needs linux.seccomp.listenerPath"],
  [
    seccomp({ syscalls: [{ names: [], action: "SCMP_ACT_LOG" }] }),
    "linux.seccomp.syscalls[0].names: want at least 1 entry, got 0",
  ],
  [seccomp({ syscalls: [{ names: ["write"], action: "SCMP_ACT_NOTIFY" }] }), "linux.seccomp.syscalls[0]: SCMP_ACT_NOTIFY is not"],
  [
    seccomp({ syscalls: [{ names: ["dup"], action: "SCMP_ACT_LOG", args: [{ index: 6, value: 0, op: "SCMP_CMP_EQ" }] }] }),
    "linux.seccomp.syscalls[0].args[0].index: want 0 to 5, got 6",
  ],
  [
    seccomp({ syscalls: [{ names: ["dup"], action: "SCMP_ACT_LOG", args: [{ index: 0, value: 0, op: "==" }] }] }),
    "linux.seccomp.syscalls[0].args[0].op: want one of SCMP_CMP_NE,",
  ],
  [
    withLinux({ resources: { hugepageLimits: [{ pageSize: "2m", limit: 1 }] } }),
    "linux.resources.hugepageLimits[0].pageSize: want a",
  ],
];

test.each(faults)("%j", (spec, message) => {
  expect(() => validateSpec(spec)).toThrow(message);
});

describe("a valid specification", () => {
  test("comes back without what the specification does not know, and without nulls", () => {
    const spec = { ...valid, hostname: "jar", windows: { deep: true }, annotations: { a: "b" }, hooks: null };
    expect(validateSpec(spec)).toEqual({ ...valid, hostname: "jar", annotations: { a: "b" } } as never);
  });

  test("has each variable of the environment once, the last", () => {
    const env = ["A=1", "B=2", "A=3=4", "C=", "B=5"];
    expect(validateSpec(withProcess({ env })).process?.env).toEqual(["A=3=4", "C=", "B=5"]);
  });

  test("is what Go leaves out, wherever that is written down empty", () => {
    const spec = withLinux({
      namespaces: [{ type: "mount", path: "" }],
      rootfsPropagation: "",
      resources: { devices: [{ allow: false, type: "", access: "rwm" }] },
    });
    expect(validateSpec({ ...spec, process: { cwd: "/", user: {} } })).toEqual({
      ociVersion: "1.0.2",
      process: { cwd: "/", user: { uid: 0, gid: 0 } },
      linux: { namespaces: [{ type: "mount" }], resources: { devices: [{ allow: false, access: "rwm" }] } },
    });
  });

  test.each(["1.0.0", "1.0.2-dev", "1.1.0+build", "1.3.0", "1.99.0"])("may be of version %s", (ociVersion) => {
    expect(validateSpec({ ...valid, ociVersion }).ociVersion).toBe(ociVersion);
  });

  test("may name capabilities that no kernel has, and a console's size where there is none", () => {
    const process = { capabilities: { bounding: ["CAP_CHOWN", "KILL"] }, consoleSize: { height: 70_000, width: 1 } };
    expect(validateSpec(withProcess(process)).process).toMatchObject(process);
  });

  test("may say infinity in any way JSON can", () => {
    const rlimits = [
      { type: "RLIMIT_CORE", soft: 2 ** 64, hard: 2 ** 64 },
      { type: "RLIMIT_CPU", soft: 5, hard: -1 },
    ];
    expect(validateSpec(withProcess({ rlimits })).process?.rlimits).toEqual(rlimits);
  });
});

/** Anything goes wrong as InvalidSpec, or not at all. */
function survives(value: unknown): void {
  try {
    validateSpec(value);
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidSpec);
  }
}

describe("hostile input", () => {
  test("any JSON value", () => {
    fc.assert(fc.property(fc.jsonValue(), survives), { numRuns: 500 });
  });

  test("a specification with any JSON value in any place", () => {
    const keys = ["ociVersion", "process", "linux", "mounts", "root", "hostname", "hooks", "annotations"] as const;
    const inner = [
      "namespaces",
      "uidMappings",
      "sysctl",
      "devices",
      "resources",
      "seccomp",
      "args",
      "user",
      "rlimits",
      "capabilities",
    ] as const;
    const mutated = fc
      .tuple(fc.constantFrom(...keys), fc.constantFrom(...inner), fc.jsonValue(), fc.boolean())
      .map(([key, name, value, deep]) => {
        const base = structuredClone(valid) as unknown as Record<string, unknown>;
        base[key] = deep ? { ...(base[key] as object | undefined), [name]: value } : value;
        return base;
      });
    fc.assert(fc.property(mutated, survives), { numRuns: 1000 });
  });

  test("any text", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(() => parseSpec(text)).toThrow(InvalidSpec);
      }),
    );
  });

  test("a text beyond the limit is not even parsed", () => {
    expect(() => parseSpec(" ".repeat(MAX_SPEC_BYTES + 1))).toThrow("config.json is longer than 16777216 bytes");
  });

  test("deep nesting and huge lists", () => {
    expect(() => parseSpec(`${"[".repeat(1_000_000)}`)).toThrow(InvalidSpec);
    const deep = `${'{"a":'.repeat(5000)}1${"}".repeat(5000)}`;
    expect(() => parseSpec(deep)).toThrow("ociVersion: is missing");
    // a member that the specification does not know is parsed, but nobody walks it
    const unknown = `{"ociVersion":"1.3.0","x":${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}}`;
    expect(parseSpec(unknown)).toEqual({ ociVersion: "1.3.0" });
    const huge = withProcess({ env: Array.from({ length: 200_000 }, (_, i) => `V${i}=x`) });
    expect(validateSpec(huge).process?.env?.length).toBe(200_000);
    survives(JSON.parse('{"ociVersion":"1.0.0","__proto__":{"process":1},"process":{"cwd":"/","__proto__":{"x":1}}}'));
  });
});

test("what is generated as valid passes, compiles and encodes", () => {
  fc.assert(
    fc.property(arbitrarySpec, (value) => {
      const checked = validateSpec(JSON.parse(JSON.stringify(value)));
      expect(encode(compileCreate(inputOf(checked, { bundle: "/b" }))).length).toBeGreaterThan(0);
      // a second time there is nothing left to put right
      expect(validateSpec(checked)).toEqual(checked);
    }),
    { numRuns: 300 },
  );
}, 60_000);

/** Puts a value at a property's path, making what leads there. */
function put(target: Record<string, unknown>, property: string, value: unknown): void {
  let holder: unknown = target;
  const steps = property.match(/[^.[\]{}]+|\[\]|\{\}/g) as string[];
  steps.forEach((step, i) => {
    const key = step === "[]" ? 0 : step === "{}" ? "name" : step;
    const at = holder as Record<string | number, unknown>;
    if (i === steps.length - 1) at[key] = value;
    else if (typeof at[key] !== "object" || at[key] === null) at[key] = steps[i + 1] === "[]" ? [] : {};
    holder = at[key];
  });
}

test("any JSON value in any property is taken, or refused where it stands", () => {
  const mutated = fc.tuple(arbitrarySpec, fc.constantFrom(...properties, ...olderProperties), fc.jsonValue({ maxDepth: 3 }));
  fc.assert(
    fc.property(mutated, ([spec, property, value]) => {
      const changed = JSON.parse(JSON.stringify(spec));
      put(changed, property, value);
      let refusal: unknown;
      try {
        validateSpec(changed);
      } catch (error) {
        refusal = error;
      }
      if (refusal === undefined) return;
      expect(refusal).toBeInstanceOf(InvalidSpec);
      const { path, message } = refusal as InvalidSpec;
      expect(path).not.toBe("");
      expect(message).toStartWith(`${path}: `);
    }),
    { numRuns: 2000 },
  );
}, 60_000);
