/** The variables a runtime adds: HOME, from the container's own /etc/passwd, and those of sd_listen_fds(3). */

import type { Process } from "../oci/spec.ts";
import { readRootFile } from "../runtime/rootfile.ts";
import { parsePasswd } from "../runtime/users.ts";
import { close, openDir } from "../sys/file.ts";

/** `root`: the container's root directory, as this process reaches it. */
export function withHome(process: Process, root: string): Process {
  const env = process.env ?? [];
  if (env.some((entry) => entry.startsWith("HOME=") && entry.length > "HOME=".length)) return process;
  const others = env.filter((entry) => !entry.startsWith("HOME="));
  return { ...process, env: [...others, `HOME=${homeOf(process.user?.uid ?? 0, root)}`] };
}

function homeOf(uid: number, root: string): string {
  const directory = openDir(root);
  try {
    const users = parsePasswd(readRootFile([directory], "etc/passwd") ?? "");
    return users.find((user) => user.uid === uid)?.home || "/";
  } finally {
    close(directory);
  }
}

/** The program is the one the sockets are for, and is process 1 in its own namespace; as runc says it. */
export function withListenFds(process: Process, count: number): Process {
  if (count === 0) return process;
  return { ...process, env: [...(process.env ?? []), `LISTEN_FDS=${count}`, "LISTEN_PID=1"] };
}
