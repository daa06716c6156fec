/** What freezing, killing and removing have in common in both versions. */
import { messageOf, OnggiError } from "../../lib/errors.ts";
import { isErrno, kill, SIG, SysError } from "../../sys/index.ts";
import { depthFirst, exists, processesBelow, removeDirectory, tryReadText, writeText } from "./files.ts";

/** How long a group may take to freeze, to die or to become removable, in milliseconds. */
export const PATIENCE = 10_000;

/** Asks `done` at once and then ever more seldom, 1 to 20 ms apart. False if it is not so after `timeout` ms. */
export async function until(done: () => boolean, timeout: number = PATIENCE): Promise<boolean> {
  const end = performance.now() + timeout;
  for (let pause = 1; ; pause = Math.min(20, pause * 2)) {
    if (done()) return true;
    if (performance.now() >= end) return false;
    await Bun.sleep(pause);
  }
}

/** Sends SIGKILL to each; one that is gone is no error. */
export function killAll(pids: Iterable<number>): void {
  for (const pid of pids) {
    try {
      kill(pid, SIG.SIGKILL);
    } catch (error) {
      if (!isErrno(error, "ESRCH")) throw error;
    }
  }
}

/**
 * Kills everything in and below a v2 group by cgroup.kill (Linux 5.14), which no fork can outrun and which reaches frozen
 * processes. False if the kernel does not have the file; true as well if the group is gone.
 */
export function killByFile(directory: string): boolean {
  try {
    writeText(`${directory}/cgroup.kill`, "1");
    return true;
  } catch (error) {
    if (isErrno(error, "ENODEV")) return true;
    if (isErrno(error, "ENOENT")) return !exists(directory);
    throw error;
  }
}

/** The error of a group that could not be made: what is an OnggiError already, or `cgroup_create_failed`. */
export function createFailed(path: string, error: unknown): unknown {
  if (!(error instanceof SysError)) return error;
  const hint = isErrno(error, "EACCES", "EPERM", "EROFS") ? "; the engine needs a cgroup tree it may write" : "";
  return new OnggiError("cgroup_create_failed", `create of cgroup ${path}: ${error.message}${hint}`, { cause: error });
}

/** Throws `cgroup_kill_timeout`. */
export function killTimedOut(path: string, left: readonly number[]): never {
  throw new OnggiError(
    "cgroup_kill_timeout",
    `kill of cgroup ${path}: after ${PATIENCE / 1000} s these processes are still there: ${left.join(", ")}; they wait in the kernel, see /proc/PID/stack`,
  );
}

/** Throws `cgroup_freeze_timeout`. */
export function freezeTimedOut(path: string, frozen: boolean): never {
  const what = frozen ? "freeze" : "thaw";
  throw new OnggiError(
    "cgroup_freeze_timeout",
    `${what} of cgroup ${path}: not done after ${PATIENCE / 1000} s; some process waits in the kernel`,
  );
}

/**
 * Removes each directory with the groups below it, waiting for what dies. Goes on after a failure, and then throws
 * `cgroup_remove_failed`, whose `cause` is an AggregateError.
 */
export async function removeTrees(
  path: string,
  directories: readonly string[],
  killEverything: () => Promise<void>,
): Promise<void> {
  const busy = directories.filter((directory) => !removeDirectory(directory));
  if (busy.length === 0) return;
  const errors: unknown[] = [];
  const attempt = async (step: () => unknown): Promise<void> => {
    try {
      await step();
    } catch (error) {
      errors.push(error);
    }
  };
  await attempt(killEverything);
  for (const directory of busy) await attempt(() => removeTree(directory));
  if (errors.length === 0) return;
  const reasons = errors.map(messageOf).join("; ");
  throw new OnggiError("cgroup_remove_failed", `remove of cgroup ${path}: ${reasons}`, { cause: new AggregateError(errors) });
}

/** A process that was killed leaves its group only when the kernel has taken it apart: EBUSY until then. */
async function removeTree(directory: string): Promise<void> {
  const gone = await until(() => {
    let all = true;
    for (const group of depthFirst(directory)) all = removeDirectory(group) && all;
    return all;
  }, PATIENCE / 5);
  if (gone) return;
  const pids = processesBelow(directory);
  const holders = pids.length ? `processes ${pids.join(", ")} are in it` : "something in the kernel holds it";
  throw new OnggiError("cgroup_busy", `${directory}: ${holders}`);
}

/** A group that has just been made must be there; the freezer and the statistics need it to be. Throws `cgroup_not_found`. */
export function mustExist(path: string, directory: string): void {
  if (!exists(directory)) throw new OnggiError("cgroup_not_found", `cgroup ${path}: ${directory} does not exist`);
}

/** Sizes of huge pages in the form of file names: "2MB", "1GB". */
export function hugePageSizes(names: readonly string[]): string[] {
  return names.flatMap((name) => {
    const kilobytes = Number(/^hugepages-([0-9]+)kB$/.exec(name)?.[1]);
    if (!kilobytes) return [];
    if (kilobytes % 1048576 === 0) return [`${kilobytes / 1048576}GB`];
    return [kilobytes % 1024 === 0 ? `${kilobytes / 1024}MB` : `${kilobytes}KB`];
  });
}

/** True if a file of one word says so; false too if it is missing. */
export const says = (file: string, word: string): boolean => tryReadText(file)?.trim() === word;
