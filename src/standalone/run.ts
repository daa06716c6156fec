/** `run`: create and start in one go; in the foreground also wait and delete. */
import type { OneShot } from "../native/oneshot.ts";
import { close } from "../sys/file.ts";
import { Container } from "./container.ts";
import { destroyContainer } from "./delete.ts";
import { tryHooks } from "./hooks.ts";
import type { Host } from "./host.ts";
import { release, waitExit } from "./launch.ts";
import { sendListener } from "./seccomp.ts";
import { type SetUp, setUp } from "./setup.ts";
import { ignoreSignals } from "./signals.ts";
import { copySize, proxyTerminal } from "./terminal.ts";
import type { RunOptions } from "./types.ts";

/** The program's exit code; 0 with `detach`. */
export async function runContainer(
  host: Host,
  front: OneShot,
  options: RunOptions,
  warn: (message: string) => void,
): Promise<number> {
  const container = await setUp(host, front, options, { detached: !!options.detach, byFifo: false });
  const { directory, master } = container;
  try {
    return await runSetUp(host, front, container, options, warn);
  } finally {
    if (master !== null) close(master);
    directory.close();
  }
}

async function runSetUp(
  host: Host,
  front: OneShot,
  container: SetUp,
  options: RunOptions,
  warn: (message: string) => void,
): Promise<number> {
  const { record, plan, init, master, directory } = container;
  const filtered = (pid: number, listener: number) => sendListener(record, "creating", pid, listener);
  try {
    if (!options.detach) {
      ignoreSignals();
      if (master !== null) copySize(master);
      front.wait({ subreaper: !options.noSubreaper, terminal: master !== null });
    }
    release(front, plan, { filtered });
    tryHooks("poststart", record, "running", init.pid, warn);
    if (options.detach) front.leave();
  } catch (error) {
    await container.undo();
    throw error;
  }
  if (options.detach) return 0;
  return stayWith(front, new Container(host, directory, record), master, options, warn);
}

/** The foreground's part: waits for the end of what the front looks after, and deletes it. Returns the program's exit code. */
export async function stayWith(
  front: OneShot,
  container: Container,
  master: number | null,
  options: RunOptions,
  warn: (message: string) => void,
): Promise<number> {
  const { directory } = container;
  // others may pause, update or delete it while it runs
  directory.unlock();
  const exitCode = master === null ? waitExit(front) : proxyTerminal(front, master);
  if (!options.keep && directory.lockAgain()) await destroyContainer(container, warn);
  return exitCode;
}
