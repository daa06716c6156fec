/**
 * The OCI runtime for a test: bundles, a state root and cgroups of its own, and at the end a check that the machine is as it was.
 *
 *     const runtime = new TestRuntime();
 *     afterAll(() => runtime.close());
 *     const { stdout, code } = await runtime.run(["id", "-u"]);
 *
 * What is tested is `dist/onggi-runtime`, or the program that ONGGI_RUNTIME names; its command line is runc's.
 */
import { test } from "bun:test";
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Spec } from "../../src/oci/spec.ts";
import { boundingSet, capabilityList } from "../../src/sys/index.ts";
import { repository, slowness } from "./engine.ts";
import { makeBusyboxTree, sh } from "./images.ts";
import { endAndRemove, findRemains } from "./oci-remains.ts";
import { type Change, makeSpec } from "./oci-spec.ts";

export const runtimePath = process.env.ONGGI_RUNTIME ?? join(repository, "dist/onggi-runtime");

/** How often a race is tried. */
export const ROUNDS = Number(process.env.ONGGI_ROUNDS ?? 100);

/** Debian's runc 1.1.5, on which these tests themselves are tried, knows the specification up to 1.0.2. */
export const isOldRunc = basename(runtimePath) === "runc";

/** For what the specification has gained since then. */
export const testNewer = test.skipIf(isOldRunc);

/** What root may have on this machine, by name. */
export const availableCapabilities: readonly string[] = capabilityList(boundingSet());

export interface LogEntry {
  readonly level: string;
  readonly msg: string;
  readonly time: string;
}

export interface CallOptions {
  readonly stdin?: string | Bun.BunFile | number;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Words before the runtime's own, such as a shell that closes descriptors. */
  readonly under?: readonly string[];
  /** The runtime's descriptors from 3 on. */
  readonly fds?: readonly number[];
  /** Milliseconds, before `slowness`; then SIGKILL. Default 20,000. */
  readonly timeout?: number;
  /** Another program than the one under test: a copy of it, say. */
  readonly program?: string;
}

/** One invocation. Its output goes to files, which a detached container keeps writing: every reading is of what is there now. */
export interface Call {
  readonly pid: number;
  /** 128 + n if the runtime itself was killed by a signal. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What came through --log, as JSON. */
  readonly log: readonly LogEntry[];
}

export interface RunningCall {
  readonly pid: number;
  kill(signal: NodeJS.Signals): void;
  stdout(): string;
  readonly done: Promise<Call>;
}

export interface Bundle {
  readonly id: string;
  readonly directory: string;
  readonly rootfs: string;
  /** As in config.json; after altering it call `write`. */
  readonly spec: Spec;
  write(): void;
}

export interface ContainerState {
  readonly ociVersion: string;
  readonly id: string;
  readonly pid: number;
  readonly status: "creating" | "created" | "running" | "paused" | "stopped";
  readonly bundle: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

export class TestRuntime {
  readonly base: string = mkdtempSync(join(tmpdir(), "onggi-oci-"));
  /** Part of the name of everything made here, and of nothing else on the machine. */
  readonly tag: string = basename(this.base);
  readonly root: string = join(this.base, "state");
  #count = 0;

  constructor() {
    chmodSync(this.base, 0o755);
    makeBusyboxTree(join(this.base, "busybox"));
  }

  /** A directory, a config.json and a root directory with busybox. */
  bundle(args: readonly string[], ...changes: readonly Change[]): Bundle {
    const id = this.uniqueId();
    const directory = join(this.base, id);
    const rootfs = join(directory, "rootfs");
    mkdirSync(directory);
    sh(["cp", "-a", join(this.base, "busybox"), rootfs]);
    const spec = makeSpec(args, ...changes);
    if (spec.linux) spec.linux.cgroupsPath ??= `/${this.tag}/${id}`;
    const write = (): void => writeFileSync(join(directory, "config.json"), JSON.stringify(spec));
    write();
    return { id, directory, rootfs, spec, write };
  }

  uniqueId(): string {
    this.#count += 1;
    return `${this.tag}-${this.#count}`;
  }

  /** Starts the runtime with this root and a log of its own; `args` begin with the command or further global options. */
  spawn(args: readonly string[], options: CallOptions = {}): RunningCall {
    this.#count += 1;
    const file = join(this.base, `call-${this.#count}`);
    const [out, err] = [openSync(`${file}.out`, "a"), openSync(`${file}.err`, "a")];
    const stdin = typeof options.stdin === "string" ? new TextEncoder().encode(options.stdin) : (options.stdin ?? "ignore");
    const program = options.program ?? runtimePath;
    const command = [program, "--root", this.root, "--log", `${file}.log`, "--log-format", "json", ...args];
    const child = Bun.spawn([...(options.under ?? []), ...command], {
      cwd: options.cwd ?? this.base,
      env: { ...process.env, ...options.env },
      stdio: [stdin, out, err, ...(options.fds ?? [])] as ["ignore", number, number],
    });
    closeSync(out);
    closeSync(err);
    const timer = setTimeout(() => child.kill("SIGKILL"), (options.timeout ?? 20_000) * slowness);
    const done = child.exited.then((): Call => {
      clearTimeout(timer);
      return new FinishedCall(child.pid, statusOf(child), file);
    });
    return { pid: child.pid, kill: (signal) => child.kill(signal), stdout: () => readText(`${file}.out`), done };
  }

  call(args: readonly string[], options?: CallOptions): Promise<Call> {
    return this.spawn(args, options).done;
  }

  /** @throws unless the runtime ends with 0 */
  async ok(args: readonly string[], options?: CallOptions): Promise<Call> {
    const result = await this.call(args, options);
    if (result.code !== 0)
      throw new Error(`${args.join(" ")} ended with ${result.code}: ${result.stderr || JSON.stringify(result.log)}`);
    return result;
  }

  /** Runs a container of its own in the foreground, to its end. */
  async run(args: readonly string[], ...changes: readonly Change[]): Promise<Call> {
    const bundle = this.bundle(args, ...changes);
    return this.call(["run", "--bundle", bundle.directory, bundle.id]);
  }

  /** Like `run`, of a shell script. */
  shell(script: string, ...changes: readonly Change[]): Promise<Call> {
    return this.run(["sh", "-c", script], ...changes);
  }

  /** A created container. */
  async created(args: readonly string[], ...changes: readonly Change[]): Promise<Bundle> {
    const bundle = this.bundle(args, ...changes);
    await this.ok(["create", "--bundle", bundle.directory, bundle.id]);
    return bundle;
  }

  /** A running container, by default of a program that waits. */
  async running(args: readonly string[] = ["sleep", "1000"], ...changes: readonly Change[]): Promise<Bundle> {
    const bundle = this.bundle(args, ...changes);
    await this.ok(["run", "--detach", "--bundle", bundle.directory, bundle.id]);
    return bundle;
  }

  async state(id: string): Promise<ContainerState> {
    return JSON.parse((await this.ok(["state", id])).stdout) as ContainerState;
  }

  /** Waits until the container is there and has a status, at most 10 s. */
  async until(id: string, status: ContainerState["status"]): Promise<ContainerState> {
    for (const deadline = Date.now() + 10_000 * slowness; ; await Bun.sleep(10)) {
      const { code, stdout, stderr } = await this.call(["state", id]);
      const state = code === 0 ? (JSON.parse(stdout) as ContainerState) : null;
      if (state?.status === status) return state;
      if (Date.now() > deadline) throw new Error(`${id} is ${state?.status ?? stderr}, not ${status}`);
    }
  }

  /** Deletes a container whatever it is doing. */
  async remove(bundle: Bundle | string): Promise<void> {
    await this.ok(["delete", "--force", typeof bundle === "string" ? bundle : bundle.id]);
  }

  /** What of a container, or of all of them, is left: lines such as "process 123 sleep 1000". */
  remains(name: string = this.tag): string[] {
    return findRemains({ base: this.base, root: this.root, tag: this.tag }, name);
  }

  /** Waits until nothing is left: the kernel ends processes and mounts in its own time. */
  async expectNothingLeft(name: string = this.tag, seconds = 5): Promise<void> {
    for (const deadline = Date.now() + seconds * 1000 * slowness; ; await Bun.sleep(20)) {
      const found = this.remains(name);
      if (found.length === 0) return;
      if (Date.now() > deadline) throw new Error(`left behind:\n${found.join("\n")}`);
    }
  }

  /** Deletes every container, asserts that nothing is left, and removes the directories. */
  async close(): Promise<void> {
    const failures: string[] = [];
    for (const id of existsSync(this.root) ? readdirSync(this.root) : []) {
      if (!id.startsWith(this.tag)) continue;
      const { code, stderr } = await this.call(["delete", "--force", id]);
      if (code !== 0) failures.push(`delete --force ${id}: ${stderr}`);
    }
    await this.expectNothingLeft().catch((error: Error) => failures.push(error.message));
    await endAndRemove({ base: this.base, root: this.root, tag: this.tag });
    if (failures.length > 0) throw new Error(failures.join("\n"));
  }
}

class FinishedCall implements Call {
  readonly pid: number;
  readonly code: number;
  readonly #file: string;

  constructor(pid: number, code: number, file: string) {
    this.pid = pid;
    this.code = code;
    this.#file = file;
  }

  get stdout(): string {
    return readText(`${this.#file}.out`);
  }

  get stderr(): string {
    return readText(`${this.#file}.err`);
  }

  get log(): readonly LogEntry[] {
    return readText(`${this.#file}.log`)
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as LogEntry);
  }
}

const statusOf = (child: Bun.Subprocess): number =>
  child.signalCode ? 128 + (signals[child.signalCode as keyof typeof signals] ?? 0) : (child.exitCode ?? -1);

const signals = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGABRT: 6, SIGKILL: 9, SIGSEGV: 11, SIGTERM: 15 };

const readText = (file: string): string => (existsSync(file) ? readFileSync(file, "utf8") : "");

/** Waits for a file to be there with something in it, and returns that. */
export async function untilWritten(file: string, seconds = 10): Promise<string> {
  for (const deadline = Date.now() + seconds * 1000 * slowness; ; await Bun.sleep(10)) {
    const text = readText(file);
    if (text !== "") return text;
    if (Date.now() > deadline) throw new Error(`nothing has been written to ${file}`);
  }
}

/** Waits until `check` is true. */
export async function until(check: () => boolean, what: string, seconds = 10): Promise<void> {
  for (const deadline = Date.now() + seconds * 1000 * slowness; !check(); await Bun.sleep(10)) {
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s in vain for ${what}`);
  }
}
