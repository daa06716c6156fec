/**
 * A private engine for a test: its own data root and run directory, the real command line, and at the end a check that the
 * machine is as it was.
 *
 *     const engine = await startEngine();
 *     afterAll(() => engine.close());
 *     const { stdout, code } = await engine.onggi(["run", "--rm", "busybox", "echo", "hi"]);
 *
 * What is tested is `dist/onggi`, or the command that ONGGI names ("bun src/main.ts").
 */
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import {
  type CallOptions,
  type CallResult,
  CommandLine,
  type RunningCall,
  type Size,
  slowness,
  type TerminalCall,
} from "./command.ts";
import { descriptorCount, engineGroup, engineGroups, expectNoLeaks, findLeaks, type Snapshot, snapshot } from "./leaks.ts";

export { slowness } from "./command.ts";

export const repository = resolve(import.meta.dirname, "../..");

/** The command under test, as words. */
export const onggiCommand: readonly string[] = (() => {
  const asked = process.env.ONGGI;
  if (asked) return asked.split(" ").map((word) => (word === "bun" ? process.execPath : word));
  const built = join(repository, "dist/onggi");
  return existsSync(built) ? [built] : [process.execPath, join(repository, "src/main.ts")];
})();

export interface Engine {
  readonly base: string;
  readonly root: string;
  readonly run: string;
  /** Runs the command line against this engine and waits for it. */
  onggi(args: readonly string[], options?: CallOptions): Promise<CallResult>;
  /** As `onggi`, throws unless it exits with 0; returns standard output without the last newline. */
  ok(args: readonly string[], options?: CallOptions): Promise<string>;
  spawn(args: readonly string[], options?: CallOptions): RunningCall;
  terminal(args: readonly string[], size?: Size): TerminalCall;
  /** The object `onggi inspect` prints for one container. */
  inspect(container: string): Promise<Inspected>;
  /** The running engine's pid, starting one if need be. */
  pid(): Promise<number>;
  /** SIGKILLs the engine process and waits until it is gone; containers run on. */
  murder(): Promise<number>;
  descriptorCount(): Promise<number>;
  /** Removes all containers, then asserts that nothing of them is left on the machine. */
  expectClean(): Promise<void>;
  /** `expectClean`, stops the engine, asserts that nothing at all is left, deletes the directories. */
  close(): Promise<void>;
}

/** The part of `onggi inspect` (Docker's shape) that tests read. */
export interface Inspected {
  readonly Id: string;
  readonly Name: string;
  readonly State: {
    readonly Status: string;
    readonly Running: boolean;
    readonly Paused: boolean;
    readonly OOMKilled: boolean;
    readonly Dead: boolean;
    readonly Pid: number;
    readonly ExitCode: number;
    readonly Error: string;
    readonly StartedAt: string;
    readonly FinishedAt: string;
  };
  readonly LogPath: string;
  readonly [key: string]: unknown;
}

export interface EngineOptions {
  readonly base?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Words before the command line's own, such as `nsenter` into a network namespace that is to be the host's. */
  readonly under?: readonly string[];
}

/** Makes the directories; the engine itself starts with the first command, as it does for a user. */
export function startEngine(options: EngineOptions = {}): Engine {
  const before = snapshot();
  const base = options.base ?? mkdtempSync(join(tmpdir(), "onggi-test-"));
  // As /var/lib is: mapped ids can pass through. What becomes of a private directory is a test of its own.
  if (!options.base) chmodSync(base, 0o711);
  return new TestEngine(base, before, options);
}

/** Empty for a process that has ended meanwhile. */
function groupsOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, "utf8");
  } catch {
    return "";
  }
}

class TestEngine implements Engine {
  readonly root: string;
  readonly run: string;
  readonly #command: CommandLine;

  readonly base: string;
  readonly #before: Snapshot;
  readonly #driver: string | undefined;

  constructor(base: string, before: Snapshot, { env = {}, under = [] }: EngineOptions) {
    this.base = base;
    this.#before = before;
    this.root = join(base, "root");
    this.run = join(base, "run");
    this.#driver = env.ONGGI_CGROUP_DRIVER ?? process.env.ONGGI_CGROUP_DRIVER;
    // the machine has CNI networks, if it has podman
    const own = { ONGGI_ROOT: this.root, ONGGI_RUN: this.run, ONGGI_CNI_CONFIG_DIR: join(base, "net.d"), NO_COLOR: "1" };
    this.#command = new CommandLine([...under, ...onggiCommand], { cwd: base, env: { ...own, ...env } });
  }

  /** The group this engine's containers lie below. */
  get #group(): string {
    return engineGroup(this.base, this.#driver);
  }

  spawn(args: readonly string[], options: CallOptions = {}): RunningCall {
    return this.#command.spawn(args, options);
  }

  async onggi(args: readonly string[], options: CallOptions = {}): Promise<CallResult> {
    return await this.#command.run(args, options);
  }

  async ok(args: readonly string[], options: CallOptions = {}): Promise<string> {
    const { stdout, stderr, code } = await this.onggi(args, options);
    if (code !== 0)
      throw new Error(`onggi ${args.join(" ")} exited with ${code}\nstdout: ${stdout}\nstderr: ${stderr}\n${this.#engineLog()}`);
    return stdout.replace(/\n$/, "");
  }

  terminal(args: readonly string[], size?: Size): TerminalCall {
    return this.#command.terminal(args, size);
  }

  async inspect(container: string): Promise<Inspected> {
    const list = JSON.parse(await this.ok(["inspect", container])) as Inspected[];
    const found = list[0]!;
    const groups = found.State?.Pid ? groupsOf(found.State.Pid) : "";
    const asked = (found as { HostConfig?: { CgroupParent?: string } }).HostConfig?.CgroupParent;
    if (groups !== "" && !asked && !groups.includes(`${this.#group}/`)) {
      throw new Error(`the leak check looks for cgroups below ${this.#group}, but container ${container} is in\n${groups}`);
    }
    return found;
  }

  async pid(): Promise<number> {
    // `engine status` asks; it does not start one.
    await this.ok(["ps", "-q"]);
    return Number(await this.ok(["engine", "status", "--format", "{{.Pid}}"]));
  }

  async murder(): Promise<number> {
    const pid = await this.pid();
    process.kill(pid, "SIGKILL");
    await gone(pid);
    return pid;
  }

  async descriptorCount(): Promise<number> {
    return descriptorCount(await this.pid());
  }

  async expectClean(): Promise<void> {
    this.#command.killRunning();
    if (!existsSync(this.root)) return;
    const all = (await this.ok(["ps", "-aq", "--no-trunc"])).split("\n").filter(Boolean);
    if (all.length > 0) await this.ok(["rm", "-f", ...all], { timeout: 60_000 });
    const engine = await this.pid();
    // An engine that runs has its process, its own group, its resolver and networks, and the images it holds mounted where they cannot be descriptors.
    await expectNoLeaks(
      this.base,
      this.#before,
      8 * slowness,
      (line) =>
        line.startsWith(`processes: ${engine} `) ||
        /^processes: .* engine resolver$/.test(line) ||
        /^networks: (og-|br-|o[di]-|table )/.test(line) ||
        (line.startsWith("cgroups: ") && engineGroups(this.base).some((group) => line.endsWith(group))) ||
        (/^(mounts|loops): /.test(line) && line.includes(`${this.root}/images/`)),
    );
    const containers = join(this.root, "containers");
    const left = existsSync(containers) ? readdirSync(containers) : [];
    if (left.length > 0) throw new Error(`container directories left in ${containers}: ${left.join(" ")}`);
  }

  async close(): Promise<void> {
    try {
      if (!existsSync(this.root)) return;
      await this.expectClean();
      const pid = await this.pid();
      await this.ok(["engine", "stop"]);
      await gone(pid);
      await expectNoLeaks(this.base, this.#before, 8 * slowness);
      rmSync(this.base, { recursive: true, force: true });
    } finally {
      // of what a failed test has left, as much as can be: its own error is the one to show
      this.#killLeftovers();
      this.#removeNetworks();
      Bun.spawnSync(["rm", "-rf", "--one-file-system", this.base], { stderr: "ignore" });
    }
  }

  /** After a failed test: rules and interfaces outlive an engine. */
  #removeNetworks(): void {
    if (!existsSync(this.base)) return;
    for (const what of findLeaks(this.base, this.#before).networks) {
      const command = what.startsWith("table ") ? ["nft", "delete", ...what.split(" ")] : ["ip", "link", "del", what];
      Bun.spawnSync(command, { stderr: "ignore" });
    }
  }

  /** After a failed test: ends the engine by its own lock file's pid so that the next test begins on a quiet machine. */
  #killLeftovers(): void {
    for (const name of readdirSync("/proc")) {
      if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
      try {
        if (readFileSync(`/proc/${name}/environ`, "utf8").includes(`ONGGI_ROOT=${this.root}\0`))
          process.kill(Number(name), "SIGKILL");
      } catch {
        // gone meanwhile
      }
    }
  }

  #engineLog(): string {
    try {
      return `engine log:\n${readFileSync(join(this.root, "engine.log"), "utf8").split("\n").slice(-15).join("\n")}`;
    } catch {
      return "";
    }
  }
}

/** Waits until a process is gone or a zombie. */
export async function gone(pid: number, seconds = 10): Promise<void> {
  const deadline = Date.now() + seconds * 1000 * slowness;
  while (isAlive(pid)) {
    if (Date.now() > deadline) throw new Error(`process ${pid} is still there after ${seconds} s`);
    await Bun.sleep(5);
  }
}

export function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

/** Polls until `condition` holds; throws with `what` after `seconds`. */
export async function eventually(what: string, condition: () => boolean | Promise<boolean>, seconds = 10): Promise<void> {
  const deadline = Date.now() + seconds * 1000 * slowness;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not so after ${seconds * slowness} s: ${what}`);
    await Bun.sleep(20);
  }
}
