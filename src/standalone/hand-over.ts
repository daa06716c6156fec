/** What a caller wants to be given of a process that has been created. */
import { close } from "../sys/file.ts";
import { pidfdOpen } from "../sys/namespace.ts";
import type { Created } from "./launch.ts";
import { writePidFile } from "./pid-file.ts";
import { sendDescriptor } from "./sockets.ts";

export interface HandOverOptions {
  readonly consoleSocket?: string;
  readonly pidfdSocket?: string;
  readonly pidFile?: string;
}

/** Returns the terminal's master if it stays here; the caller closes it. */
export function handOver({ consoleSocket, pidfdSocket, pidFile }: HandOverOptions, { pid, master }: Created): number | null {
  if (pidfdSocket !== undefined) {
    const pidfd = pidfdOpen(pid);
    try {
      sendDescriptor("pidfd socket", pidfdSocket, "pidfd", pidfd);
    } finally {
      close(pidfd);
    }
  }
  if (master !== null && consoleSocket !== undefined) {
    try {
      sendDescriptor("console socket", consoleSocket, "/dev/ptmx", master);
    } finally {
      close(master);
    }
  }
  // last: whoever waits for it finds everything else done
  if (pidFile !== undefined) writePidFile(pidFile, pid);
  return consoleSocket === undefined ? master : null;
}
