/**
 * What the runtime can do, runtime-spec's features.md. Each list is taken from the code that does it. "enabled" is about this
 * program; only the capabilities, seccomp's architectures and its supported flags depend on the host.
 */
import { readFileSync } from "node:fs";
import { OnggiError } from "../lib/errors.ts";
import type { Hooks, NamespaceType, SeccompAction } from "../oci/spec.ts";
import { SPEC_MAX, SPEC_MIN } from "../oci/version.ts";
import { allCapabilities, capabilityNames } from "../runtime/capabilities.ts";
import { knownMountOptions } from "../runtime/mount-options.ts";
import { FLAGS, OPERATORS } from "../runtime/seccomp/index.ts";
import { MPOL, SECCOMP } from "../sys/constants.ts";
import { seccompArch, seccompFlagsSupported, seccompVersion } from "../sys/seccomp.ts";
import type { Features } from "./types.ts";

const hooks: Readonly<Record<keyof Hooks, true>> = {
  prestart: true,
  createRuntime: true,
  createContainer: true,
  startContainer: true,
  poststart: true,
  poststop: true,
};

const namespaces: Readonly<Record<NamespaceType, true>> = {
  cgroup: true,
  ipc: true,
  mount: true,
  network: true,
  pid: true,
  time: true,
  user: true,
  uts: true,
};

const actions: Readonly<Record<SeccompAction, true>> = {
  SCMP_ACT_ALLOW: true,
  SCMP_ACT_ERRNO: true,
  SCMP_ACT_KILL: true,
  SCMP_ACT_KILL_PROCESS: true,
  SCMP_ACT_KILL_THREAD: true,
  SCMP_ACT_LOG: true,
  SCMP_ACT_NOTIFY: true,
  SCMP_ACT_TRACE: true,
  SCMP_ACT_TRAP: true,
};

/** The specification's architectures, without SCMP_ARCH_. */
const architectures = `AARCH64 ARM LOONGARCH64 M68K MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PARISC PARISC64 PPC PPC64
PPC64LE RISCV64 S390 S390X SH SHEB X32 X86 X86_64`;

const on = { enabled: true };
const off = { enabled: false };

/** The features of this program, whose version is `version`, on this host. */
export function features(version: string): Features {
  const policies = Object.keys(MPOL).sort();
  const isFlag = (name: string) => name.startsWith("MPOL_F_");
  const seccomp = seccompFeatures();
  return {
    ociVersionMin: SPEC_MIN,
    ociVersionMax: SPEC_MAX,
    hooks: Object.keys(hooks),
    mountOptions: knownMountOptions(),
    linux: {
      namespaces: Object.keys(namespaces),
      capabilities: knownCapabilities(),
      cgroup: { v1: true, v2: true, systemd: true, systemdUser: false, rdma: true },
      seccomp: seccomp.features,
      apparmor: on,
      selinux: on,
      intelRdt: { ...on, schemata: true, monitoring: true },
      memoryPolicy: { modes: policies.filter((name) => !isFlag(name)), flags: policies.filter(isFlag) },
      mountExtensions: { idmap: on },
      netDevices: on,
    },
    annotations: {
      "io.onggi.version": version,
      ...(seccomp.library === undefined ? {} : { "io.github.seccomp.libseccomp.version": seccomp.library }),
    },
    potentiallyUnsafeConfigAnnotations: [],
  };
}

/** Those the kernel has, as far as it says. */
function knownCapabilities(): readonly string[] {
  try {
    return allCapabilities(Number(readFileSync("/proc/sys/kernel/cap_last_cap", "utf8")));
  } catch {
    return capabilityNames;
  }
}

/** Filters are made by libseccomp: without it there are none. */
function seccompFeatures(): { features: object; library?: string } {
  try {
    return {
      library: seccompVersion(),
      features: {
        enabled: true,
        actions: Object.keys(actions),
        operators: Object.keys(OPERATORS).sort(),
        archs: architectures
          .split(/\s/)
          .filter((name) => seccompArch(name.toLowerCase()) !== null)
          .map((name) => `SCMP_ARCH_${name}`),
        knownFlags: Object.keys(FLAGS).sort(),
        supportedFlags: Object.keys(FLAGS).filter(isSupported).sort(),
      },
    };
  } catch (error) {
    if (error instanceof OnggiError && error.code === "seccomp_library_missing") return { features: off };
    throw error;
  }
}

/** WAIT_KILLABLE_RECV is of a listener, and EINVAL without one. */
function isSupported(name: string): boolean {
  const flag = FLAGS[name]!;
  const listener = flag === SECCOMP.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV ? SECCOMP.SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;
  return seccompFlagsSupported(flag | listener);
}
