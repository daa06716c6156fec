/** Attributes of a process beside its identity: scheduling, memory policy, execution domain, keyring, labels. */
import { OnggiError } from "../lib/errors.ts";
import { lookUp } from "../lib/tables.ts";
import type { Process, Scheduler } from "../oci/spec.ts";
import type { Reg } from "../plan/ops.ts";
import { IOPRIO, MPOL, O, PER, RESOLVE, SCHED } from "../sys/constants.ts";
import { errno } from "../sys/errno.ts";
import { parseBitList } from "./bit-list.ts";
import type { Writer } from "./compile-builder.ts";
import type { Context } from "./compile-context.ts";

const utf8 = new TextEncoder();

/** The number of a name in one of the kernel's tables. Throws OnggiError `invalid_spec`. */
function numberOf(table: Readonly<Record<string, number>>, name: string, field: string): number {
  const number = lookUp(table, name);
  if (number !== undefined) return number;
  throw new OnggiError("invalid_spec", `${field}: unknown value ${JSON.stringify(name)}`);
}

/** The parts that a container's first process has and an exec inherits. */
export function compileContainerAttributes({ child, spec, input }: Context): void {
  if (!input.standalone?.noNewKeyring) {
    child.about("process", "get a session keyring of its own");
    child.do({ kind: "keyctlJoin", name: `_ses.${input.id ?? "onggi"}`, accept: [errno.ENOSYS] });
  }
  const { personality, memoryPolicy } = spec.linux ?? {};
  if (personality) {
    const domain = numberOf({ LINUX: PER.PER_LINUX, LINUX32: PER.PER_LINUX32 }, personality.domain, "linux.personality.domain");
    const flags = (personality.flags ?? []).map((flag) => numberOf(PER, flag, "linux.personality.flags"));
    child.about("process", "set the execution domain");
    child.do({ kind: "personality", persona: flags.reduce((all, flag) => all | flag, domain) });
  }
  if (memoryPolicy) {
    const mode = numberOf(MPOL, memoryPolicy.mode, "linux.memoryPolicy.mode");
    const flags = (memoryPolicy.flags ?? []).map((flag) => numberOf(MPOL, flag, "linux.memoryPolicy.flags"));
    const bits = memoryPolicy.nodes?.trim() ? parseBitList(memoryPolicy.nodes, "linux.memoryPolicy.nodes") : new Uint8Array(0);
    // set_mempolicy(2) counts one bit more than it uses, no nodes as 1; the mask is as long as it says
    const maxnode = 8 * bits.length + 1;
    const nodes = new Uint8Array(bits.length + 8);
    nodes.set(bits);
    child.about("process", "set the memory policy");
    child.do({ kind: "setMempolicy", mode: flags.reduce((all, flag) => all | flag, mode), nodes, maxnode });
  }
}

/** The parts that the specification's process has, for create and exec alike. */
export function compileProcessAttributes(child: Writer, process: Process): void {
  const { scheduler, ioPriority, execCPUAffinity } = process;
  if (scheduler) {
    child.about("process", `schedule as ${scheduler.policy}`).do({ kind: "schedSetattr", attr: schedAttr(scheduler) });
  }
  if (ioPriority) {
    const name = ioPriority.class.replace("IOPRIO_CLASS_", "");
    const classes = { RT: IOPRIO.IOPRIO_CLASS_RT, BE: IOPRIO.IOPRIO_CLASS_BE, IDLE: IOPRIO.IOPRIO_CLASS_IDLE };
    const ioprio =
      (numberOf(classes, name, "process.ioPriority.class") << IOPRIO.IOPRIO_CLASS_SHIFT) | (ioPriority.priority ?? 0);
    child.about("process", "set the I/O priority");
    child.do({ kind: "ioprioSet", which: IOPRIO.IOPRIO_WHO_PROCESS, who: 0, ioprio });
  }
  if (execCPUAffinity?.final) compileAffinity(child, execCPUAffinity.final, "final");
}

export function compileAffinity(child: Writer, list: string, which: "initial" | "final"): void {
  child.about("process", `run on CPUs ${list}`);
  child.do({ kind: "schedSetaffinity", mask: parseBitList(list, `process.execCPUAffinity.${which}`) });
}

/** struct sched_attr, version 0, sched_setattr(2). */
function schedAttr({ policy, nice = 0, priority = 0, flags = [], runtime = 0, deadline = 0, period = 0 }: Scheduler): Uint8Array {
  const view = new DataView(new ArrayBuffer(48));
  if (policy === "SCHED_ISO")
    throw new OnggiError("unsupported_spec", "process.scheduler.policy: Linux has reserved SCHED_ISO and never had it");
  const flagNames = flags.map((flag) => numberOf(SCHED, flag, "process.scheduler.flags"));
  view.setUint32(0, 48, true);
  view.setUint32(4, numberOf(SCHED, policy, "process.scheduler.policy"), true);
  view.setBigUint64(8, BigInt(flagNames.reduce((all, flag) => all | flag, 0)), true);
  view.setInt32(16, nice, true);
  view.setUint32(20, priority, true);
  [runtime, deadline, period].forEach((value, i) => {
    view.setBigUint64(24 + 8 * i, BigInt(value), true);
  });
  return new Uint8Array(view.buffer);
}

/**
 * Security modules read a new program's label from a file of procfs. Opened through a procfs of ours while there is a table
 * of descriptors to share; written just before the privileges go.
 */
export function compileLabels(child: Writer, process: Process, proc: Reg | undefined): { fd: Reg; text: string }[] {
  const { apparmorProfile, selinuxLabel } = process;
  const wanted: { path: string; text: string }[] = [];
  if (apparmorProfile) wanted.push({ path: "self/attr/apparmor/exec", text: `exec ${apparmorProfile}` });
  if (selinuxLabel) wanted.push({ path: "self/attr/exec", text: selinuxLabel });
  if (wanted.length > 0 && proc === undefined) {
    throw new OnggiError("invalid_spec", "process: a security label needs procfs mounted on /proc");
  }
  return wanted.map(({ path, text }) => {
    child.about("privileges", "open the security label of the program");
    const resolve = RESOLVE.RESOLVE_BENEATH | RESOLVE.RESOLVE_NO_MAGICLINKS | RESOLVE.RESOLVE_NO_XDEV;
    const flags = O.O_WRONLY | O.O_CLOEXEC;
    return { fd: child.keep({ kind: "open", dir: proc as Reg, path, flags, mode: 0, resolve }), text };
  });
}

/** The shim's part: only the host's privileges may lower a score. */
export function compileOomScore(after: Writer, proc: () => Reg, score: number | undefined): void {
  if (score === undefined) return;
  const dir = proc();
  after.about("process", "set how soon the kernel picks the process when memory runs out");
  const fd = after.keep({ kind: "open", dir, path: "oom_score_adj", flags: O.O_WRONLY | O.O_CLOEXEC, mode: 0, resolve: 0 });
  after.do({ kind: "write", fd, data: utf8.encode(String(score)) }).close(fd);
}
