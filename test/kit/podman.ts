/**
 * A private podman: own storage, run directory, locks and configuration. It has no daemon: what it leaves running are the
 * containers' monitors (conmon).
 */
import { existsSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PrivateBase } from "./base.ts";
import { CommandLine } from "./command.ts";

const PODMAN = "/usr/bin/podman";
const CONMON = "/usr/bin/conmon";

/**
 * See containers.conf(5). Locks are files below the base instead of a segment of shared memory that all of the machine's podmans
 * use. By itself podman raises limits to what only CAP_SYS_RESOURCE, which may be missing, can set.
 */
const CONFIGURATION = `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
[engine]
lock_type = "file"
`;

export interface Podman {
  readonly base: PrivateBase;
  readonly client: CommandLine;
  /** Asserts that nothing is left but what podman itself, whatever the runtime, leaves behind: see `podmansOwn`. */
  expectNothingLeft(): Promise<void>;
  /** Removes all containers and pods. */
  removeAll(): Promise<void>;
  /** `removeAll`, and everything below the base. */
  close(): Promise<void>;
}

/** The reason why podman cannot run here, or null. */
export function podmanUnavailable(): string | null {
  for (const file of [PODMAN, CONMON]) if (!existsSync(file)) return `${file} is not installed`;
  return process.getuid?.() === 0 ? null : "this podman needs root";
}

/** `more`: lines of containers.conf(5) besides, for the directory that is given. */
export function makePodman(runtime: string, more: (base: PrivateBase) => string = () => ""): Podman {
  const before = new Set(shared());
  const base = new PrivateBase("podman");
  const configuration = base.at("containers.conf");
  writeFileSync(configuration, CONFIGURATION + more(base));
  const flags = [
    ...["--root", base.at("root"), "--runroot", base.at("run"), "--tmpdir", base.at("tmp"), "--runtime", runtime],
    ...["--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--events-backend", "file"],
  ];
  const env = { CONTAINERS_CONF: configuration, TMPDIR: base.path };
  const client = new CommandLine([PODMAN, ...flags], { cwd: base.path, env, timeout: 30_000 });
  const removeAll = async (): Promise<void> => {
    await client.run(["pod", "rm", "-f", "-a", "-t", "0"]);
    await client.run(["rm", "-f", "-a", "-t", "0"]);
  };
  const close = async (): Promise<void> => {
    client.killRunning();
    await removeAll();
    base.remove();
    removeShared(before);
  };
  const expectNothingLeft = () => base.expectNothingLeft((line) => podmansOwn(line, base));
  return { base, client, expectNothingLeft, removeAll, close };
}

/**
 * Its storage stays mounted on itself; the group its monitors were in stays, and so do the groups of pods in the hierarchies that
 * podman does not know of (name=systemd, and v2 beside v1).
 */
function podmansOwn(line: string, base: PrivateBase): boolean {
  const storage = base.at("root/overlay");
  if (line.startsWith("mounts: ")) return line.includes(` ${storage} ${storage} `);
  const group = /^cgroups: .*\/([^/]+)$/.exec(line)?.[1] ?? "";
  return group === "conmon" || /^[0-9a-f]{64}$/.test(group);
}

const NAMESPACES = "/run/netns";
const CGROUPS = "/sys/fs/cgroup";

/** What every podman of a machine makes and none takes away: the groups of pods, and the directory of network namespaces, mounted on itself. */
function shared(): string[] {
  const groups = [".", ...readdirSync(CGROUPS)].map((hierarchy) => `${CGROUPS}/${hierarchy}/libpod_parent`);
  const isMounted = readFileSync("/proc/self/mountinfo", "utf8").includes(` ${NAMESPACES} `);
  return [...groups.filter((group) => existsSync(group)), ...(isMounted ? [NAMESPACES] : [])];
}

/** Unless somebody else uses it by now. */
function removeShared(before: ReadonlySet<string>): void {
  for (const path of shared().filter((one) => !before.has(one))) {
    try {
      if (path !== NAMESPACES) removeGroups(path);
      else if (readdirSync(path).length === 0) Bun.spawnSync(["umount", path]);
    } catch {
      // it is in use
    }
  }
}

function removeGroups(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) if (entry.isDirectory()) removeGroups(join(path, entry.name));
  rmdirSync(path);
}
