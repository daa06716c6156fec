/** Containers straight from a plan: compiled here, run by the shim, with no engine between. */
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Shim } from "../../src/native/shim.ts";
import type { Process, Spec } from "../../src/oci/spec.ts";
import { encode } from "../../src/plan/encode.ts";
import type { Op, Plan } from "../../src/plan/ops.ts";
import { cgroupFacts, detectCgroups, openCgroups } from "../../src/runtime/cgroups/index.ts";
import {
  bindSources,
  type CreateInput,
  compileCreate,
  compileExec,
  type ExecProcessInput,
  execProcess,
  type HostFacts,
  type SpecInput,
  specFromRequest,
} from "../../src/runtime/index.ts";
import type { ContainerRequest } from "../../src/runtime/request-types.ts";
import { AT, close, errnoName, OPEN_TREE, openTree } from "../../src/sys/index.ts";

const SHIM = process.env.ONGGI_SHIM ?? new URL("../../build/onggi-shim", import.meta.url).pathname;
const cgroups = openCgroups();
const dirs: string[] = [];

export const ID_MAP = { hostId: 1_500_000_000, size: 65_536 };

/** A bounding set without some capability is what a nested host has. */
const bounding = BigInt(`0x${/CapBnd:\s*(\w+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]}`);
const lastCap = Number(readFileSync("/proc/sys/kernel/cap_last_cap", "utf8"));
export const facts: HostFacts = {
  kernel: (/^(\d+)\.(\d+)/.exec(readFileSync("/proc/sys/kernel/osrelease", "utf8")) ?? []).slice(1).map(Number) as unknown as [
    number,
    number,
  ],
  arch: process.arch === "arm64" ? "arm64" : "x64",
  overlayFds: true,
  cloneDetached: true,
  idmap: true,
  ...cgroupFacts(detectCgroups()),
  lastCap,
  unavailableCaps: Array.from({ length: lastCap + 1 }, (_, n) => n).filter((n) => !((bounding >> BigInt(n)) & 1n)),
};

export function directory(mode = 0o755): string {
  const path = mkdtempSync(join(tmpdir(), "onggi-runtime-"));
  chmodSync(path, mode);
  dirs.push(path);
  return path;
}

/** A root directory with the host's static busybox in /bin. */
export function busybox(): string {
  const root = directory();
  for (const path of ["bin", "etc", "tmp", "root", "home"]) mkdirSync(join(root, path));
  chmodSync(join(root, "tmp"), 0o1777);
  cpSync("/usr/bin/busybox", join(root, "bin/busybox"));
  for (const applet of Bun.spawnSync(["/usr/bin/busybox", "--list"]).stdout.toString().trim().split("\n")) {
    if (applet !== "busybox") symlinkSync("busybox", join(root, "bin", applet));
  }
  writeFileSync(join(root, "etc/passwd"), "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n");
  return root;
}

export interface Options {
  /** Image root. */
  readonly image: string;
  readonly args: readonly string[];
  readonly userns?: boolean;
  readonly request?: Partial<ContainerRequest>;
  readonly user?: { uid: number; gid: number; additionalGids?: number[] };
  readonly devices?: SpecInput["devices"];
  /** Last word on the specification. */
  readonly change?: (spec: Spec) => void;
  readonly input?: Partial<CreateInput>;
  readonly passed?: readonly number[];
  /** Run the shim as this user, with no privileges. */
  readonly as?: number;
  /** A command line that is put before the shim's, such as strace's. */
  readonly tracer?: readonly string[];
  /** Called while the container runs; without it the container is run to its end. */
  readonly during?: (container: Running) => Promise<void>;
}

export interface Result {
  readonly exitCode: number;
  readonly output: string;
  /** The operation that failed, as "child openTarget EACCES: why". */
  readonly failure: string | null;
  readonly plan: Plan;
}

export class Running {
  readonly spec: Spec;
  readonly shim: Shim;
  readonly pid: number;
  readonly cgroupPath: string;
  readonly upper: string;

  constructor(spec: Spec, shim: Shim, pid: number, cgroupPath: string, upper: string) {
    this.spec = spec;
    this.shim = shim;
    this.pid = pid;
    this.cgroupPath = cgroupPath;
    this.upper = upper;
  }

  async exec(command: readonly string[], options: Partial<ExecProcessInput> = {}, more: Partial<Process> = {}): Promise<Result> {
    const user = { uid: 0, gid: 0, additionalGids: [], home: "/root" };
    const process = { ...execProcess({ container: this.spec.process!, command, user, facts, ...options }), ...more };
    const plan = compileExec({
      process,
      target: {
        pid: this.pid,
        namespaces: this.spec.linux!.namespaces!.map(({ type }) => type),
        uidMappings: this.spec.linux?.uidMappings,
        cgroup: cgroups.join(this.cgroupPath),
      },
      facts,
      supervision: { ...supervision, tty: options.tty ?? false, exitPath: null },
    });
    let output = "";
    const decoder = new TextDecoder();
    const { process: made, attachment } = await this.shim.exec(encode(plan), {
      stdout: true,
      stderr: true,
      onOutput: (_, data) => {
        output += decoder.decode(data, { stream: true });
      },
    });
    this.shim.start(made.number);
    const exit = await made.exited;
    await attachment?.ended;
    return { exitCode: exit.exitCode, output, failure: describe(plan, made.failure), plan };
  }
}

const supervision = { tty: false, openStdin: false, stdinOnce: false, log: null, exitPath: "exit", durable: false } as const;

function describe(plan: Plan, failure: Shim["main"]["failure"]): string | null {
  if (!failure) return null;
  const ops: readonly Op[] = failure.section === "clone" || failure.section === "decode" ? [] : plan[failure.section];
  const op = failure.index === null ? undefined : ops[failure.index];
  return `${failure.section} ${op?.kind ?? failure.text} ${errnoName(failure.errno)}: ${op?.why ?? ""}`;
}

/** A program that runs the shim under another. */
function wrapper(base: string, tracer: readonly string[]): string {
  const path = join(base, "traced-shim");
  const words = [...tracer, SHIM].map((word) => `'${word}'`).join(" ");
  writeFileSync(path, `#!/bin/sh\nexec ${words} "$@"\n`, { mode: 0o755 });
  return path;
}

let count = 0;

/** Makes, starts and ends a container, and clears away everything it had. */
export async function run(options: Options): Promise<Result> {
  const { image, args, userns = true, request = {}, user, devices, change, input = {}, passed = [], as, during } = options;
  const tracer = as === undefined ? options.tracer : ["setpriv", "--reuid", `${as}`, "--regid", `${as}`, "--clear-groups"];
  const base = directory(0o700);
  for (const name of ["upper", "work", "mountpoint", "state"]) mkdirSync(join(base, name));
  const idMap = userns ? ID_MAP : null;
  const upper = join(base, "upper");
  if (idMap) chownSync(upper, idMap.hostId, idMap.hostId);
  if (as !== undefined) for (const path of [base, join(base, "state")]) chownSync(path, as, as);
  const cgroupPath = `/onggi-runtime-test-${process.pid}/${count++}`;
  const spec = specFromRequest({
    request: { image: "test", ...request },
    image: {},
    id: "test",
    hostname: "jar",
    args,
    user: { additionalGids: [], home: "/root", ...(user ?? { uid: 0, gid: 0 }) },
    facts,
    cgroupPath,
    idMap,
    ...(devices ? { devices } : {}),
  });
  change?.(spec);
  const lower = openTree(AT.AT_FDCWD, image, OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC);
  const cgroup = cgroups.create(cgroupPath, spec.linux?.resources ?? {});
  let shim: Shim | undefined;
  try {
    const plan = compileCreate({
      spec,
      root: { kind: "overlay", lower: { passed: 0 }, upper, work: join(base, "work"), mountpoint: join(base, "mountpoint") },
      facts,
      cgroup,
      supervision: { ...supervision, tty: spec.process?.terminal ?? false },
      id: "test",
      ...bindSources(spec),
      ...input,
    });
    shim = await Shim.spawn({
      shimPath: tracer ? wrapper(base, tracer) : SHIM,
      id: "test",
      stateDir: join(base, "state"),
      plan: encode(plan),
      passedFds: [lower, ...passed],
    });
    let output = "";
    const decoder = new TextDecoder();
    const attachment = await shim.attach(0, {
      stdout: true,
      stderr: true,
      onOutput: (_, data) => {
        output += decoder.decode(data, { stream: true });
      },
    });
    const created = await shim.main.created.catch(() => undefined);
    if (created) shim.start();
    if (created && during) {
      await shim.main.started;
      await during(new Running(spec, shim, created.pid, cgroupPath, upper));
      await shim.kill(0, 9).catch(() => {});
    }
    const exit = await shim.main.exited;
    await attachment.ended;
    return { exitCode: exit.exitCode, output: output.replaceAll("\r\n", "\n"), failure: describe(plan, shim.main.failure), plan };
  } finally {
    shim?.release();
    close(lower);
    await cgroups.remove(cgroupPath);
    rmSync(base, { recursive: true, force: true });
  }
}

/** Runs a shell script as the container's program. */
export const sh = (image: string, script: string, options: Partial<Options> = {}): Promise<Result> =>
  run({ image, args: ["/bin/sh", "-c", script], ...options });

export async function cleanUp(): Promise<void> {
  await cgroups.remove(`/onggi-runtime-test-${process.pid}`);
  for (const path of dirs.splice(0)) rmSync(path, { recursive: true, force: true });
}
