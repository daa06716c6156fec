/**
 * From a set-up environment to the program: standard streams, attributes, identity, privileges, execve.
 *
 * Runs in the child, in the container's namespaces, as their root with every capability it was born with; each step gives
 * something up, so their order is the security argument:
 * 1. a descriptor table of its own, the streams, everything above 2 close-on-exec: no descriptor of the shim survives;
 * 2. a seccomp filter without no_new_privs needs CAP_SYS_ADMIN, so it is installed while that is there;
 * 3. the bounding set shrinks while CAP_SETPCAP is there; the user changes with capabilities kept; capset sets what remains;
 * 4. with no_new_privs the filter is installed last, after the hand-shake, so that it sees nothing of ours but execve.
 */
import { OnggiError } from "../lib/errors.ts";
import { lookUp } from "../lib/tables.ts";
import type { Process } from "../oci/spec.ts";
import { AT_FDCWD, event, type Reg, reg, type Supervision } from "../plan/ops.ts";
import { CLONE, CLOSE_RANGE, O, PR, RESOLVE, RLIMIT, SECCOMP, TIOC } from "../sys/constants.ts";
import { errno } from "../sys/errno.ts";
import { capabilitiesIn, capabilityMask } from "./capabilities.ts";
import type { Writer } from "./compile-builder.ts";
import { AT_EMPTY_PATH } from "./compile-context.ts";
import { NO_ID } from "./compile-devices.ts";
import type { CompiledFilter, HostFacts, StandaloneProcess } from "./types.ts";

export interface ProcessInput {
  readonly child: Writer;
  readonly process: Process;
  readonly facts: HostFacts;
  readonly seccompProgram?: CompiledFilter | undefined;
  readonly inUserns: boolean;
  /** setgroups(2) is given up for the user namespace. */
  readonly setgroupsDenied?: boolean;
  /** The working directory, held open. */
  readonly cwd: Reg;
  /** A program that runs the process's, and is the process in its place. */
  readonly init?: Reg | undefined;
  /** What an OCI runtime's process has beyond an engine's. */
  readonly standalone?: StandaloneProcess | undefined;
  /** Runs just before execve, when the process has been started. */
  readonly beforeExecve?: () => void;
}

const utf8 = new TextEncoder();
const prctl = (option: number, arg2 = 0, arg3 = 0) => ({ kind: "prctl", option, arg2, arg3, arg4: 0, arg5: 0 }) as const;

/** From the standard streams on, which `compileStreams` has set, to execve. */
export function compileProcess(input: ProcessInput): void {
  const { child, process, seccompProgram, standalone, init } = input;
  compileLimits(input);
  child.about("process", "go to the working directory").do({ kind: "fchdir", fd: input.cwd });
  const seccomp = () => {
    if (seccompProgram) compileSeccompFilter(child, seccompProgram);
  };
  const fifos = standalone?.fifos;
  // an agent takes the listener while there is somebody to pass it on
  const handsOver = fifos !== undefined && seccompProgram !== undefined && hasListener(seccompProgram);
  if (!process.noNewPrivileges) seccomp();
  compileIdentity(input);
  const paths = programPaths(process);
  if (standalone || init !== undefined)
    child.about("process", `see that ${process.args?.[0]} can be run`).do({ kind: "lookUp", paths });
  if (process.noNewPrivileges && handsOver) seccomp();
  child.about("handshake", "set up: tell the engine").do({ kind: "notify", event: event.created });
  child.about("handshake", "wait for start").do({ kind: "await" });
  if (fifos) {
    child.about("handshake", "wait for the start command");
    child.do({ kind: "awaitStart", start: reg.passed + fifos.start, result: reg.passed + fifos.result });
  }
  input.beforeExecve?.();
  if (process.noNewPrivileges && !handsOver) seccomp();
  if (init === undefined) compileExecve(child, process, paths);
  else compileInit(child, process, init);
}

/** To /proc/self/attr/exec: the label is taken on by the next execve, in this process or one that it forks. */
export function compileLabelWrites(child: Writer, labels: readonly { readonly fd: Reg; readonly text: string }[]): void {
  for (const { fd, text } of labels) {
    child.about("privileges", "set the security label of the program").do({ kind: "write", fd, data: utf8.encode(text) });
  }
}

const hasListener = ({ flags }: CompiledFilter): boolean => (flags & SECCOMP.SECCOMP_FILTER_FLAG_NEW_LISTENER) !== 0;

/** A filter with a listener hands it over before the process goes on: nobody else could answer what the filter asks. */
function compileSeccompFilter(child: Writer, filter: CompiledFilter): void {
  const { program, flags } = filter;
  child.about("seccomp", "allow only the profile's system calls");
  if (!hasListener(filter)) {
    child.do({ kind: "seccomp", flags, program });
    return;
  }
  const listener = child.keep({ kind: "seccomp", flags, program });
  child.about("seccomp", "hand the listener to the agent").do({ kind: "sendFd", fd: listener, event: event.filtered });
  child.close(listener).do({ kind: "await" });
}

/**
 * While the process shares its parent's table of descriptors it holds both ends of the hand-shake socket, and would not see
 * the parent's end there: the kernel kills it then. A change of the user takes that back (prctl(2)); nothing waits after it.
 */
export function compileParentDeath(child: Writer, signal: number): void {
  const why = signal === 0 ? "outlive the parent again" : "end with the parent, while its descriptors are shared";
  child.about("handshake", why).do(prctl(PR.PR_SET_PDEATHSIG, signal));
}

/** The session, the terminal, and the streams; from here on the descriptors are the process's own, and the root is. */
export function compileStreams(child: Writer, terminal: Reg | null, standalone?: StandaloneProcess): void {
  const { preserveFds = 0, nullStreams = [] } = standalone ?? {};
  compileSession(child, terminal);
  compileOwnStreams(child, terminal);
  if (terminal === null && nullStreams.length > 0) compileNullStreams(child, nullStreams);
  child.about("stdio", "keep nobody waiting who waits for the shim's end");
  child.do({ kind: "close", fd: reg.peer });
  child.about("stdio", "let the program inherit nothing else");
  child.do({ kind: "closeRange", first: 3 + preserveFds, last: 0xffffffff, flags: CLOSE_RANGE.CLOSE_RANGE_CLOEXEC });
}

export function compileSession(child: Writer, terminal: Reg | null): void {
  child.about("process", "lead a session of its own").do({ kind: "setsid" });
  if (terminal === null) return;
  child.about("stdio", "make the terminal the session's");
  child.do({ kind: "ioctlInt", fd: terminal, request: TIOC.TIOCSCTTY, value: 0 });
}

export function compileOwnStreams(child: Writer, terminal: Reg | null): void {
  child.about("stdio", "leave the shim's table of descriptors").do({ kind: "unshare", flags: CLONE.CLONE_FILES });
  const streams = terminal === null ? [reg.stdin, reg.stdout, reg.stderr] : [terminal, terminal, terminal];
  streams.forEach((fd, target) => {
    child.about("stdio", `set standard ${["input", "output", "error"][target]}`).do({ kind: "dup", fd, target, flags: 0 });
  });
}

/** A file that is on none of the container's mounts cannot be checkpointed. Where the image has no /dev/null, nothing changes. */
function compileNullStreams(child: Writer, streams: readonly number[]): void {
  child.about("stdio", "use the container's own /dev/null");
  const accept = [errno.ENOENT, errno.ELOOP, errno.EACCES, errno.EPERM];
  const flags = O.O_RDWR | O.O_NOCTTY | O.O_CLOEXEC;
  const resolve = RESOLVE.RESOLVE_NO_SYMLINKS;
  const fd = child.keep({ kind: "open", dir: AT_FDCWD, path: "/dev/null", flags, mode: 0, resolve, accept });
  for (const target of streams) child.do({ kind: "dup", fd, target, flags: 0 });
  child.close(fd);
}

/**
 * The shim's part: pipes belong to whoever writes to them, so that a program may open /dev/stdout again. Not the host's /dev/null, which
 * everybody has: it is standard input that nobody gives, and with a standalone process any of `nullStreams`.
 */
export function compileStreamOwner(
  host: Writer,
  supervision: Supervision,
  uid: number,
  nullStreams: readonly number[] = [],
): void {
  if (supervision.tty || uid === 0) return;
  host.about("stdio", "give the standard streams to the user");
  for (const [fd, dir] of [reg.stdin, reg.stdout, reg.stderr].entries()) {
    if ((fd === 0 && !supervision.openStdin) || nullStreams.includes(fd)) continue;
    const accept = [errno.EPERM, errno.EINVAL, errno.EROFS];
    host.do({ kind: "chown", dir, path: "", uid, gid: NO_ID, flags: AT_EMPTY_PATH, accept });
  }
}

const UNLIMITED = 0xffff_ffff_ffff_ffffn;
/** RLIM_INFINITY comes out of JSON rounded, or as -1. */
const limit = (value: number): bigint => (value < 0 || value >= 2 ** 63 ? UNLIMITED : BigInt(value));
const resourceNumbers: Readonly<Record<string, number>> = RLIMIT;

function resourceOf(type: string): number {
  const number = lookUp(resourceNumbers, type);
  if (number === undefined)
    throw new OnggiError("invalid_rlimit", `unknown resource limit ${JSON.stringify(type)}; getrlimit(2) lists them`);
  return number;
}

/** Low enough for no set-up to fail, in every resource's unit. */
const ROOMY = 65_536n;

/**
 * The shim's part beside a user namespace: only the host's CAP_SYS_RESOURCE may raise a hard limit. It makes room, the child
 * then sets the exact values. EPERM is accepted: without that capability the child can still lower.
 */
export function compileRaisedLimits(after: Writer, process: Process): void {
  for (const { type, hard } of process.rlimits ?? []) {
    const room = limit(hard) > ROOMY ? limit(hard) : ROOMY;
    after.about("process", `make room for ${type}`);
    after.do({ kind: "prlimit", resource: resourceOf(type), soft: room, hard: room, accept: [errno.EPERM] });
  }
}

function compileLimits({ child, process }: ProcessInput): void {
  for (const { type, soft, hard } of process.rlimits ?? []) {
    child.about("process", `limit ${type}`);
    child.do({ kind: "prlimit", resource: resourceOf(type), soft: limit(soft), hard: limit(hard) });
  }
}

function compileIdentity({ child, process, facts, inUserns, setgroupsDenied }: ProcessInput): void {
  const { user, capabilities } = process;
  // a new user namespace starts with every capability
  const available = inUserns ? -1n : ~capabilityBits(facts.unavailableCaps ?? []);
  const mask = (names: readonly string[] | undefined) => capabilityMask(names, facts.lastCap) & available;

  const bounding = mask(capabilities?.bounding);
  child.about("privileges", "drop capabilities for good");
  for (let number = 0; number <= facts.lastCap; number++) {
    if (!((bounding >> BigInt(number)) & 1n)) child.do(prctl(PR.PR_CAPBSET_DROP, number));
  }
  child.about("privileges", "keep capabilities while the user changes").do(prctl(PR.PR_SET_KEEPCAPS, 1));
  const gids = new Uint8Array(Uint32Array.from(user?.additionalGids ?? []).buffer);
  const uid = user?.uid ?? 0;
  const gid = user?.gid ?? 0;
  if (setgroupsDenied && gids.length > 0) {
    throw new OnggiError(
      "not_permitted",
      "process.user.additionalGids: without privileges a user namespace that maps only the own group has no others",
    );
  }
  if (!setgroupsDenied) child.about("privileges", "take the groups").do({ kind: "setgroups", gids });
  child.about("privileges", "become the user").do({ kind: "setresgid", rgid: gid, egid: gid, sgid: gid });
  child.do({ kind: "setresuid", ruid: uid, euid: uid, suid: uid });
  child.about("privileges", "stop keeping capabilities").do(prctl(PR.PR_SET_KEEPCAPS, 0));
  child.about("privileges", "set the capabilities");
  child.do({
    kind: "capset",
    effective: mask(capabilities?.effective),
    permitted: mask(capabilities?.permitted),
    inheritable: mask(capabilities?.inheritable),
  });
  child.about("privileges", "set the ambient capabilities").do(prctl(PR.PR_CAP_AMBIENT, PR.PR_CAP_AMBIENT_CLEAR_ALL));
  // the kernel takes only those that are permitted and inheritable, capabilities(7); runc leaves the others out as well
  const ambient = mask(capabilities?.ambient) & mask(capabilities?.permitted) & mask(capabilities?.inheritable);
  for (const number of capabilitiesIn(ambient)) {
    child.do(prctl(PR.PR_CAP_AMBIENT, PR.PR_CAP_AMBIENT_RAISE, number));
  }
  child.about("process", "set the file mode mask").do({ kind: "umask", mask: user?.umask ?? 0o022 });
  if (process.noNewPrivileges) {
    child.about("privileges", "let no program gain privileges").do(prctl(PR.PR_SET_NO_NEW_PRIVS, 1));
  }
}

const capabilityBits = (numbers: readonly number[]): bigint =>
  numbers.reduce((mask, number) => mask | (1n << BigInt(number)), 0n);

/** What execvp(3) searches when nothing is set. */
const DEFAULT_PATH = "/bin:/usr/bin";

/** Where execve looks for the program, in this order. */
function programPaths({ args = [], env = [] }: Process): string[] {
  const [program] = args;
  if (program === undefined) throw new OnggiError("invalid_spec", "process.args: a program is needed");
  if (program.includes("/")) return [program];
  // the last one counts, as for a shell; an empty entry would be the working directory, where no program is looked for
  const path = env.findLast((entry) => entry.startsWith("PATH="))?.slice("PATH=".length) ?? DEFAULT_PATH;
  const directories = path.split(":").filter((entry) => entry !== "" && program !== "");
  return directories.map((directory) => `${directory}/${program}`);
}

/** As `docker run --init` names it. It looks the program up by itself. */
function compileInit(child: Writer, { args = [], env = [] }: Process, fd: Reg): void {
  child.about("process", `look after ${args[0]}`);
  child.do({ kind: "execveat", fd, argv: ["/sbin/docker-init", "--", ...args], envp: env });
}

function compileExecve(child: Writer, { args = [], env = [] }: Process, paths: readonly string[]): void {
  const argv = [...args];
  child.about("process", `run ${argv[0]}`);
  if (argv[0]?.includes("/")) {
    child.do({ kind: "execve", path: argv[0], argv, envp: env });
    return;
  }
  const accept = [errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP];
  for (const path of paths) child.do({ kind: "execve", path, argv, envp: env, accept });
  child.do({ kind: "fail" });
}
