/** Processes by pid and start time: a pid alone may be somebody else's by now. */
import { readFileSync } from "node:fs";
import { isErrno } from "../sys/errno.ts";
import { close } from "../sys/file.ts";
import { pidfdOpen, pidfdSendSignal } from "../sys/namespace.ts";

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot, field 22 of proc_pid_stat(5). */
  readonly startTime: string;
}

export function parseIdentity(text: string): ProcessIdentity {
  const [pid = "0", startTime = ""] = text.trim().split(" ");
  return { pid: Number(pid), startTime };
}

/** State letter and start time; null: there is no such process. */
function statOf(pid: number): { state: string; startTime: string } | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH")) return null;
    throw error;
  }
  // "pid (name) state ...": the name may hold anything
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", startTime: fields[19] ?? "" };
}

export function identityOf(pid: number): ProcessIdentity {
  return { pid, startTime: statOf(pid)?.startTime ?? "" };
}

/** Whether it is there and not a zombie. */
export function isAlive({ pid, startTime }: ProcessIdentity): boolean {
  const stat = statOf(pid);
  return stat !== null && stat.startTime === startTime && stat.state !== "Z" && stat.state !== "X";
}

/** Sends a signal to this very process. False: it has ended. */
export function signalProcess(identity: ProcessIdentity, signal: number): boolean {
  let pidfd: number;
  try {
    pidfd = pidfdOpen(identity.pid);
  } catch (error) {
    if (isErrno(error, "ESRCH", "EINVAL")) return false;
    throw error;
  }
  try {
    if (!isAlive(identity)) return false;
    pidfdSendSignal(pidfd, signal);
    return true;
  } catch (error) {
    if (isErrno(error, "ESRCH")) return false;
    throw error;
  } finally {
    close(pidfd);
  }
}
