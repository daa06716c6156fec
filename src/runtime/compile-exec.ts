/**
 * A further process in a running container.
 *
 * The shim makes it in the container's pid namespace and goes back; the child enters all other namespaces by the pidfd of the
 * container's first process in one setns(2), with the host's privileges, so it does not matter who owns which.
 */
import type { IdMapping, NamespaceType, Process } from "../oci/spec.ts";
import { AT_FDCWD, type Plan, type Supervision } from "../plan/ops.ts";
import { CLONE, O, RESOLVE } from "../sys/constants.ts";
import type { CgroupJoin } from "./cgroups/types.ts";
import { compileAffinity, compileLabels, compileOomScore, compileProcessAttributes } from "./compile-attributes.ts";
import { Registers, Writer } from "./compile-builder.ts";
import { compileCgroupTasks, compileCloneInto } from "./compile-cgroups.ts";
import { AT_EMPTY_PATH, cloneFlags, mapped, PATH_DIRECTORY } from "./compile-context.ts";
import { NO_ID, openMaster, openSlave } from "./compile-devices.ts";
import { privateProc } from "./compile-kernel.ts";
import { compileProcess, compileRaisedLimits, compileStreamOwner } from "./compile-process.ts";
import type { HostFacts } from "./types.ts";

export interface ExecInput {
  readonly process: Process;
  readonly target: {
    /** The container's first process, as the host numbers it. */
    readonly pid: number;
    /** Namespaces that are not the host's. */
    readonly namespaces: readonly NamespaceType[];
    /** Of the container's user namespace; absent without one. */
    readonly uidMappings?: readonly IdMapping[] | undefined;
    readonly cgroup: CgroupJoin;
  };
  readonly facts: HostFacts;
  readonly supervision: Supervision;
  readonly seccompProgram?: { readonly program: Uint8Array; readonly flags: number } | undefined;
}

/** The plan of an exec. Its `created` point is the same as a container's, so the engine may send START at once. */
export function compileExec({ process, target, facts, supervision, seccompProgram }: ExecInput): Plan {
  const registers = new Registers();
  const [before, after, child] = [new Writer(registers), new Writer(registers), new Writer(registers)];
  const inUserns = target.namespaces.includes("user");

  before.about("namespaces", "hold the container's first process");
  const pidfd = before.keep({ kind: "pidfdOpen", pid: target.pid, flags: 0 });
  if (target.namespaces.includes("pid")) {
    before.about("namespaces", "remember the shim's own pid namespace");
    const flags = O.O_RDONLY | O.O_CLOEXEC;
    const own = before.keep({ kind: "open", dir: AT_FDCWD, path: "/proc/self/ns/pid", flags, mode: 0, resolve: 0 });
    before.about("namespaces", "make the child in the container's pid namespace");
    before.do({ kind: "setns", fd: pidfd, flags: CLONE.CLONE_NEWPID });
    after.about("namespaces", "return to the shim's own pid namespace").do({ kind: "setns", fd: own, flags: CLONE.CLONE_NEWPID });
  }
  const cgroup = compileCloneInto(before, target.cgroup);
  const uid = process.user?.uid ?? 0;
  compileStreamOwner(before, supervision, inUserns ? mapped(target.uidMappings ?? [], uid, "user") : uid);
  const openProc = () => after.about("process", "find the new process").keep({ kind: "openProc" });
  compileOomScore(after, openProc, process.oomScoreAdj);
  if (inUserns) compileRaisedLimits(after, process);

  if (process.execCPUAffinity?.initial) compileAffinity(child, process.execCPUAffinity.initial, "initial");
  compileCgroupTasks(before, child, target.cgroup);
  if (after.ops.length > 0) {
    after.about("handshake", "let the child go on").do({ kind: "release" });
    child.about("handshake", "wait until the shim has done its part").do({ kind: "await" });
  }
  // before the container's mount namespace and user namespace are entered
  const proc = process.apparmorProfile || process.selinuxLabel ? privateProc(child) : undefined;
  const labels = compileLabels(child, process, proc);
  const joined = target.namespaces.filter((type) => type !== "pid").reduce((flags, type) => flags | cloneFlags[type], 0);
  if (joined !== 0) child.about("namespaces", "join the container").do({ kind: "setns", fd: pidfd, flags: joined });
  if (inUserns) {
    child.about("namespaces", "become root of the user namespace");
    child.do({ kind: "setgroups", gids: new Uint8Array(0) });
    child.do({ kind: "setresgid", rgid: 0, egid: 0, sgid: 0 });
    child.do({ kind: "setresuid", ruid: 0, euid: 0, suid: 0 });
  }
  compileProcessAttributes(child, process);
  let terminal: number | null = null;
  if (process.terminal) {
    child.about("stdio", "make the terminal");
    // the container's root may have put anything there: no link is followed, and only a terminal passes openSlave
    openMaster(child, AT_FDCWD, "/dev/pts/ptmx", RESOLVE.RESOLVE_NO_SYMLINKS | RESOLVE.RESOLVE_NO_MAGICLINKS);
    terminal = openSlave(child, process.consoleSize);
    if (uid !== 0) {
      child.about("stdio", "give the terminal to the user");
      child.do({ kind: "chown", dir: terminal, path: "", uid, gid: NO_ID, flags: AT_EMPTY_PATH });
    }
  }
  child.about("process", "open the working directory");
  const cwd = child.keep({
    kind: "open",
    dir: AT_FDCWD,
    path: process.cwd,
    flags: PATH_DIRECTORY,
    mode: 0,
    resolve: RESOLVE.RESOLVE_NO_MAGICLINKS,
  });
  compileProcess({ child, process, facts, seccompProgram, inUserns, cwd, terminal, labels });

  return Object.freeze({
    before: Object.freeze(before.ops),
    clone: Object.freeze({ flags: 0, ...(cgroup === undefined ? {} : { cgroup }) }),
    after: Object.freeze(after.ops),
    child: Object.freeze(child.ops),
    supervision,
  });
}
