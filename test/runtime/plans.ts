/** Small inputs for the compiler, and its plans as text. */
import type { Process, Spec } from "../../src/oci/spec.ts";
import { encode } from "../../src/plan/encode.ts";
import { planLines } from "../../src/plan/print.ts";
import { type CreateInput, compileCreate, compileExec, type ExecInput } from "../../src/runtime/compile.ts";
import type { HostFacts } from "../../src/runtime/types.ts";

// few capabilities keep the plans short
export const facts: HostFacts = {
  kernel: [6, 18],
  arch: "x64",
  overlayFds: true,
  cloneDetached: true,
  idmap: true,
  cgroup: "v2",
  cgroupHierarchies: [],
  lastCap: 1,
};
export const process: Process = {
  cwd: "/",
  args: ["/bin/app", "-v"],
  env: ["PATH=/bin"],
  user: { uid: 0, gid: 0 },
  capabilities: { bounding: ["CAP_CHOWN"], effective: ["CAP_CHOWN"], permitted: ["CAP_CHOWN"] },
};
export const supervision = {
  tty: false,
  openStdin: false,
  stdinOnce: false,
  log: null,
  exitPath: "exit",
  durable: true,
} as const;
export const v1 = {
  facts: { ...facts, cgroup: "v1", cgroupHierarchies: [{ mountpoint: "cpu,cpuacct", options: "cpu,cpuacct" }] },
  cgroup: {
    cloneInto: null,
    tasks: ["/sys/fs/cgroup/cpu,cpuacct/c/tasks"],
    oom: "/sys/fs/cgroup/memory/c/memory.oom_control",
  },
} as const;
export const mapping = [{ containerID: 0, hostID: 100_000, size: 65_536 }];

const dev = { destination: "/dev", source: "/dev", type: "bind", options: ["rbind"] };

/** A specification with a /dev from elsewhere, so that plans are not mostly device nodes. */
export function specOf(linux: Spec["linux"], rest: Partial<Spec> = {}): Spec {
  const mounts = [dev, ...(rest.mounts ?? [])];
  return { ociVersion: "1.2.0", process, ...rest, mounts, linux: { namespaces: [{ type: "mount" }, { type: "pid" }], ...linux } };
}

export const inputOf = (spec: Spec, rest: Partial<CreateInput> = {}): CreateInput => ({
  spec,
  root: { kind: "overlay", lower: { passed: 0 }, upper: "/c/upper", work: "/c/work", mountpoint: "/c/root" },
  facts,
  cgroup: { cloneInto: "/sys/fs/cgroup/c", tasks: [], oom: null },
  supervision,
  id: "c",
  ...rest,
});

/** The plan as text; it must also be one that the wire can carry. */
export function lines(input: CreateInput): string {
  const plan = compileCreate(input);
  encode(plan);
  return planLines(plan).join("\n");
}

export const exec = (rest: Partial<ExecInput>): string =>
  planLines(
    compileExec({
      process,
      target: {
        pid: 42,
        namespaces: ["mount", "pid", "network"],
        cgroup: { cloneInto: "/sys/fs/cgroup/c", tasks: [], oom: null },
      },
      facts,
      supervision,
      ...rest,
    }),
  ).join("\n");
