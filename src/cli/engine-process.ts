import { closeSync, fstatSync, mkdirSync, openSync, readSync } from "node:fs";
import { ConnectionLost, call, EngineUnreachable } from "../api/control/client.ts";
import { messageOf, OnggiError } from "../lib/errors.ts";

/** Starting the engine in the background, when a command finds that none answers. */

const PATIENCE_MS = 30_000;

/** How long the engine that has the lock may take to answer before another start is tried. */
const RETRY_MS = 300;

/** The engine did not come up. */
export class EngineStartFailed extends OnggiError {
  constructor(message: string) {
    super("engine_start_failed", message);
  }
}

export interface Locations {
  root: string;
  run: string;
  socket: string;
}

/** How this program is called again: the executable alone, or the interpreter and the script when run from source. */
export function selfCommand(execPath: string, script: string | undefined): string[] {
  return script === undefined || script.startsWith("/$bunfs/") ? [execPath] : [execPath, script];
}

/**
 * Starts an engine, with more `flags` of `engine start`, of its own session with its output in `<root>/engine.log`, and waits until the socket answers.
 *
 * Any number of callers at once end with one engine: every one they spawn asks for the lock of the data root, one gets it, and
 * the others end with 0, upon which their callers go on waiting for the one that did. When that one does not answer, because
 * it was just about to stop, they try again. Throws EngineStartFailed with the log's tail.
 */
export async function startEngine(locations: Locations, self: readonly string[], flags: readonly string[] = []): Promise<void> {
  const { root, run, socket } = locations;
  const log = openLog(root);
  const logged = fstatSync(log).size;
  const spawn = () => {
    const serve = ["engine", "start", "--foreground", "--if-absent", ...flags];
    const engine = Bun.spawn([...self, "--root", root, "--run", run, ...serve], {
      // the start directory must not stay busy for as long as the engine lives
      cwd: "/",
      detached: true,
      stdin: "ignore",
      stdout: log,
      stderr: log,
    });
    engine.unref();
    return engine;
  };
  try {
    await untilItAnswers(socket, spawn, () => tailOf(`${root}/engine.log`, logged));
  } finally {
    closeSync(log);
  }
}

function openLog(root: string): number {
  try {
    mkdirSync(root, { recursive: true, mode: 0o711 });
    return openSync(`${root}/engine.log`, "a", 0o600);
  } catch (error) {
    const advice = (error as NodeJS.ErrnoException).code === "EACCES" ? "; run as root or choose another --root" : "";
    throw new EngineStartFailed(`the engine cannot be started: ${messageOf(error)}${advice}`);
  }
}

async function untilItAnswers(socket: string, spawn: () => Bun.Subprocess, tail: () => string): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  let engine = spawn();
  let again = Number.POSITIVE_INFINITY;
  for (let pause = 2; ; pause = Math.min(pause * 1.5, 50)) {
    if (await answers(socket)) return;
    const { exitCode, signalCode } = engine;
    if (signalCode || (exitCode !== null && exitCode !== 0)) {
      throw new EngineStartFailed(`the engine ended at once (${signalCode ?? `exit code ${exitCode}`})${tail()}`);
    }
    if (Date.now() > deadline) {
      throw new EngineStartFailed(`the engine does not answer on ${socket} after ${PATIENCE_MS / 1000} seconds${tail()}`);
    }
    if (exitCode === 0) again = Math.min(again, Date.now() + RETRY_MS);
    if (Date.now() > again) {
      engine = spawn();
      again = Number.POSITIVE_INFINITY;
    }
    await Bun.sleep(pause);
  }
}

async function answers(socket: string): Promise<boolean> {
  try {
    await call(socket, "ping", {});
    return true;
  } catch (error) {
    // an engine that is about to stop may still take the connection
    if (error instanceof EngineUnreachable || error instanceof ConnectionLost) return false;
    throw error;
  }
}

/** The last lines of a log written since `from`, as the end of a message. */
export function tailOf(path: string, from: number): string {
  const buffer = Buffer.alloc(4096);
  let length = 0;
  try {
    const fd = openSync(path, "r");
    try {
      const { size } = fstatSync(fd);
      length = readSync(fd, buffer, 0, buffer.length, Math.max(from, size - buffer.length));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    return `; its log ${path} cannot be read: ${messageOf(error)}`;
  }
  const text = buffer.toString("utf8", 0, length).trimEnd();
  if (text === "") return `; its log ${path} says nothing`;
  return `; ${path} ends with\n${text
    .split("\n")
    .slice(-15)
    .map((line) => `  ${line}`)
    .join("\n")}`;
}
