/** What the parts of the compiler share: the input, the sections under way, and answers about namespaces and ids. */
import { OnggiError } from "../lib/errors.ts";
import type { IdMapping, NamespaceType, Spec } from "../oci/spec.ts";
import { AT_FDCWD, type Reg, type Supervision } from "../plan/ops.ts";
import { AT, CLONE, O, RESOLVE } from "../sys/constants.ts";
import type { CgroupJoin } from "./cgroups/types.ts";
import { Registers, Writer } from "./compile-builder.ts";
import type { CompiledFilter, HostFacts, RootSource, StandaloneProcess } from "./types.ts";

export interface CreateInput {
  /** Validated (src/oci/validate.ts). */
  readonly spec: Spec;
  readonly root: RootSource;
  readonly facts: HostFacts;
  readonly cgroup: CgroupJoin;
  readonly supervision: Supervision;
  readonly seccompProgram?: CompiledFilter | undefined;
  /** Directory that relative mount sources start from. */
  readonly bundle?: string | undefined;
  /** Names the session keyring. */
  readonly id?: string | undefined;
  /** Sources of bind mounts that are no directories, as the specification spells them; see `bindSources`. */
  readonly fileSources?: ReadonlySet<string> | undefined;
  /**
   * Mounts with id mappings other than the container's: index in `spec.mounts` -> index of the passed descriptor of a user
   * namespace that has them.
   */
  readonly mountUserns?: Readonly<Record<number, number>> | undefined;
  /** Bind sources that are passed open, and not looked up: destination -> index of the passed descriptor. */
  readonly passedSources?: Readonly<Record<string, number>> | undefined;
  /** Bind sources that are symbolic links and have the option copy-symlink -> where they lead to; see `bindSources`. */
  readonly linkSources?: ReadonlyMap<string, string> | undefined;
  /** Bind sources that are procfs: the only ones that may be mounted on /proc. */
  readonly procSources?: ReadonlySet<string> | undefined;
  /** Mode of the image's directory below each tmpfs: index in `spec.mounts` -> mode; see `tmpfsModes`. */
  readonly tmpfsModes?: Readonly<Record<number, number>> | undefined;
  /**
   * Beside a user namespace too, let mountinfo list the mounts in the specification's order; see `compile-mount-sources.ts`.
   * Two calls more for each mount that the shim makes; mounts that are to be shared or unbindable keep their place.
   */
  readonly mountsInOrder?: boolean | undefined;
  /**
   * Who writes the id maps of a new user namespace: the plan, or the caller, by newuidmap(1) and newgidmap(1), while the child
   * waits for its release. Absent: the plan.
   */
  readonly idMapsBy?: "plan" | "caller" | undefined;
  /** Where pivot_root(2) cannot be (the host's root is an initramfs): MS_MOVE and chroot. */
  readonly noPivot?: boolean | undefined;
  /** Index of the passed descriptor of the program that looks after the container's; absent: nobody does. */
  readonly init?: number | undefined;
  /** Passed descriptor: a file with the container's state, for the hooks that run in the container. Absent: none run. */
  readonly hookState?: number | undefined;
  readonly standalone?: Standalone | undefined;
}

/** What a container has that is made by one command of an OCI runtime and left to its caller. */
export interface Standalone extends StandaloneProcess {
  /** The plan stops at `born`: others map the process's ids, or put it into a cgroup. */
  readonly stopWhenBorn?: boolean | undefined;
  /** The plan stops at `mounted`: there are hooks to run on the host, or devices to move. */
  readonly stopWhenMounted: boolean;
  /** Stay in the caller's session keyring. */
  readonly noNewKeyring: boolean;
}

export const cloneFlags: Readonly<Record<NamespaceType, number>> = {
  mount: CLONE.CLONE_NEWNS,
  cgroup: CLONE.CLONE_NEWCGROUP,
  uts: CLONE.CLONE_NEWUTS,
  ipc: CLONE.CLONE_NEWIPC,
  user: CLONE.CLONE_NEWUSER,
  pid: CLONE.CLONE_NEWPID,
  network: CLONE.CLONE_NEWNET,
  time: CLONE.CLONE_NEWTIME,
};

/** Names in /proc/PID/ns. */
export const namespaceFiles: Readonly<Record<NamespaceType, string>> = {
  mount: "mnt",
  cgroup: "cgroup",
  uts: "uts",
  ipc: "ipc",
  user: "user",
  pid: "pid",
  network: "net",
  time: "time",
};

export const PATH_DIRECTORY = O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC;
/** Symbolic links are followed inside the root only, and those of procfs that lead anywhere (/proc/self/fd/N) not at all. */
export const IN_ROOT = RESOLVE.RESOLVE_IN_ROOT | RESOLVE.RESOLVE_NO_MAGICLINKS;
/** A path of ours below a mount of ours: nothing on the way may be a link, and nothing may be mounted on it. */
export const STRICTLY_BELOW =
  RESOLVE.RESOLVE_BENEATH | RESOLVE.RESOLVE_NO_SYMLINKS | RESOLVE.RESOLVE_NO_MAGICLINKS | RESOLVE.RESOLVE_NO_XDEV;
export const { AT_EMPTY_PATH, AT_RECURSIVE } = AT;

/** A user namespace's place in the plan. */
export interface UserNamespace {
  readonly kind: "new" | "joined";
  /** Set by the section writers once it is open. */
  fd: Reg;
  readonly uidMappings: readonly IdMapping[];
  readonly gidMappings: readonly IdMapping[];
}

export class Context {
  readonly input: CreateInput;
  readonly spec: Spec;
  readonly before: Writer;
  readonly after: Writer;
  readonly child: Writer;
  /**
   * Runs in the shim with the host's privileges, in the host's mount namespace. After clone3 when the container gets a user
   * namespace of its own, because the id maps must exist then; before it otherwise, so that the child need not wait. Without
   * privileges there is nothing the shim could do better than the child: it is the child's part, once it is in its namespaces.
   */
  readonly host: Writer;
  readonly unprivileged: boolean;
  readonly userns: UserNamespace | null;
  /** The pid namespace to join; set once it is open. */
  joinedPid: Reg | null = null;
  private childProc: Reg | null = null;
  private readonly namespaces = new Map<NamespaceType, string | undefined>();

  constructor(input: CreateInput) {
    this.input = input;
    this.spec = input.spec;
    const registers = new Registers();
    this.before = new Writer(registers);
    this.after = new Writer(registers);
    this.child = new Writer(registers);
    for (const { type, path } of this.spec.linux?.namespaces ?? []) this.namespaces.set(type, path);
    const { uidMappings = [], gidMappings = [] } = this.spec.linux ?? {};
    const kind = this.joins("user") ? "joined" : "new";
    this.userns = this.namespaces.has("user") ? { kind, fd: AT_FDCWD, uidMappings, gidMappings } : null;
    this.unprivileged = input.facts.unprivileged ?? false;
    if (this.unprivileged && !this.userns) {
      throw new OnggiError("not_permitted", "linux.namespaces: without root's privileges a container needs a user namespace");
    }
    const privileged = this.userns?.kind === "new" ? this.after : this.before;
    this.host = this.unprivileged ? new Writer(registers) : privileged;
  }

  /** Only the shim can make mounts with the host's privileges for a container that has a user namespace. */
  get shimMounts(): boolean {
    return this.userns !== null && !this.unprivileged;
  }

  /** user_namespaces(7): who maps nothing but the own group must give setgroups(2) up for the namespace. */
  get setgroupsDenied(): boolean {
    return this.unprivileged && this.userns?.kind === "new" && this.input.idMapsBy !== "caller";
  }

  /** The container gets a new namespace of this type. */
  makes(type: NamespaceType): boolean {
    return this.namespaces.has(type) && this.namespaces.get(type) === undefined;
  }

  /** The container joins the namespace at this path. */
  joins(type: NamespaceType): string | undefined {
    return this.namespaces.get(type);
  }

  /** File systems that show a namespace can be mounted inside only where the container's root owns that namespace. */
  ownsItsView(type: NamespaceType): boolean {
    if (!this.userns) return true;
    // clone3 makes the pid namespace before a user namespace is joined, so the host's user namespace owns it
    return this.makes(type) && !(type === "pid" && this.userns.kind === "joined");
  }

  /** In `after`: the child's directory in procfs. */
  get proc(): Reg {
    this.childProc ??= this.after.about("process", "find the new process").keep({ kind: "openProc" });
    return this.childProc;
  }

  /** The container's pid namespace, for a procfs that the shim makes; null: the shim's own. */
  pidNamespace(writer: Writer): Reg | null {
    if (this.joinedPid !== null) return this.joinedPid;
    if (!this.makes("pid")) return null;
    const flags = O.O_RDONLY | O.O_CLOEXEC;
    return writer.keep({ kind: "open", dir: this.proc, path: "ns/pid", flags, mode: 0, resolve: 0 });
  }

  /** One of the container's ids as whoever writes `host` has it: in the shim the host's, in the child the container's own. */
  hostUid(id: number): number {
    const uid = mapped(this.userns?.uidMappings ?? [], id, "user");
    return this.unprivileged ? id : uid;
  }

  hostGid(id: number): number {
    const gid = mapped(this.userns?.gidMappings ?? [], id, "group");
    return this.unprivileged ? id : gid;
  }
}

/** Ids without any mapping are the host's own. */
export function mapped(mappings: readonly IdMapping[], id: number, what: string): number {
  if (mappings.length === 0) return id;
  for (const { containerID, hostID, size } of mappings) {
    if (id >= containerID && id < containerID + size) return hostID + (id - containerID);
  }
  throw new OnggiError("unmapped_id", `${what} id ${id} is not mapped in the container's user namespace; map it or use another`);
}
