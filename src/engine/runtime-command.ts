/** Calling an OCI runtime, and reading out of its log why it failed. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { OnggiError } from "../lib/errors.ts";
import { SetupFailed } from "../native/shim.ts";
import type { RuntimeCall } from "../runtime/index.ts";
import { isErrno } from "../sys/index.ts";
import type { Context } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { containerPaths } from "./layout.ts";
import type { ForeignRuntime } from "./runtimes.ts";
import { StartFailed } from "./start-failed.ts";

/** How long a runtime may take for a command. */
const PATIENCE_MS = 60_000;

/** The files of a container that are its runtime's business. */
export function runtimePaths(context: Context, { id }: ContainerRecord) {
  const { directory } = containerPaths(context.layout, id);
  return {
    directory,
    config: join(directory, "config.json"),
    /** The runtime's --root. */
    state: join(directory, "runtime"),
    log: join(directory, "runtime.log"),
  };
}

/** What a runtime may call: newuidmap, criu. */
const searchPath = (): string => process.env.PATH || "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** A command of a runtime's with what all of them have. */
export function callOf(context: Context, record: ContainerRecord, runtime: ForeignRuntime, log: string, args: readonly string[]) {
  const { directory, state } = runtimePaths(context, record);
  const argv = [runtime.path, "--root", state, "--log", log, "--log-format", "json", ...args];
  return { path: runtime.path, argv, env: [`PATH=${searchPath()}`], directory } satisfies RuntimeCall;
}

/** Runs a command to its end. Throws RuntimeFailed. */
export async function runtimeCommand(
  context: Context,
  record: ContainerRecord,
  runtime: ForeignRuntime,
  args: readonly string[],
): Promise<void> {
  const { log } = runtimePaths(context, record);
  const { argv, directory } = callOf(context, record, runtime, log, args);
  const child = Bun.spawn(argv as string[], {
    cwd: directory,
    env: { PATH: searchPath() },
    stdio: ["ignore", "ignore", "ignore"],
    timeout: PATIENCE_MS,
    killSignal: "SIGKILL",
  });
  if ((await child.exited) === 0) return;
  const how = child.signalCode ? `it was ended by ${child.signalCode}` : `exit status ${child.exitCode}`;
  throw new RuntimeFailed(runtime, args[0] as string, lastError(log) ?? how);
}

/** @throws OnggiError `runtime_timeout` */
export async function inTime<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: Timer | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new OnggiError("runtime_timeout", `${what} has not ended after ${PATIENCE_MS / 1000} s; it is killed`);
    timer = setTimeout(() => reject(error), PATIENCE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A command of a runtime's has failed; `reason` is the runtime's own word. */
export class RuntimeFailed extends OnggiError {
  readonly reason: string;

  constructor({ name }: ForeignRuntime, verb: string, reason: string) {
    super("runtime_failed", `${name} ${verb}: ${reason}`);
    this.reason = reason;
  }
}

/** The last error, or else the last line, of a log in logrus's JSON format. */
function lastError(path: string): string | undefined {
  const lines = textOf(path).trimEnd().split("\n");
  let last: string | undefined;
  for (const line of lines.reverse()) {
    try {
      const { level, msg } = JSON.parse(line) as { level?: unknown; msg?: unknown };
      if (typeof msg !== "string") continue;
      if (level === "error" || level === "fatal") return msg;
      last ??= msg;
    } catch {
      // not of the log's own format
    }
  }
  return last;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isErrno(error, "ENOENT")) return "";
    throw error;
  }
}

/** What a failure of the runtime means for `command`; undefined for other errors. As Docker reads it out of the message. */
export function explainRuntime(
  doing: string,
  runtime: ForeignRuntime,
  command: string,
  error: unknown,
  log: string,
): StartFailed | undefined {
  const handedOver = error instanceof SetupFailed && error.failure.section === "child" && error.failure.index === null;
  if (!handedOver && !(error instanceof RuntimeFailed)) return undefined;
  const reason = error instanceof RuntimeFailed ? error.reason : (lastError(log) ?? error.failure.text);
  const said = reason.startsWith(runtime.name) ? reason : `${runtime.name}: ${reason}`;
  const about = JSON.stringify(command);
  const named = [about, `\`${command}\``, ` ${command}:`, "open executable"].some((text) => reason.includes(text));
  if (named && /not found in \$PATH|no such file or directory/i.test(reason)) {
    const where = command.includes("/") ? "no such file or directory" : "executable file not found in $PATH";
    return new StartFailed("command_not_found", `cannot ${doing}: ${about}: ${where} (${said})`, 127);
  }
  if (named && /permission denied|exec format error|is a directory/i.test(reason)) {
    return new StartFailed("command_not_executable", `cannot ${doing}: ${about} (${said})`, 126);
  }
  return new StartFailed("start_failed", `cannot ${doing}: ${said}`, 125);
}
