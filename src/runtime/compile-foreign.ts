/**
 * A process that another OCI runtime makes: the plan's program is that runtime.
 *
 * The runtime runs as the shim does, with the host's privileges. For a container it gets a mount namespace of its own, in which
 * the root file system is attached to the bundle's "rootfs". The container's mount namespace is a copy of that one, and when the
 * runtime has ended nothing else is left of it: no mount has to be taken away, whoever is killed when.
 */
import type { Process, Spec } from "../oci/spec.ts";
import { AT_FDCWD, event, type Plan, reg, type Supervision } from "../plan/ops.ts";
import { CLONE, FSMOUNT, FSOPEN, MS, O, PR, S, SIG } from "../sys/constants.ts";
import { errno } from "../sys/errno.ts";
import type { CgroupJoin } from "./cgroups/types.ts";
import { Registers, Writer } from "./compile-builder.ts";
import { compileOomWatch } from "./compile-cgroups.ts";
import { AT_RECURSIVE, Context, mapped, PATH_DIRECTORY } from "./compile-context.ts";
import { deviceNumber } from "./compile-devices.ts";
import { ONTO } from "./compile-filesystem.ts";
import { compileStreamOwner, compileStreams } from "./compile-process.ts";
import { compileRootSource, overlayMount, type RootPlan } from "./compile-root.ts";
import type { HostFacts, RootSource } from "./types.ts";

/** How the runtime is called. */
export interface RuntimeCall {
  readonly path: string;
  readonly argv: readonly string[];
  readonly env: readonly string[];
  /** The bundle; relative paths of `argv` start here. */
  readonly directory: string;
}

interface ForeignInput {
  readonly process: Process;
  readonly linux: NonNullable<Spec["linux"]>;
  readonly call: RuntimeCall;
  readonly supervision: Supervision;
}

export interface ForeignCreateInput extends ForeignInput {
  readonly root: RootSource;
  readonly facts: HostFacts;
  readonly cgroup: CgroupJoin;
  /** Passed descriptor of a user namespace with the container's id maps; absent without a user namespace. */
  readonly userns?: number | undefined;
}

/** The plan of a container's first process. The cgroup is there: the runtime finds it by `cgroupsPath`. */
export function compileForeignCreate(input: ForeignCreateInput): Plan {
  const { linux, root, facts, cgroup, supervision, userns } = input;
  const context = new Context({
    spec: {
      ociVersion: "1.2.0",
      linux: {
        ...linux,
        // the maps are those of a namespace that is there already
        namespaces: [{ type: "mount" }, ...(userns === undefined ? [] : [{ type: "user" as const, path: "passed" }])],
      },
    },
    root,
    facts,
    cgroup,
    supervision,
  });
  if (context.userns && userns !== undefined) context.userns.fd = reg.passed + userns;
  const { before, child } = context;
  compileOomWatch(before, cgroup);
  compileOwner(before, input);
  const own = root.kind === "overlay";
  if (own) compileRoot(context, compileRootSource(context));
  compileRuntime(child, input);
  return finish(before, child, own ? CLONE.CLONE_NEWNS : 0, supervision);
}

/** The plan of a further process in a running container. */
export function compileForeignExec(input: ForeignInput): Plan {
  const registers = new Registers();
  const [before, child] = [new Writer(registers), new Writer(registers)];
  compileOwner(before, input);
  compileRuntime(child, input);
  return finish(before, child, 0, input.supervision);
}

function finish(before: Writer, child: Writer, flags: number, supervision: Supervision): Plan {
  return Object.freeze({
    before: Object.freeze(before.ops),
    clone: Object.freeze({ flags }),
    after: Object.freeze([]),
    child: Object.freeze(child.ops),
    supervision,
  });
}

function compileOwner(before: Writer, { process, linux, supervision }: ForeignInput): void {
  compileStreamOwner(before, supervision, mapped(linux.uidMappings ?? [], process.user?.uid ?? 0, "user"));
}

/** Attaches the root where the runtime looks for it. */
function compileRoot({ child, input }: Context, { detached, mountpoint }: RootPlan): void {
  child.about("rootfs", "let no mount event of this namespace reach the host");
  child.do({ kind: "mountSetattr", fd: AT_FDCWD, path: "/", flags: AT_RECURSIVE, set: 0, clear: 0, propagation: MS.MS_SLAVE });
  if (detached === null) {
    child.about("rootfs", "lay the container's own layer over the image").do(overlayMount(input.root, mountpoint));
    return;
  }
  child.about("rootfs", "attach the root file system to the bundle");
  const place = child.keep({ kind: "open", dir: AT_FDCWD, path: mountpoint, flags: PATH_DIRECTORY, mode: 0, resolve: 0 });
  child.do({ kind: "moveMount", from: detached, fromPath: "", to: place, toPath: "", flags: ONTO }).close(place, detached);
}

/** A runtime may give its streams to the container's user. Where no device can be made they stay the host's /dev/null. */
function compileNullDevice(child: Writer): void {
  child.about("stdio", "a null device of its own: the runtime may give it away");
  const fs = child.keep({ kind: "fsopen", fstype: "tmpfs", flags: FSOPEN.FSOPEN_CLOEXEC });
  child.do({ kind: "fsconfigCreate", fs });
  const place = child.keep({ kind: "fsmount", fs, flags: FSMOUNT.FSMOUNT_CLOEXEC, attrs: 0 });
  const dev = deviceNumber(1, 3);
  child.do({ kind: "mknod", dir: place, path: "null", mode: S.S_IFCHR | 0o666, dev, accept: [errno.EPERM] });
  const accept = [errno.ENOENT, errno.EACCES];
  const flags = O.O_RDWR | O.O_CLOEXEC;
  const fd = child.keep({ kind: "open", dir: place, path: "null", flags, mode: 0, resolve: 0, accept });
  for (const target of [0, 1, 2]) child.do({ kind: "dup", fd, target, flags: 0 });
  child.close(fs, place, fd);
}

/** Becomes the runtime, with the process's streams as its own. */
function compileRuntime(child: Writer, { call, supervision }: ForeignInput): void {
  child.about("process", "go to the bundle").do({ kind: "chdir", path: call.directory });
  child.about("process", "make files with the modes asked for").do({ kind: "umask", mask: 0o022 });
  child.about("process", "end with the shim, which would be told what was made");
  child.do({ kind: "prctl", option: PR.PR_SET_PDEATHSIG, arg2: SIG.SIGKILL, arg3: 0, arg4: 0, arg5: 0 });
  for (const stream of supervision.tty ? [reg.stdin, reg.stdout, reg.stderr] : []) {
    child.about("stdio", "give the runtime /dev/null: the terminal is not its own");
    child.into(stream, { kind: "open", dir: AT_FDCWD, path: "/dev/null", flags: O.O_RDWR | O.O_CLOEXEC, mode: 0, resolve: 0 });
  }
  compileStreams(child, null);
  if (supervision.tty) compileNullDevice(child);
  child.about("handshake", "the descriptors are the runtime's: tell the shim").do({ kind: "notify", event: event.created });
  child
    .about("process", `run ${call.argv[0]}`)
    .do({ kind: "execve", path: call.path, argv: [...call.argv], envp: [...call.env] });
}
