/**
 * A private dockerd with its containerd: own data root, run directory and socket, unless told otherwise no bridge and no firewall rules. For comparison
 * (bench), for archives written by `docker save` and for the OCI runtime under a real manager (tests). Ended by its pid; nothing of
 * the machine's own Docker is touched.
 */
import { existsSync, readFileSync } from "node:fs";
import { PrivateBase } from "./base.ts";
import { CommandLine } from "./command.ts";
import { eventually } from "./engine.ts";

/** Docker's own packages put programs here; a `docker` earlier in PATH may be another version. */
const DOCKER = "/usr/bin/docker";
const DOCKERD = "/usr/sbin/dockerd";

export interface Docker {
  readonly version: string;
  readonly cli: string;
  /** Variables a docker command line needs to reach this daemon. */
  readonly env: Record<string, string>;
  /** dockerd's and containerd's pids. */
  readonly pids: readonly number[];
  readonly base: PrivateBase;
  /** `docker` against this daemon. */
  readonly client: CommandLine;
  /** Runs `docker ARGS`; throws unless it exits with 0. */
  docker(args: readonly string[]): string;
  /** SIGKILLs dockerd, with which its containerd dies, and waits until both are gone. */
  kill(): Promise<void>;
  /** Starts a dockerd again on what `kill` or `end` left. */
  start(): Promise<void>;
  /** Ends both daemons; dockerd stops containers first unless it is told to leave them alone (live-restore). */
  end(): Promise<void>;
  /** `end`, and removes everything. */
  stop(): Promise<void>;
}

export interface DockerOptions {
  /** An OCI runtime to use for every container instead of dockerd's own choice. */
  readonly runtime?: string;
  /** With its bridge and firewall rules: only within a network namespace of its own. */
  readonly bridge?: boolean;
  /** More flags of dockerd's. */
  readonly flags?: readonly string[];
  /** Words before `dockerd`, to run it in something else. */
  readonly within?: (base: PrivateBase) => readonly string[];
}

/** The reason why no dockerd can be started here, or null. */
export function dockerUnavailable(): string | null {
  for (const file of [DOCKER, DOCKERD]) if (!existsSync(file)) return `${file} is not installed`;
  return process.getuid?.() === 0 ? null : "dockerd needs root";
}

/** Starts it and waits until it answers (a second or two). Throws with the end of its log when it does not. */
export async function startDocker(options: DockerOptions = {}): Promise<Docker> {
  const docker = new PrivateDocker(options);
  try {
    await docker.start();
  } catch (error) {
    await docker.stop();
    throw error;
  }
  return docker;
}

class PrivateDocker implements Docker {
  readonly base = new PrivateBase("docker");
  readonly cli = DOCKER;
  readonly env: Record<string, string>;
  readonly client: CommandLine;
  readonly #options: DockerOptions;
  #daemon: Bun.Subprocess | undefined;
  #containerd = 0;
  version = "";

  constructor(options: DockerOptions) {
    this.#options = options;
    const own = { DOCKER_HOST: `unix://${this.base.at("docker.sock")}`, DOCKER_CONFIG: this.base.at("config") };
    this.env = { ...(process.env as Record<string, string>), ...own };
    this.client = new CommandLine([DOCKER], { env: own, cwd: this.base.path, timeout: 30_000 });
  }

  get pids(): readonly number[] {
    return [this.#daemon!.pid, this.#containerd];
  }

  docker(args: readonly string[]): string {
    const result = Bun.spawnSync([DOCKER, ...args], { env: this.env, stdout: "pipe", stderr: "pipe" });
    if (result.exitCode !== 0)
      throw new Error(`docker ${args.join(" ")} ended with ${result.exitCode}: ${result.stderr.toString().trim()}`);
    return result.stdout.toString().trim();
  }

  async start(): Promise<void> {
    const log = Bun.file(this.base.at("log"));
    const daemon = Bun.spawn(this.#command(), { stdin: "ignore", stdout: log, stderr: log });
    this.#daemon = daemon;
    for (let attempt = 0; attempt < 300 && daemon.exitCode === null; attempt += 1) {
      const { stdout, code } = await this.client.run(["version", "--format", "{{.Server.Version}}"]);
      if (code === 0) {
        this.version = stdout.trim();
        this.#containerd = Number(readFileSync(this.base.at("run/containerd/containerd.pid"), "utf8"));
        return;
      }
      await Bun.sleep(100);
    }
    const words = (await log.text()).split("\n").slice(-10).join("\n");
    throw new Error(`dockerd did not come up:\n${words}`);
  }

  async kill(): Promise<void> {
    this.#daemon!.kill("SIGKILL");
    await this.#ended();
  }

  async end(): Promise<void> {
    if (!this.#daemon || this.#daemon.exitCode !== null || this.#daemon.signalCode) return;
    this.client.killRunning();
    this.#daemon.kill("SIGTERM");
    const timer = setTimeout(() => this.#daemon!.kill("SIGKILL"), 30_000);
    await this.#ended();
    clearTimeout(timer);
  }

  async stop(): Promise<void> {
    try {
      await this.end();
    } finally {
      this.base.remove();
    }
  }

  async #ended(): Promise<void> {
    await this.#daemon!.exited;
    // Gone, not only dead: the next dockerd would take a containerd that init has not reaped yet for one that runs.
    if (this.#containerd > 0) await eventually("containerd is gone", () => !existsSync(`/proc/${this.#containerd}`));
  }

  #command(): string[] {
    const { runtime, flags = [], within, bridge = false } = this.#options;
    return [
      ...[...(within?.(this.base) ?? []), DOCKERD, "-H", `unix://${this.base.at("docker.sock")}`],
      ...["--data-root", this.base.at("root"), "--exec-root", this.base.at("run"), "--pidfile", this.base.at("pid")],
      ...(bridge ? [] : ["--bridge=none", "--iptables=false", "--ip6tables=false"]),
      ...["--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", this.base.group],
      ...(runtime ? ["--add-runtime", `onggi=${runtime}`, "--default-runtime", "onggi"] : []),
      ...flags,
    ];
  }
}
