/** The specification that `onggi-runtime spec` writes: a shell on a terminal, isolated, with next to no privileges. */
import { existsSync } from "node:fs";
import type { Capabilities, Linux, Mount, NamespaceType, Spec } from "../oci/spec.ts";

const DEFAULT_CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

/** Files of the kernel's that tell about the host. */
const MASKED = [
  ...["acpi", "asound", "kcore", "keys", "latency_stats", "sched_debug", "scsi", "timer_list", "timer_stats"].map(
    (name) => `/proc/${name}`,
  ),
  "/sys/firmware",
];

/** Files of the kernel's that change the host. */
const READONLY = ["bus", "fs", "irq", "sys", "sysrq-trigger"].map((name) => `/proc/${name}`);

export interface DefaultSpecOptions {
  /** For a user who is not root: a user namespace with that user as its root, the host's network, no cgroup limits. */
  readonly rootless: boolean;
}

/** A fresh object each time. */
export function defaultSpec({ rootless }: DefaultSpecOptions): Spec {
  return {
    ociVersion: "1.3.0",
    process: {
      terminal: true,
      user: { uid: 0, gid: 0 },
      args: ["sh"],
      env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
      cwd: "/",
      capabilities: capabilities(),
      rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: "rootfs", readonly: true },
    hostname: "onggi",
    mounts: mounts(rootless),
    linux: linux(rootless),
  };
}

function capabilities(): Capabilities {
  const some = () => [...DEFAULT_CAPABILITIES];
  return { bounding: some(), effective: some(), permitted: some() };
}

function mounts(rootless: boolean): Mount[] {
  const quiet = ["nosuid", "noexec", "nodev"];
  const own = (destination: string, type: string, options?: string[], source = type): Mount => ({
    destination,
    type,
    source,
    ...(options ? { options } : {}),
  });
  // the group of terminals is not mapped for a user alone, and sysfs belongs to the network namespace, the host's
  const terminals = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", ...(rootless ? [] : ["gid=5"])];
  return [
    own("/proc", "proc"),
    own("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    own("/dev/pts", "devpts", terminals),
    own("/dev/shm", "tmpfs", [...quiet, "mode=1777", "size=65536k"], "shm"),
    own("/dev/mqueue", "mqueue", [...quiet]),
    rootless ? own("/sys", "none", ["rbind", ...quiet, "ro"], "/sys") : own("/sys", "sysfs", [...quiet, "ro"]),
    own("/sys/fs/cgroup", "cgroup", [...quiet, "relatime", "ro"]),
  ];
}

function linux(rootless: boolean): Linux {
  const types: NamespaceType[] = ["pid", "ipc", "uts", "mount", rootless ? "user" : "network"];
  // on v1 the controllers' mounts would show the host's paths all the same
  if (existsSync("/sys/fs/cgroup/cgroup.controllers")) types.push("cgroup");
  const mapping = (hostID: number | undefined) => [{ containerID: 0, hostID: hostID ?? 0, size: 1 }];
  return {
    ...(rootless
      ? { uidMappings: mapping(process.geteuid?.()), gidMappings: mapping(process.getegid?.()) }
      : { resources: { devices: [{ allow: false, access: "rwm" }] } }),
    namespaces: types.map((type) => ({ type })),
    maskedPaths: [...MASKED],
    readonlyPaths: [...READONLY],
  };
}
