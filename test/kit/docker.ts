/**
 * A private dockerd with its containerd: own data root, run directory and socket, no bridge, no firewall rules. For comparison
 * (bench) and for archives written by `docker save` (tests). Ended by its pid; nothing of the machine's own Docker is touched.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gone } from "./engine.ts";
import { mountsBelow } from "./leaks.ts";

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
  /** Runs `docker ARGS`; throws unless it exits with 0. */
  docker(args: readonly string[]): string;
  stop(): Promise<void>;
}

/** The reason why no dockerd can be started here, or null. */
export function dockerUnavailable(): string | null {
  for (const file of [DOCKER, DOCKERD]) if (!existsSync(file)) return `${file} is not installed`;
  return process.getuid?.() === 0 ? null : "dockerd needs root";
}

/** Starts it and waits until it answers (a second or two). Throws with the end of its log when it does not. */
export async function startDocker(): Promise<Docker> {
  const base = mkdtempSync(join(tmpdir(), "onggi-docker-"));
  const socket = join(base, "docker.sock");
  const log = Bun.file(join(base, "log"));
  const daemon = Bun.spawn(
    [
      ...[DOCKERD, "--data-root", join(base, "root"), "--exec-root", join(base, "run"), "--pidfile", join(base, "pid")],
      ...[
        "-H",
        `unix://${socket}`,
        "--bridge=none",
        "--iptables=false",
        "--ip6tables=false",
        "--exec-opt",
        "native.cgroupdriver=cgroupfs",
      ],
    ],
    { stdin: "ignore", stdout: log, stderr: log },
  );
  const env = {
    ...(process.env as Record<string, string>),
    DOCKER_HOST: `unix://${socket}`,
    DOCKER_CONFIG: join(base, "config"),
  };
  const docker = (args: readonly string[]): string => {
    const result = Bun.spawnSync([DOCKER, ...args], { env, stdout: "pipe", stderr: "pipe" });
    if (result.exitCode !== 0)
      throw new Error(`docker ${args.join(" ")} ended with ${result.exitCode}: ${result.stderr.toString().trim()}`);
    return result.stdout.toString().trim();
  };
  const answers = (): string | null => {
    const result = Bun.spawnSync([DOCKER, "version", "--format", "{{.Server.Version}}"], {
      env,
      stdout: "pipe",
      stderr: "ignore",
    });
    return result.exitCode === 0 ? result.stdout.toString().trim() : null;
  };
  const containerdPid = (): number => Number(readFileSync(join(base, "run/containerd/containerd.pid"), "utf8"));
  const stop = async (): Promise<void> => {
    daemon.kill("SIGTERM");
    const timer = setTimeout(() => daemon.kill("SIGKILL"), 30_000);
    await daemon.exited;
    clearTimeout(timer);
    for (const line of mountsBelow(base)) Bun.spawnSync(["umount", "-l", line.split(" ")[5]!]);
    rmSync(base, { recursive: true, force: true });
  };
  for (let attempt = 0; attempt < 300; attempt += 1) {
    const version = daemon.exitCode === null ? answers() : null;
    if (version) {
      const pids = [daemon.pid, containerdPid()];
      const stopAll = async (): Promise<void> => {
        const containerd = pids[1]!;
        await stop();
        await gone(containerd, 10);
      };
      return { version, cli: DOCKER, env, pids, docker, stop: stopAll };
    }
    if (daemon.exitCode !== null) break;
    await Bun.sleep(100);
  }
  const words = (await log.text()).split("\n").slice(-10).join("\n");
  await stop();
  throw new Error(`dockerd did not come up:\n${words}`);
}
