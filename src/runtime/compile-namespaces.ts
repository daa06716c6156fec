/**
 * Namespaces: which clone3 makes, which are joined, who does it and when.
 *
 * clone3 makes every new namespace at once, so that the kernel makes the new user namespace the owner of the others.
 * Exceptions: a cgroup namespace is rooted where its maker is, so the child unshares it once it is in its cgroup (with
 * CLONE_INTO_CGROUP too: clone3 takes the parent's cgroup as the root); a time namespace with offsets must be unshared by
 * the parent, because offsets cannot change once a process is inside; and beside a joined user namespace all but pid are
 * unshared by the child after it has joined.
 *
 * A joined namespace that is owned by the host's user namespace can be entered only with the host's privileges. So beside
 * a user namespace the shim itself enters it before clone3 and leaves it afterwards; without one the child enters it.
 */
import { OnggiError } from "../lib/errors.ts";
import type { NamespaceType } from "../oci/spec.ts";
import { AT_FDCWD, type Reg } from "../plan/ops.ts";
import { CLONE, O, PR } from "../sys/constants.ts";
import { type Context, cloneFlags, namespaceFiles } from "./compile-context.ts";

const READ = O.O_RDONLY | O.O_CLOEXEC;
const utf8 = new TextEncoder();

export interface NamespacePlan {
  readonly flags: number;
  /** Namespaces the shim must return to once the child exists. */
  readonly restore: readonly { readonly fd: Reg; readonly type: NamespaceType }[];
  /** Namespaces the child joins, in order. */
  readonly childJoins: readonly { readonly fd: Reg; readonly type: NamespaceType }[];
  /** CLONE_* flags the child unshares after it has joined its user namespace. */
  readonly childUnshares: number;
}

/** Decides who makes and joins what, and writes the shim's part before clone3. */
export function compileNamespaces(context: Context): NamespacePlan {
  const { before, spec, userns } = context;
  const restore: { fd: Reg; type: NamespaceType }[] = [];
  const childJoins: { fd: Reg; type: NamespaceType }[] = [];
  let flags = 0;
  let childUnshares = 0;

  const enterFirst = (type: NamespaceType, enter: () => void) => {
    before.about("namespaces", `remember the shim's own ${type} namespace`);
    restore.push({ fd: openNamespace(context, `/proc/self/ns/${namespaceFiles[type]}`), type });
    enter();
  };

  for (const { type, path } of spec.linux?.namespaces ?? []) {
    if (path !== undefined) {
      before.about("namespaces", `open the ${type} namespace to join`);
      const fd = openNamespace(context, path);
      if (type === "user" && userns) userns.fd = fd;
      if (type === "pid") context.joinedPid = fd;
      if (type === "pid" || (userns && type !== "user" && type !== "mount")) {
        enterFirst(type, () => {
          before.about("namespaces", type === "pid" ? "make children in the pid namespace" : `join the ${type} namespace`);
          before.do({ kind: "setns", fd, flags: cloneFlags[type] });
        });
      } else if (type === "user") childJoins.unshift({ fd, type });
      else childJoins.push({ fd, type });
    } else if (type === "cgroup") {
      childUnshares |= CLONE.CLONE_NEWCGROUP;
    } else if (type === "time" && spec.linux?.timeOffsets) {
      before.about("namespaces", "make children in a new time namespace").do({ kind: "unshare", flags: CLONE.CLONE_NEWTIME });
      writeTimeOffsets(context);
    } else if (userns?.kind === "joined" && type !== "pid") {
      childUnshares |= cloneFlags[type];
    } else {
      flags |= cloneFlags[type];
    }
  }
  if (mapsOwnUser(context)) {
    before.about("namespaces", "let this user write the maps of the process to come");
    before.do(dumpable(true));
  }
  return { flags, restore, childJoins, childUnshares };
}

/** proc(5): the files of a process that is not dumpable belong to root; the shim's are not, so that no container can trace it. */
const dumpable = (on: boolean) =>
  ({ kind: "prctl", option: PR.PR_SET_DUMPABLE, arg2: on ? 1 : 0, arg3: 0, arg4: 0, arg5: 0 }) as const;

const mapsOwnUser = ({ unprivileged, userns }: Context): boolean => unprivileged && userns?.kind === "new";

function openNamespace({ before }: Context, path: string): Reg {
  return before.keep({ kind: "open", dir: AT_FDCWD, path, flags: READ, mode: 0, resolve: 0 });
}

/** time_namespaces(7): one line per clock, all in one write. */
function writeTimeOffsets({ before, spec }: Context): void {
  before.about("namespaces", "set the offsets of the new time namespace's clocks");
  const flags = O.O_WRONLY | O.O_CLOEXEC;
  const fd = before.keep({ kind: "open", dir: AT_FDCWD, path: "/proc/self/timens_offsets", flags, mode: 0, resolve: 0 });
  const offsets = Object.entries(spec.linux?.timeOffsets ?? {});
  const lines = offsets.map(([clock, { secs = 0, nanosecs = 0 }]) => `${clock} ${secs} ${nanosecs}\n`).join("");
  before.do({ kind: "write", fd, data: utf8.encode(lines) }).close(fd);
}

/** The shim's part once the child exists: the user namespace's maps. */
export function compileIdMaps(context: Context): void {
  const { after, userns } = context;
  if (userns?.kind !== "new") return;
  const { uidMappings, gidMappings } = userns;
  const proc = context.proc;
  if (mapsOwnUser(context)) after.about("namespaces", "let nobody trace the shim again").do(dumpable(false));
  if (context.input.idMapsBy === "caller") {
    if (!context.unprivileged) holdUserNamespace(context, proc);
    return;
  }
  if (context.setgroupsDenied) {
    after.about("namespaces", "give up setgroups, which who maps only an own group must");
    const flags = O.O_WRONLY | O.O_CLOEXEC;
    const fd = after.keep({ kind: "open", dir: proc, path: "setgroups", flags, mode: 0, resolve: 0 });
    after.do({ kind: "write", fd, data: utf8.encode("deny") }).close(fd);
  }
  for (const [file, mappings] of [
    ["uid_map", uidMappings],
    ["gid_map", gidMappings],
  ] as const) {
    if (mappings.length === 0) throw new OnggiError("unmapped_id", "a new user namespace needs uidMappings and gidMappings");
    after.about("namespaces", `map the container's ${file === "uid_map" ? "users" : "groups"}`);
    const fd = after.keep({ kind: "open", dir: proc, path: file, flags: O.O_WRONLY | O.O_CLOEXEC, mode: 0, resolve: 0 });
    const lines = mappings.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`).join("");
    after.do({ kind: "write", fd, data: utf8.encode(lines) }).close(fd);
  }
  if (!context.unprivileged) holdUserNamespace(context, proc);
}

function holdUserNamespace({ after, userns }: Context, proc: Reg): void {
  after.about("namespaces", "hold the user namespace, for id-mapped mounts");
  const fd = after.keep({ kind: "open", dir: proc, path: "ns/user", flags: READ, mode: 0, resolve: 0 });
  if (userns) userns.fd = fd;
}

/** The shim goes back to where it was. */
export function compileRestore({ after }: Context, plan: NamespacePlan): void {
  for (const { fd, type } of plan.restore) {
    after.about("namespaces", `return to the shim's own ${type} namespace`);
    after.do({ kind: "setns", fd, flags: cloneFlags[type] });
  }
}

/** The child's first part: join, become the namespace's root, unshare; without privileges also what is `host` otherwise. */
export function compileChildNamespaces(context: Context, plan: NamespacePlan): void {
  const { child, userns } = context;
  for (const { fd, type } of plan.childJoins) {
    child.about("namespaces", `join the ${type} namespace`).do({ kind: "setns", fd, flags: cloneFlags[type] });
  }
  if (mapsOwnUser(context)) child.about("namespaces", "let nobody trace the process").do(dumpable(false));
  if (userns) {
    // files the set-up makes belong to this user; the ids clone3 left are not mapped
    child.about("namespaces", "become root of the user namespace");
    if (!context.setgroupsDenied) child.do({ kind: "setgroups", gids: new Uint8Array(0) });
    child.do({ kind: "setresgid", rgid: 0, egid: 0, sgid: 0 });
    child.do({ kind: "setresuid", ruid: 0, euid: 0, suid: 0 });
  }
  if (plan.childUnshares !== 0) {
    const why = plan.childUnshares === CLONE.CLONE_NEWCGROUP ? "make the cgroup the root of a new cgroup namespace" : "unshare";
    child.about("namespaces", why).do({ kind: "unshare", flags: plan.childUnshares });
  }
  if (context.unprivileged) child.append(context.host);
}
