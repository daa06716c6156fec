/** What the plan compiler takes besides the specification. */

/** What this host and kernel can do, probed once by the engine; the compiler itself asks nobody. */
export interface HostFacts {
  readonly kernel: readonly [major: number, minor: number];
  readonly arch: "x64" | "arm64";
  /** overlayfs takes layers by descriptor, detached mounts too (kernel 6.15+, probed by trying). */
  readonly overlayFds: boolean;
  /** open_tree(OPEN_TREE_CLONE) works on a detached mount. */
  readonly cloneDetached: boolean;
  /** mount_setattr(MOUNT_ATTR_IDMAP) on the file systems of the image store and tmpfs. */
  readonly idmap: boolean;
  /** The cgroup version the container will see. */
  readonly cgroup: "v1" | "v2" | "hybrid";
  /** v1 and hybrid: mount points below /sys/fs/cgroup, each with its controllers: {cpu: "cpu,cpuacct"}. */
  readonly cgroupHierarchies: readonly { readonly mountpoint: string; readonly options: string }[];
  /** Highest capability number the kernel knows. */
  readonly lastCap: number;
  /** Capabilities this host's root lacks in its bounding set (the host is a container itself); absent: none. */
  readonly unavailableCaps?: readonly number[];
  /**
   * We are not the host's root: a user, or root of a user namespace. The container then needs a user namespace of its own, and
   * its first process does everything: nothing that needs the host's privileges is left to the shim.
   */
  readonly unprivileged?: boolean;
}

/** Where the root file system comes from. */
export type RootSource =
  /** Read-only layers under a writable one. `lower` is a descriptor passed to the shim, or directories, topmost first. */
  | {
      readonly kind: "overlay";
      readonly lower: { readonly passed: number } | { readonly paths: readonly string[] };
      readonly upper: string;
      readonly work: string;
      /** An empty directory the root may be attached to while it is assembled. */
      readonly mountpoint: string;
    }
  /** A directory as it is (`root.path` of the specification), bind-mounted onto itself. */
  | { readonly kind: "directory"; readonly path: string };

/** Log, exit record and standard streams; see plan/ops.ts. */
export type { Supervision } from "../plan/ops.ts";

/** struct sock_filter each, and SECCOMP_FILTER_FLAG_*. */
export interface CompiledFilter {
  readonly program: Uint8Array;
  readonly flags: number;
}

/** A process that no shim stays with. */
export interface StandaloneProcess {
  /** Descriptors from 3 on that the caller passes to the program. */
  readonly preserveFds: number;
  /** Those of 0, 1 and 2 that are the host's /dev/null: the program gets the container's own in their place. */
  readonly nullStreams?: readonly number[];
  /** Passed descriptors: the FIFOs by which a later command starts the process. Absent: the hand-shake starts it. */
  readonly fifos?: { readonly start: number; readonly result: number } | undefined;
}
