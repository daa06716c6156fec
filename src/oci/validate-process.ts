/** What the values of a process say about each other, config.md "Process". */
import { InvalidSpec, show } from "./schema.ts";
import type { Process, Scheduler } from "./spec.ts";

const RESOURCE = /^RLIMIT_(AS|CORE|CPU|DATA|FSIZE|LOCKS|MEMLOCK|MSGQUEUE|NICE|NOFILE|NPROC|RSS|RTPRIO|RTTIME|SIGPENDING|STACK)$/;

/** Throws InvalidSpec. */
export function checkProcess(process: Process): void {
  if (process.args?.[0] === "") throw new InvalidSpec("process.args[0]", "must not be empty");
  checkConsole(process);
  checkLimits(process);
  if (process.scheduler) checkScheduler(process.scheduler);
}

/**
 * Each variable once. Of several with one name the last counts, at its own place, as for runc and the shells; libc would find
 * the first. Throws InvalidSpec for what is no "NAME=value".
 */
export function effectiveEnvironment(env: readonly string[]): string[] {
  const last = new Map<string, number>();
  env.forEach((entry, i) => {
    const equals = entry.indexOf("=");
    if (equals < 1) throw new InvalidSpec(`process.env[${i}]`, `want "NAME=value", got ${show(entry)}`);
    last.set(entry.slice(0, equals), i);
  });
  return [...last.values()].sort((a, b) => a - b).map((i) => env[i] as string);
}

/** The size of a console that there is not is ignored, as the specification demands. */
function checkConsole({ terminal, consoleSize }: Process): void {
  if (!terminal || !consoleSize) return;
  for (const side of ["height", "width"] as const) {
    const value = consoleSize[side];
    if (value > 65_535) throw new InvalidSpec(`process.consoleSize.${side}`, `want 0 to 65535, got ${value}`);
  }
}

function checkLimits({ rlimits = [] }: Process): void {
  const seen = new Set<string>();
  rlimits.forEach(({ type, soft, hard }, i) => {
    const path = `process.rlimits[${i}]`;
    if (!RESOURCE.test(type))
      throw new InvalidSpec(`${path}.type`, `unknown resource limit ${show(type)}; getrlimit(2) lists them`);
    if (seen.has(type)) throw new InvalidSpec(`${path}.type`, `${type} is listed twice`);
    seen.add(type);
    const infinite = (value: number) => (value < 0 ? Number.POSITIVE_INFINITY : value);
    if (infinite(soft) > infinite(hard))
      throw new InvalidSpec(`${path}.soft`, `must not be above the hard limit ${hard}, got ${soft}`);
  });
}

/** sched_setattr(2): which values belong to which policies. */
function checkScheduler({ policy, priority = 0, runtime = 0, deadline = 0, period = 0 }: Scheduler): void {
  const realtime = policy === "SCHED_FIFO" || policy === "SCHED_RR";
  if (priority !== 0 && !realtime)
    throw new InvalidSpec("process.scheduler.priority", `only SCHED_FIFO and SCHED_RR have one, not ${policy}`);
  if (priority === 0 && realtime) throw new InvalidSpec("process.scheduler.priority", `${policy} needs one from 1 to 99`);
  for (const [name, value] of Object.entries({ runtime, deadline, period })) {
    if (value !== 0 && policy !== "SCHED_DEADLINE")
      throw new InvalidSpec(`process.scheduler.${name}`, `only SCHED_DEADLINE has it, not ${policy}`);
  }
}
