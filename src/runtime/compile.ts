/**
 * OCI specification -> plan: what happens between clone3 and execve, decided here and carried out by the shim.
 *
 * Pure: the same input gives the same plan, nothing is looked up. The order of a container's start:
 *
 *     before   shim    open namespaces, cgroup, and (without a new user namespace) the root
 *     clone3           all new namespaces at once
 *     after    shim    id maps, beside a user namespace what only the host can give; then the child is released
 *     child    child   namespaces, root attached, mounts, /dev, terminal, masks, root entered, privileges, execve
 */
import { OnggiError } from "../lib/errors.ts";
import type { Spec } from "../oci/spec.ts";
import { type Plan, type Reg, reg } from "../plan/ops.ts";
import { SIG } from "../sys/constants.ts";
import { compileContainerAttributes, compileLabels, compileOomScore, compileProcessAttributes } from "./compile-attributes.ts";
import type { Writer } from "./compile-builder.ts";
import { compileCgroupTasks, compileCloneInto, compileOomWatch } from "./compile-cgroups.ts";
import { Context, type CreateInput } from "./compile-context.ts";
import { compileRootDevices, compileTerminal } from "./compile-devices.ts";
import { compileBornStop, compileHooks, compileMountedStop } from "./compile-hooks.ts";
import { compileLoopback, compileNames, compileSysctls } from "./compile-kernel.ts";
import { compileMountSources } from "./compile-mount-sources.ts";
import { compileMounts } from "./compile-mounts.ts";
import { compileChildNamespaces, compileIdMaps, compileNamespaces, compileRestore } from "./compile-namespaces.ts";
import { compileMaskedPaths, compileReadonlyPaths } from "./compile-paths.ts";
import {
  compileLabelWrites,
  compileParentDeath,
  compileProcess,
  compileRaisedLimits,
  compileStreamOwner,
  compileStreams,
} from "./compile-process.ts";
import { compileRootAttach, compileRootEntry, compileRootSource } from "./compile-root.ts";
import { openTarget } from "./compile-targets.ts";

export type { CreateInput } from "./compile-context.ts";
export { compileExec, type ExecInput } from "./compile-exec.ts";

/**
 * The plan of a container's first process. Throws OnggiError for what the specification asks and a plan cannot do on this
 * host; what only the kernel can refuse fails when the plan runs.
 */
export function compileCreate(input: CreateInput): Plan {
  refuseUnsupported(input.spec);
  const context = new Context(input);
  const { before, after, child, host, spec } = context;
  const process = spec.process;
  if (!process) throw new OnggiError("invalid_spec", "process: needed to make a container");

  const namespaces = compileNamespaces(context);
  const cgroup = compileCloneInto(before, input.cgroup);
  compileOomWatch(before, input.cgroup);
  compileIdMaps(context);
  const tasks = compileCgroupTasks(before, child, input.cgroup);
  compileOomScore(after, () => context.proc, process.oomScoreAdj);
  if (context.userns) compileRaisedLimits(after, process);
  compileStreamOwner(host, input.supervision, context.hostUid(process.user?.uid ?? 0), input.standalone?.nullStreams);
  const rootPlan = compileRootSource(context);
  const mounts = compileMountSources(context);
  // without privileges they are bind mounts, which on older kernels need a place that is attached
  const earlyDevices = rootPlan.detached !== null && !context.unprivileged;
  if (earlyDevices) compileRootDevices(context, host, rootPlan.detached as Reg, mounts);
  compileRestore(context, namespaces);
  if (after.ops.length > 0) {
    after.about("handshake", "let the child go on").do({ kind: "release" });
    child.about("handshake", "wait until the shim has done its part").do({ kind: "await" });
  }

  if (input.standalone) compileParentDeath(child, SIG.SIGKILL);
  compileBornStop(context);
  compileChildNamespaces(context, namespaces);
  compileContainerAttributes(context);
  compileProcessAttributes(child, process);
  compileNames(context);
  compileLoopback(context);
  child.about("process", "make files with the modes asked for").do({ kind: "umask", mask: 0o022 });
  const root = compileRootAttach(context, rootPlan);
  if (!earlyDevices) compileRootDevices(context, child, root, mounts);
  const made = compileMounts(context, root, mounts);
  const terminal = process.terminal ? compileTerminal(context, root, made) : null;
  compileSysctls(context, made);
  const labels = compileLabels(child, process, made.proc);
  compileReadonlyPaths(context, root);
  compileMaskedPaths(context, root);
  child.about("process", "open the working directory");
  const cwd = openTarget(child, root, process.cwd, { kind: "directory" });
  compileMountedStop(context);
  compileHooks(context, "createContainer");
  compileRootEntry(context, rootPlan, root);
  const { seccompProgram, facts, standalone } = input;
  const init = input.init === undefined ? undefined : reg.passed + input.init;
  compileStreams(child, terminal, standalone);
  if (standalone) compileParentDeath(child, 0);
  // it may wait for long, in a pid namespace with others, and what it holds is the host's
  if (standalone) forget(child, [...tasks, ...(cgroup === undefined ? [] : [cgroup]), reg.oom, reg.state]);
  compileLabelWrites(child, labels);
  const beforeExecve = () => compileHooks(context, "startContainer");
  const inUserns = context.userns !== null;
  const { setgroupsDenied } = context;
  compileProcess({ child, process, facts, seccompProgram, inUserns, setgroupsDenied, cwd, init, standalone, beforeExecve });

  return Object.freeze({
    before: Object.freeze(before.ops),
    clone: Object.freeze({ flags: namespaces.flags, ...(cgroup === undefined ? {} : { cgroup }) }),
    after: Object.freeze(after.ops),
    child: Object.freeze(child.ops),
    supervision: input.supervision,
  });
}

/** Closes what the shim needs and the child does not, now that each has a table of its own. */
function forget(child: Writer, registers: readonly Reg[]): void {
  child.about("stdio", "hold nothing of the host's while waiting");
  for (const fd of registers) child.do({ kind: "close", fd });
}

/** What a plan has no operations for is refused, never left out in silence. */
function refuseUnsupported({ linux }: Spec): void {
  const refuse = (what: string, why: string) => {
    throw new OnggiError("unsupported_spec", `${what}: ${why}`);
  };
  const mount = linux?.namespaces?.find(({ type }) => type === "mount");
  if (!mount) refuse("linux.namespaces", "a new mount namespace is needed, or the container would change the host's mounts");
  if (mount?.path !== undefined) refuse("linux.namespaces", "joining a mount namespace would change the mounts of those in it");
}
