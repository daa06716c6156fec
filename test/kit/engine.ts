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
import { descriptorCount, engineGroup, engineGroups, expectNoLeaks, type Snapshot, snapshot } from "./leaks.ts";

export const repository = resolve(import.meta.dirname, "../..");

/** The command under test, as words. */
export const onggiCommand: readonly string[] = (() => {
  const asked = process.env.ONGGI;
  if (asked) return asked.split(" ").map((word) => (word === "bun" ? process.execPath : word));
  const built = join(repository, "dist/onggi");
  return existsSync(built) ? [built] : [process.execPath, join(repository, "src/main.ts")];
})();

/** Emulated machines are some ten times slower: every limit of time is multiplied by this. */
export const slowness = Number(process.env.ONGGI_SLOW ?? (process.env.ONGGI_IN_VM ? 5 : 1));

export interface CallOptions {
  readonly stdin?: string | Uint8Array | ReadableStream<Uint8Array>;
  /** Milliseconds, before `slowness`; then SIGKILL and an error. Default 20,000. */
  readonly timeout?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export interface CallResult {
  readonly stdout: string;
  readonly stderr: string;
  /** 128 + the signal when the command line itself was killed. */
  readonly code: number;
  readonly ms: number;
}

/** A command that goes on while the test does something else. */
export interface RunningCall {
  readonly process: Bun.Subprocess<"pipe", "pipe", "pipe">;
  /** What has come so far. */
  output(): string;
  errors(): string;
  /** Resolves when `output()` holds the text or matches; rejects after `ms` (default 10,000) or at the end without it. */
  until(text: string | RegExp, ms?: number): Promise<void>;
  readonly done: Promise<CallResult>;
}

/** A command on a terminal of its own. */
export interface TerminalCall {
  screen(): string;
  write(text: string): void;
  resize(columns: number, rows: number): void;
  until(text: string | RegExp, ms?: number): Promise<void>;
  /** Exit status. */
  readonly done: Promise<number>;
  kill(): void;
}

export interface Engine {
  readonly base: string;
  readonly root: string;
  readonly run: string;
  /** Runs the command line against this engine and waits for it. */
  onggi(args: readonly string[], options?: CallOptions): Promise<CallResult>;
  /** As `onggi`, throws unless it exits with 0; returns standard output without the last newline. */
  ok(args: readonly string[], options?: CallOptions): Promise<string>;
  spawn(args: readonly string[], options?: CallOptions): RunningCall;
  terminal(args: readonly string[], size?: { columns: number; rows: number }): TerminalCall;
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

/** Makes the directories; the engine itself starts with the first command, as it does for a user. */
export function startEngine(options: { base?: string; env?: Readonly<Record<string, string>> } = {}): Engine {
  const before = snapshot();
  const base = options.base ?? mkdtempSync(join(tmpdir(), "onggi-test-"));
  // As /var/lib is: mapped ids can pass through. What becomes of a private directory is a test of its own.
  if (!options.base) chmodSync(base, 0o711);
  return new TestEngine(base, before, options.env ?? {});
}

class TestEngine implements Engine {
  readonly root: string;
  readonly run: string;
  readonly #running = new Set<{ kill(): void }>();

  readonly base: string;
  readonly #before: Snapshot;
  readonly #env: Readonly<Record<string, string>>;

  constructor(base: string, before: Snapshot, env: Readonly<Record<string, string>>) {
    this.base = base;
    this.#before = before;
    this.#env = env;
    this.root = join(base, "root");
    this.run = join(base, "run");
  }

  /** The group this engine's containers lie below. */
  get #group(): string {
    return engineGroup(this.base, this.#environment().ONGGI_CGROUP_DRIVER);
  }

  #environment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
    return {
      ...(process.env as Record<string, string>),
      ONGGI_ROOT: this.root,
      ONGGI_RUN: this.run,
      NO_COLOR: "1",
      ...this.#env,
      ...extra,
    };
  }

  spawn(args: readonly string[], options: CallOptions = {}): RunningCall {
    const started = performance.now();
    const child = Bun.spawn([...onggiCommand, ...args], {
      cwd: options.cwd ?? this.base,
      env: this.#environment(options.env),
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    const handle = { kill: () => child.kill("SIGKILL") };
    this.#running.add(handle);
    const limit = (options.timeout ?? 20_000) * slowness;
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, limit);
    const output = collect(child.stdout);
    const errors = collect(child.stderr);
    if (options.stdin !== undefined) void feed(child.stdin, options.stdin);
    const done = (async (): Promise<CallResult> => {
      await child.exited;
      // A daemon that inherited the pipe must not hold the test.
      await Promise.race([Promise.all([output.end, errors.end]), Bun.sleep(2000 * slowness)]);
      clearTimeout(timer);
      this.#running.delete(handle);
      if (late) {
        throw new Error(`onggi ${args.join(" ")}: no end after ${limit} ms\nstdout: ${output.text()}\nstderr: ${errors.text()}`);
      }
      return { stdout: output.text(), stderr: errors.text(), code: statusOf(child), ms: performance.now() - started };
    })();
    // A test that does not await it must not die of it.
    done.catch(() => {});
    return {
      process: child,
      output: output.text,
      errors: errors.text,
      until: (text, ms) => waitFor(output.text, text, ms, child.exited),
      done,
    };
  }

  async onggi(args: readonly string[], options: CallOptions = {}): Promise<CallResult> {
    const call = this.spawn(args, { stdin: "", ...options });
    return await call.done;
  }

  async ok(args: readonly string[], options: CallOptions = {}): Promise<string> {
    const { stdout, stderr, code } = await this.onggi(args, options);
    if (code !== 0)
      throw new Error(`onggi ${args.join(" ")} exited with ${code}\nstdout: ${stdout}\nstderr: ${stderr}\n${this.#engineLog()}`);
    return stdout.replace(/\n$/, "");
  }

  terminal(args: readonly string[], size = { columns: 80, rows: 24 }): TerminalCall {
    let screen = "";
    const decoder = new TextDecoder();
    const child = Bun.spawn([...onggiCommand, ...args], {
      cwd: this.base,
      env: this.#environment({ TERM: "xterm" }),
      terminal: {
        cols: size.columns,
        rows: size.rows,
        data: (_terminal, data) => {
          screen += decoder.decode(data, { stream: true });
        },
      },
    });
    const handle = { kill: () => child.kill("SIGKILL") };
    this.#running.add(handle);
    const done = child.exited.then(() => {
      this.#running.delete(handle);
      return statusOf(child);
    });
    return {
      screen: () => screen,
      write: (text) => void child.terminal!.write(text),
      resize: (columns, rows) => child.terminal!.resize(columns, rows),
      until: (text, ms) => waitFor(() => screen, text, ms, child.exited),
      done,
      kill: handle.kill,
    };
  }

  async inspect(container: string): Promise<Inspected> {
    const list = JSON.parse(await this.ok(["inspect", container])) as Inspected[];
    const found = list[0]!;
    const groups = found.State?.Pid ? readFileSync(`/proc/${found.State.Pid}/cgroup`, "utf8") : "";
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
    for (const call of this.#running) call.kill();
    if (!existsSync(this.root)) return;
    const all = (await this.ok(["ps", "-aq", "--no-trunc"])).split("\n").filter(Boolean);
    if (all.length > 0) await this.ok(["rm", "-f", ...all], { timeout: 60_000 });
    const engine = await this.pid();
    // An engine that runs has its process, its own group, and the images it holds mounted where they cannot be descriptors.
    await expectNoLeaks(
      this.base,
      this.#before,
      8 * slowness,
      (line) =>
        line.startsWith(`processes: ${engine} `) ||
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
      Bun.spawnSync(["rm", "-rf", "--one-file-system", this.base], { stderr: "ignore" });
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

function statusOf(child: Pick<Bun.Subprocess, "exitCode" | "signalCode">): number {
  if (child.exitCode !== null) return child.exitCode;
  const signals: Record<string, number> = {
    SIGHUP: 1,
    SIGINT: 2,
    SIGQUIT: 3,
    SIGABRT: 6,
    SIGKILL: 9,
    SIGSEGV: 11,
    SIGPIPE: 13,
    SIGTERM: 15,
  };
  return 128 + (signals[child.signalCode ?? ""] ?? 0);
}

function collect(stream: ReadableStream<Uint8Array>): { text: () => string; end: Promise<void> } {
  const decoder = new TextDecoder();
  let text = "";
  const end = (async () => {
    for await (const chunk of stream) text += decoder.decode(chunk, { stream: true });
  })();
  return { text: () => text, end };
}

async function feed(sink: Bun.FileSink, input: string | Uint8Array | ReadableStream<Uint8Array>): Promise<void> {
  try {
    if (typeof input === "string" || input instanceof Uint8Array) {
      if (input.length > 0) sink.write(input);
    } else {
      for await (const chunk of input) {
        sink.write(chunk);
        await sink.flush();
      }
    }
    await sink.end();
  } catch {
    // the command ended before it had read everything
  }
}

async function waitFor(text: () => string, wanted: string | RegExp, ms = 10_000, end: Promise<unknown>): Promise<void> {
  const deadline = Date.now() + ms * slowness;
  const matches = () => (typeof wanted === "string" ? text().includes(wanted) : wanted.test(text()));
  let ended = false;
  void end.then(async () => {
    await Bun.sleep(300);
    ended = true;
  });
  while (!matches()) {
    if (ended || Date.now() > deadline)
      throw new Error(`${wanted} did not appear${ended ? " before the end" : ""}; output so far:\n${text()}`);
    await Bun.sleep(5);
  }
}
