/**
 * A further process in a running container.
 *
 * The child is cloned outside, enters the container by the pidfd of its first process in one setns(2), with the host's
 * privileges, so it does not matter who owns which namespace, and takes its streams. Then it has nothing of the host left
 * but its memory, lets go of every other descriptor, and forks: only that process is born into the container's pid
 * namespace, where others can see it, and find no way out through it (CVE-2016-9962).
 */
import type { IdMapping, NamespaceType, Process } from "../oci/spec.ts";
import { AT_FDCWD, type Plan, type Reg, reg, type Supervision } from "../plan/ops.ts";
import { O, RESOLVE, SIG } from "../sys/constants.ts";
import type { CgroupJoin } from "./cgroups/types.ts";
import { compileAffinity, compileLabels, compileOomScore, compileProcessAttributes } from "./compile-attributes.ts";
import { Registers, Writer } from "./compile-builder.ts";
import { compileCgroupTasks, compileCloneInto } from "./compile-cgroups.ts";
import { AT_EMPTY_PATH, cloneFlags, mapped, PATH_DIRECTORY } from "./compile-context.ts";
import { NO_ID, openMaster, openSlave } from "./compile-devices.ts";
import { privateProc } from "./compile-kernel.ts";
import {
  compileLabelWrites,
  compileOwnStreams,
  compileParentDeath,
  compileProcess,
  compileRaisedLimits,
  compileSession,
  compileStreamOwner,
  compileStreams,
} from "./compile-process.ts";
import type { CompiledFilter, HostFacts, StandaloneProcess } from "./types.ts";

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
  readonly seccompProgram?: CompiledFilter | undefined;
  readonly standalone?: StandaloneProcess | undefined;
  /** setgroups(2) was given up for the container's user namespace. */
  readonly setgroupsDenied?: boolean | undefined;
}

/** The plan of an exec. Its `created` point is the same as a container's, so the engine may send START at once. */
export function compileExec({
  process,
  target,
  facts,
  supervision,
  seccompProgram,
  standalone,
  setgroupsDenied = false,
}: ExecInput): Plan {
  const registers = new Registers();
  const [before, after, child] = [new Writer(registers), new Writer(registers), new Writer(registers)];
  const inUserns = target.namespaces.includes("user");

  before.about("namespaces", "hold the container's first process");
  const pidfd = before.keep({ kind: "pidfdOpen", pid: target.pid, flags: 0 });
  const cgroup = compileCloneInto(before, target.cgroup);
  const uid = process.user?.uid ?? 0;
  const owner = inUserns ? mapped(target.uidMappings ?? [], uid, "user") : uid;
  compileStreamOwner(before, supervision, owner, standalone?.nullStreams);
  const openProc = () => after.about("process", "find the new process").keep({ kind: "openProc" });
  compileOomScore(after, openProc, process.oomScoreAdj);
  if (inUserns) compileRaisedLimits(after, process);

  if (process.execCPUAffinity?.initial) compileAffinity(child, process.execCPUAffinity.initial, "initial");
  if (standalone) compileParentDeath(child, SIG.SIGKILL);
  compileCgroupTasks(before, child, target.cgroup);
  if (after.ops.length > 0) {
    after.about("handshake", "let the child go on").do({ kind: "release" });
    child.about("handshake", "wait until the shim has done its part").do({ kind: "await" });
  }
  // before the container's mount namespace and user namespace are entered
  const proc = process.apparmorProfile || process.selinuxLabel ? privateProc(child) : undefined;
  compileLabelWrites(child, compileLabels(child, process, proc));
  const joined = target.namespaces.reduce((flags, type) => flags | cloneFlags[type], 0);
  if (joined !== 0) child.about("namespaces", "join the container").do({ kind: "setns", fd: pidfd, flags: joined });
  if (inUserns) {
    child.about("namespaces", "become root of the user namespace");
    if (!setgroupsDenied) child.do({ kind: "setgroups", gids: new Uint8Array(0) });
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
  if (target.namespaces.includes("pid")) compileBirth(child, terminal, standalone);
  else {
    compileStreams(child, terminal, standalone);
    if (standalone) compileParentDeath(child, 0);
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
  compileProcess({ child, process, facts, seccompProgram, inUserns, setgroupsDenied, cwd, standalone });

  return Object.freeze({
    before: Object.freeze(before.ops),
    clone: Object.freeze({ flags: 0, ...(cgroup === undefined ? {} : { cgroup }) }),
    after: Object.freeze(after.ops),
    child: Object.freeze(child.ops),
    supervision,
  });
}

/**
 * Everything but the streams, what the caller passes on and the hand-shake socket is closed, and the process is born into the
 * pid namespace.
 */
function compileBirth(child: Writer, terminal: Reg | null, standalone: StandaloneProcess | undefined): void {
  const first = 3 + (standalone?.preserveFds ?? 0);
  compileOwnStreams(child, terminal);
  // the one descriptor of the terminal that is left
  if (terminal !== null) child.into(reg.stdin, { kind: "dup", fd: terminal, target: 0, flags: 0 });
  child.about("stdio", "keep the hand-shake socket, and no other descriptor");
  child.into(reg.sync, { kind: "dup", fd: reg.sync, target: first, flags: O.O_CLOEXEC });
  child.do({ kind: "closeRange", first: first + 1, last: 0xffffffff, flags: 0 });
  child.about("namespaces", "be born into the container's pid namespace").do({ kind: "fork" });
  compileSession(child, terminal === null ? null : reg.stdin);
}
