/** Processes of containers: further ones, and the first. */
import { checkWords, environment } from "./container-request.ts";
import type { Link } from "./link.ts";
import type { Cancellable, SpawnOptions, TerminalSize } from "./options.ts";
import { type InputData, openProcess, type Process } from "./process.ts";
import type { ExecResult } from "./values.ts";

/** Starts a command in a container. */
export async function spawnIn(
  link: Link,
  container: string,
  command: readonly string[],
  options: SpawnOptions,
  stdin: boolean,
): Promise<Process> {
  checkWords("command", command);
  const { env, user, workdir, privileged, tty, size, signal } = options;
  const exec = {
    command: [...command],
    ...(env ? { env: environment(env) } : {}),
    ...(user === undefined ? {} : { user }),
    ...(workdir === undefined ? {} : { workdir }),
    ...(privileged ? { privileged } : {}),
    ...(tty ? { tty } : {}),
    ...(stdin ? { openStdin: true } : {}),
  };
  const attach = { stdin, stdout: true, stderr: true };
  return openProcess({
    runsWhen: "told",
    signal,
    abort: (input) => input.signal("SIGKILL"),
    run: (handlers, cut) => {
      const request = { container, exec, attach, sigProxy: true, ...(size ? { size } : {}) };
      return link.call("exec", request, handlers, cut);
    },
  });
}

/** The streams of a container's first process; with `start` it is started for them, and nothing of its output is missed. */
export function attachTo(
  link: Link,
  container: string,
  { start, size, signal }: { start?: boolean; size?: TerminalSize } & Cancellable,
): Promise<Process> {
  const request = { container, attach: { stdin: true, stdout: true, stderr: true }, ...(size ? { size } : {}) };
  return openProcess({
    runsWhen: "opened",
    signal,
    abort: (input) => input.detach(),
    run: async (handlers, cut) => {
      if (!start) return link.call("attach", { ...request, sigProxy: true }, handlers, cut);
      const { exitCode = 0 } = await link.call("start", request, handlers, cut);
      return { exitCode };
    },
  });
}

/** Runs a process to its end, and gives what it has said; where that fails it is killed. */
export async function buffered(process: Process, input: InputData | undefined): Promise<ExecResult> {
  // read at once: a command that says much before it has read all must not wait for ever
  const reading = Promise.all([process.stdout.text(), process.stderr.text()]);
  reading.catch(() => {});
  try {
    if (input !== undefined) await process.stdin.end(input);
    const [stdout, stderr] = await reading;
    return { exitCode: await process.exited, stdout, stderr };
  } catch (error) {
    await process[Symbol.asyncDispose]();
    throw error;
  }
}
