/** A plan's failure in words that callers of an OCI runtime look for. */
import { OnggiError } from "../lib/errors.ts";
import type { Failure } from "../native/protocol.ts";
import type { Op, Plan } from "../plan/ops.ts";
import { hookOutcome } from "../runtime/hooks.ts";
import { errno, errnoText } from "../sys/errno.ts";

/** As much of an operation as its failure needs to be told; it can be written down. */
export interface Step {
  readonly kind: Op["kind"];
  readonly why: string;
  /** Of a hook. */
  readonly path?: string;
  /** Of a hook, in milliseconds. */
  readonly timeout?: number;
}

/** The last steps of a plan's child, for a failure after its maker has gone. */
export interface Steps {
  readonly command: string;
  /** Index of the first of them. */
  readonly first: number;
  readonly steps: readonly Step[];
}

const stepOf = (op: Op): Step =>
  op.kind === "runHook"
    ? { kind: op.kind, why: op.why, path: op.path, timeout: Number(op.timeout) }
    : { kind: op.kind, why: op.why };

const commandOf = ({ child }: Plan): string => child.find((op) => op.kind === "execve")?.argv[0] ?? "";

/** What is left when the process has been told to start. */
export function stepsAfterStart(plan: Plan): Steps {
  const first = plan.child.findIndex(({ kind }) => kind === "awaitStart") + 1;
  return { command: commandOf(plan), first, steps: plan.child.slice(first).map(stepOf) };
}

export function failureOf(plan: Plan, failure: Failure): OnggiError {
  const { section, index } = failure;
  const ops = section === "before" || section === "after" || section === "child" ? plan[section] : [];
  const op = index === null ? undefined : ops[index];
  return failureAt(op && stepOf(op), commandOf(plan), failure);
}

export const failureAfterStart = ({ command, first, steps }: Steps, failure: Failure): OnggiError =>
  failureAt(failure.index === null ? undefined : steps[failure.index - first], command, failure);

function failureAt(step: Step | undefined, command: string, { section, errno: error, text }: Failure): OnggiError {
  if (step && (step.kind === "lookUp" || step.kind === "execve" || step.kind === "fail")) return notRun(command, error);
  if (step?.kind === "runHook") {
    return new OnggiError("hook_failed", `error running hook ${step.path}: ${hookOutcome(step.timeout ?? 0, error)}`);
  }
  const reason = error === 0 ? text : errnoText(error);
  return new OnggiError("setup_failed", `unable to start container process: ${step?.why ?? `${section} ${text}`}: ${reason}`);
}

/** As runc words it: managers read the exit status 126 or 127 out of it. */
function notRun(command: string, error: number): OnggiError {
  const says = (what: string) => `unable to start container process: exec: ${JSON.stringify(command)}: ${what}`;
  if (error === errno.ENOENT || error === errno.ENOTDIR) {
    const what = command.includes("/") ? `stat ${command}: no such file or directory` : "executable file not found in $PATH";
    return new OnggiError("command_not_found", says(what));
  }
  const what =
    error === errno.ENOEXEC ? "exec format error" : error === errno.EACCES ? "permission denied" : errnoText(error).toLowerCase();
  return new OnggiError("command_not_executable", says(what));
}
