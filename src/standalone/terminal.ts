/** A foreground program's terminal, between the caller's terminal and the program's. */
import type { OneShot } from "../native/oneshot.ts";
import { POLL } from "../sys/constants.ts";
import { isErrno } from "../sys/errno.ts";
import { pollAll, read, writeAll } from "../sys/io.ts";
import { getWindowSize, isTerminal, makeRaw, setWindowSize, tcsetattr } from "../sys/pty.ts";

const CHUNK = 65_536;
const INPUT = 0;
const OUTPUT = 1;

/**
 * Passes bytes both ways until the program has ended and all its output is written; returns its exit code. The caller's
 * terminal, if it is one, is raw meanwhile, and the program's takes on its size.
 */
export function proxyTerminal(front: OneShot, master: number): number {
  const ours = isTerminal(INPUT);
  const former = ours ? makeRaw(INPUT) : null;
  // an interrupted poll is where a change of the size is seen
  if (ours) process.on("SIGWINCH", () => {});
  try {
    return passBytes(front, master, ours);
  } finally {
    if (former) tcsetattr(INPUT, former);
  }
}

function passBytes(front: OneShot, master: number, ours: boolean): number {
  const buffer = new Uint8Array(CHUNK);
  let exitCode: number | null = null;
  let input = true;
  let output = true;
  while (exitCode === null || output) {
    if (ours) copySize(master);
    // once the program has ended, what is left in the terminal is there already
    const ready = pollAll(
      [
        { fd: exitCode === null ? front.fd : -1, events: POLL.POLLIN },
        { fd: output ? master : -1, events: POLL.POLLIN },
        { fd: input && output ? INPUT : -1, events: POLL.POLLIN },
      ],
      exitCode === null ? -1 : 0,
    );
    if (exitCode !== null && !ready[1]) break;
    if (ready[1]) output = copy(master, OUTPUT, buffer);
    if (ready[2]) input = copy(INPUT, master, buffer);
    if (ready[0]) {
      const answer = front.next();
      if (answer.type === "exit") exitCode = answer.exitCode;
    }
  }
  return exitCode ?? 0;
}

/** False at the end of input, which of a terminal's master is EIO. */
function copy(from: number, to: number, buffer: Uint8Array): boolean {
  try {
    const length = read(from, buffer);
    if (length === 0) return false;
    writeAll(to, buffer.subarray(0, length));
    return true;
  } catch (error) {
    if (isErrno(error, "EIO", "EPIPE")) return false;
    throw error;
  }
}

/** Gives a program's terminal the size of the caller's, if that is one; before the program looks at it. */
export function copySize(master: number): void {
  if (!isTerminal(INPUT)) return;
  const wanted = getWindowSize(INPUT);
  const present = getWindowSize(master);
  if (wanted.rows !== present.rows || wanted.columns !== present.columns) setWindowSize(master, wanted);
}
