/**
 * A private containerd, driven by `ctr`: own root, state and socket, without CRI and what else is not needed to run containers.
 * Ended by its pid; nothing of the machine's own containerd is touched.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { PrivateBase } from "./base.ts";
import { CommandLine } from "./command.ts";
import { eventually } from "./engine.ts";

const CONTAINERD = "/usr/bin/containerd";
const CTR = "/usr/bin/ctr";
const SHIM = "/usr/bin/containerd-shim-runc-v2";

export interface Containerd {
  readonly base: PrivateBase;
  /** `ctr` against this daemon. */
  readonly client: CommandLine;
  readonly pid: number;
  /** Flags of `ctr run`: the runtime under test, its root, the directory of FIFOs and the container's own cgroup. */
  runFlags(id: string): string[];
  /** Pid of a container's shim. */
  shim(id: string): number;
  /** SIGKILLs containerd; shims and containers live on. */
  kill(): Promise<void>;
  /** Starts a containerd again on what `kill` or `end` left. */
  start(): Promise<void>;
  /** Ends containerd, not the containers. */
  end(): Promise<void>;
  /** `end`, and removes everything. */
  stop(): Promise<void>;
}

/** The reason why no containerd can be started here, or null. */
export function containerdUnavailable(): string | null {
  for (const file of [CONTAINERD, CTR, SHIM]) if (!existsSync(file)) return `${file} is not installed`;
  return process.getuid?.() === 0 ? null : "containerd needs root";
}

/** Starts it and waits until it answers. Throws with the end of its log when it does not. */
export async function startContainerd(runtime: string): Promise<Containerd> {
  const containerd = new PrivateContainerd(runtime);
  try {
    await containerd.start();
  } catch (error) {
    await containerd.stop();
    throw error;
  }
  return containerd;
}

class PrivateContainerd implements Containerd {
  readonly base = new PrivateBase("containerd");
  readonly client: CommandLine;
  readonly #runtime: string;
  #daemon: Bun.Subprocess | undefined;

  constructor(runtime: string) {
    this.#runtime = runtime;
    this.client = new CommandLine([CTR, "--address", this.base.at("sock"), "--connect-timeout", "5s"], { cwd: this.base.path });
    mkdirSync(this.base.at("fifo"));
    writeFileSync(this.base.at("config.toml"), configuration(this.base));
  }

  get pid(): number {
    return this.#daemon!.pid;
  }

  runFlags(id: string): string[] {
    const { base } = this;
    const runc = ["--runc-binary", this.#runtime, "--runc-root", base.at("runc")];
    return [...runc, "--fifo-dir", base.at("fifo"), "--cgroup", `${base.group}/${id}`];
  }

  shim(id: string): number {
    const result = Bun.spawnSync(["ps", "-eo", "pid,args"], { stdout: "pipe" });
    const found = result.stdout
      .toString()
      .split("\n")
      .find((line) => line.includes(SHIM) && line.includes(this.base.path) && line.includes(` -id ${id} `));
    if (!found) throw new Error(`container ${id} has no shim`);
    return Number(found.trim().split(" ")[0]);
  }

  async start(): Promise<void> {
    const log = Bun.file(this.base.at("log"));
    const daemon = Bun.spawn([CONTAINERD, "--config", this.base.at("config.toml")], {
      stdin: "ignore",
      stdout: log,
      stderr: log,
    });
    this.#daemon = daemon;
    for (let attempt = 0; attempt < 200 && daemon.exitCode === null; attempt += 1) {
      if (existsSync(this.base.at("sock")) && (await this.client.run(["version"])).code === 0) return;
      await Bun.sleep(50);
    }
    throw new Error(`containerd did not come up:\n${(await log.text()).split("\n").slice(-10).join("\n")}`);
  }

  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async end(): Promise<void> {
    if (this.#daemon && this.#daemon.exitCode === null && !this.#daemon.signalCode) await this.#end("SIGTERM");
  }

  async stop(): Promise<void> {
    try {
      this.client.killRunning();
      await this.end();
    } finally {
      this.base.remove();
    }
  }

  async #end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    this.#daemon!.kill(signal);
    const timer = setTimeout(() => this.#daemon!.kill("SIGKILL"), 20_000);
    await this.#daemon!.exited;
    clearTimeout(timer);
    await eventually("containerd is gone", () => !existsSync(`/proc/${this.#daemon!.pid}`));
  }
}

/** See containerd-config.toml(5). */
function configuration(base: PrivateBase): string {
  const disabled = [
    "io.containerd.grpc.v1.cri",
    "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.restart",
    ...["aufs", "btrfs", "devmapper", "zfs"].map((name) => `io.containerd.snapshotter.v1.${name}`),
  ];
  return `version = 2
root = "${base.at("root")}"
state = "${base.at("state")}"
disabled_plugins = ${JSON.stringify(disabled)}
[grpc]
address = "${base.at("sock")}"
[ttrpc]
address = "${base.at("sock.ttrpc")}"
`;
}
