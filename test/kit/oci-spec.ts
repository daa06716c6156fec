/** Specifications for tests of the OCI runtime: what `runc spec` writes, without a terminal, and short ways to alter it. */
import type { Hooks, Mount, NamespaceType, Spec } from "../../src/oci/spec.ts";

const MINIMAL_CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

const DEFAULT: Spec = {
  ociVersion: "1.0.2",
  root: { path: "rootfs", readonly: false },
  hostname: "jar",
  process: {
    terminal: false,
    cwd: "/",
    args: ["true"],
    env: ["PATH=/bin", "TERM=xterm"],
    user: { uid: 0, gid: 0 },
    noNewPrivileges: true,
    rlimits: [{ type: "RLIMIT_NOFILE", soft: 1024, hard: 1024 }],
    capabilities: {
      bounding: MINIMAL_CAPABILITIES,
      effective: MINIMAL_CAPABILITIES,
      permitted: MINIMAL_CAPABILITIES,
    },
  },
  mounts: [
    { destination: "/proc", type: "proc", source: "proc" },
    { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=65536k"] },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    {
      destination: "/dev/shm",
      type: "tmpfs",
      source: "shm",
      options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
    },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
  ],
  linux: {
    resources: { devices: [{ allow: false, access: "rwm" }] },
    namespaces: [{ type: "pid" }, { type: "network" }, { type: "ipc" }, { type: "uts" }, { type: "mount" }],
    maskedPaths: ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
    readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
  },
};

/** A last word on a specification, which it may alter in place. */
export type Change = (spec: Spec) => void;

/** A fresh specification: altering one alters no other. */
export function makeSpec(args: readonly string[], ...changes: readonly Change[]): Spec {
  const spec = structuredClone(DEFAULT);
  spec.process!.args = [...args];
  for (const change of changes) change(spec);
  return spec;
}

/** Every capability this machine can give: a nested host lacks some. */
export function allCapabilities(available: readonly string[]): Change {
  return (spec) => {
    const names = [...available];
    spec.process!.capabilities = { bounding: names, effective: names, permitted: names, inheritable: names, ambient: names };
    spec.process!.noNewPrivileges = false;
  };
}

/** Root in the container is `hostID` outside. */
export function userNamespace(hostID = 200_000, size = 65_536): Change {
  return (spec) => {
    spec.linux!.namespaces!.push({ type: "user" });
    spec.linux!.uidMappings = [{ containerID: 0, hostID, size }];
    spec.linux!.gidMappings = [{ containerID: 0, hostID, size }];
  };
}

/** Takes part in the namespace at `path`, or in the host's if there is no path. */
export function joinNamespace(type: NamespaceType, path?: string): Change {
  return (spec) => {
    const others = spec.linux!.namespaces!.filter((namespace) => namespace.type !== type);
    spec.linux!.namespaces = path === undefined ? others : [...others, { type, path }];
  };
}

export const withMount =
  (mount: Mount): Change =>
  (spec) => {
    spec.mounts!.push(mount);
  };

/** Nothing of /proc and /sys is masked or read-only. */
export const unmasked: Change = (spec) => {
  spec.linux!.maskedPaths = [];
  spec.linux!.readonlyPaths = [];
};

export const withHooks =
  (hooks: Hooks): Change =>
  (spec) => {
    spec.hooks = hooks;
  };
