/**
 * Plugins that run now, noted in a directory: a file `<pid>.<start time>` each. An engine that was killed leaves files of plugins that
 * may still be at work; the next engine ends them before it undoes what they have begun.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SIG } from "../../sys/index.ts";

/** How long a killed process group may take to go, in milliseconds. */
const PATIENCE_MS = 5000;

/** In clock ticks since boot, proc_pid_stat(5); "" where there is no such process. */
function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return "";
  }
}

/** SIGKILL to a group. False where there is none any more. */
export function killGroup(pid: number): boolean {
  try {
    process.kill(-pid, SIG.SIGKILL);
    return true;
  } catch {
    return false;
  }
}

/** Notes a plugin that has just been started; the returned function takes the note away. */
export function noteRunning(directory: string, pid: number): () => void {
  const path = join(directory, `${pid}.${startTime(pid)}`);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  writeFileSync(path, "", { mode: 0o600 });
  return () => rmSync(path, { force: true });
}

/**
 * Ends what an earlier engine has left. A group outlives its leader, and as long as it is there its number is nobody else's; where the
 * number is another process's now, that one's start time is another.
 */
export async function endLeftovers(directory: string): Promise<void> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(directory)) {
    const [, pid = "", started = ""] = /^([1-9]\d*)\.(\d+)$/.exec(name) ?? [];
    const now = pid === "" ? "none" : startTime(Number(pid));
    if (pid !== "" && (now === "" || now === started)) {
      const deadline = Date.now() + PATIENCE_MS;
      while (killGroup(Number(pid)) && Date.now() < deadline) await Bun.sleep(10);
    }
    rmSync(join(directory, name), { force: true });
  }
}
