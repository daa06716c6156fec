/** Ends a process of a container with all that it has started. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { SIG } from "../sys/constants.ts";
import { isErrno } from "../sys/errno.ts";
import { close, pidfdOpen, pidfdSendSignal } from "../sys/index.ts";

/** The session of a process, as this process numbers it (proc(5), stat); undefined: it is gone. */
function sessionOf(pid: number): number | undefined {
  try {
    // the name, in parentheses, may hold anything
    const [, , , session] = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    return Number(session);
  } catch {
    return undefined;
  }
}

/** SIGKILL if it is of the session, by a descriptor: a number that is given anew meanwhile hits nobody else. */
function killIfOf(session: number, pid: number): void {
  let fd: number | undefined;
  try {
    fd = pidfdOpen(pid);
    if (sessionOf(pid) === session) pidfdSendSignal(fd, SIG.SIGKILL);
  } catch (error) {
    if (!isErrno(error, "ESRCH") && !isErrno(error, "EINVAL")) throw error; // gone, or a thread
  } finally {
    if (fd !== undefined) close(fd);
  }
}

/**
 * Kills the processes of the session that `leader` leads, which every exec does of its own; orphans are in it too, and the number is
 * not given again while one is left. Looks again while there are new ones, which fork faster than they are found at most so often.
 */
export function killSession(leader: number): void {
  for (let round = 0; round < 20; round++) {
    const found = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && sessionOf(Number(name)) === leader);
    const alive = found.map(Number).filter(isAlive);
    if (alive.length === 0) return;
    for (const pid of alive) killIfOf(leader, pid);
  }
}

/** One that is ending is not: it has let go of its namespaces, and waits for its children's end or for somebody to hear of its own. */
export function isAlive(pid: number): boolean {
  try {
    readlinkSync(`/proc/${pid}/ns/mnt`);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EACCES"; // somebody else's
  }
}
