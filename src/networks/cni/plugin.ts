/**
 * Running one CNI plugin: CNI specification 1.1, section 2.
 *
 * A plugin is a program of the administrator's that runs as the engine does: as root, in the host's namespaces. It has a session and a
 * process group of its own, so that all of it can be ended; what it prints is bounded. It is noted before it gets its configuration,
 * without which it does nothing: whenever the engine is killed, the next one finds it.
 */
import { accessSync, constants, statSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../lib/errors.ts";
import { printable } from "../../lib/printable.ts";
import { NetworkError } from "../errors.ts";
import { type JsonObject, parseJson } from "./json.ts";
import { parsePluginError } from "./result.ts";
import { killGroup, noteRunning } from "./running.ts";

export type Command = "ADD" | "DEL" | "CHECK" | "GC" | "STATUS" | "VERSION";

/** What an attachment is to plugins. */
export interface AttachmentParameters {
  readonly containerId: string;
  /** A path; "" once the namespace is gone. */
  readonly netns: string;
  readonly ifname: string;
  /** "FOO=BAR;ABC=123" */
  readonly args: string;
}

export interface PluginHost {
  /** Directories of programs: the first that has one counts. */
  readonly binDirs: readonly string[];
  /** How long a plugin may take, in milliseconds. */
  readonly timeoutMs: number;
  /** Where running plugins are noted: a directory of the engine's alone. */
  readonly running: string;
  log(message: string): void;
}

/** `pluginCode` is the specification's, null where the plugin gave none. */
export class PluginFailed extends NetworkError {
  readonly pluginCode: number | null;

  constructor(message: string, pluginCode: number | null = null) {
    super("network_failed", message);
    this.pluginCode = pluginCode;
  }
}

/** Of standard output, in bytes; a result with a hundred addresses has 10 KiB. */
const MOST_OUTPUT = 1024 * 1024;
/** Of standard error so much is kept and logged; the rest is read and dropped. */
const MOST_LOG = 16 * 1024;
/** How long output is waited for that others than the plugin itself hold open, in milliseconds, and for one that was killed to go. */
const GRACE_MS = 1000;

/** @throws PluginFailed */
export function findPlugin(type: string, binDirs: readonly string[]): string {
  let unusable = "";
  for (const directory of binDirs) {
    const path = join(directory, type);
    try {
      if (!statSync(path).isFile()) throw new Error("a directory, or a device");
      accessSync(path, constants.X_OK);
      return path;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT" || code === "ENOTDIR") continue;
      unusable ||= `; ${path} is ${code === "EACCES" ? "not executable" : messageOf(error)}`;
    }
  }
  throw new PluginFailed(
    `CNI plugin ${type} is not in ${binDirs.join(", ")}${unusable}: install it (Debian: containernetworking-plugins), or name its directory with engine start --cni-bin-dir`,
  );
}

/** Reads a stream to its end and keeps at most `most` bytes; `overflow` is called when there are more. */
function collect(stream: ReadableStream<Uint8Array>, most: number, overflow: () => void) {
  const reader = stream.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  const drain = async (): Promise<void> => {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      if (size < most) chunks.push(next.value.subarray(0, most - size));
      size += next.value.length;
      if (size > most) overflow();
    }
  };
  return {
    done: drain().catch(() => {}),
    stop: () => void reader.cancel().catch(() => {}),
    text: () => Buffer.concat(chunks).toString("utf8"),
  };
}

function environment(
  command: Command,
  binDirs: readonly string[],
  parameters: AttachmentParameters | null,
): Record<string, string> {
  const inherited = Object.entries(process.env).filter(([name, value]) => value !== undefined && !name.startsWith("CNI_"));
  return {
    ...(Object.fromEntries(inherited) as Record<string, string>),
    CNI_COMMAND: command,
    CNI_PATH: binDirs.join(":"),
    ...(parameters === null
      ? {}
      : {
          CNI_CONTAINERID: parameters.containerId,
          CNI_NETNS: parameters.netns,
          CNI_IFNAME: parameters.ifname,
          CNI_ARGS: parameters.args,
        }),
  };
}

interface Ended {
  readonly stdout: string;
  readonly stderr: string;
  /** "exit code 1", "SIGKILL"; null: well. */
  readonly failure: string | null;
}

async function execute(host: PluginHost, path: string, env: Record<string, string>, input: string): Promise<Ended> {
  const child = Bun.spawn([path], { cwd: "/", env, detached: true, stdin: "pipe", stdout: "pipe", stderr: "pipe" });
  const forget = noteRunning(host.running, child.pid);
  let killed: string | null = null;
  const end = (why: string): void => {
    killed ??= why;
    killGroup(child.pid);
  };
  const timer = setTimeout(() => end(`took more than ${host.timeoutMs / 1000} s and was killed`), host.timeoutMs);
  const stdout = collect(child.stdout, MOST_OUTPUT, () => end(`printed more than ${MOST_OUTPUT / 1024} KiB and was killed`));
  const stderr = collect(child.stderr, MOST_LOG, () => {});
  const outputs = Promise.all([stdout.done, stderr.done]);
  try {
    // one that reads nothing is to be known by its exit code
    const fed = Promise.resolve(child.stdin.write(input)).then(() => child.stdin.end());
    fed.catch(() => {});
    await child.exited;
    await Promise.race([outputs, Bun.sleep(GRACE_MS)]);
    if (killed !== null) killGroup(child.pid);
    const failure = killed ?? (child.exitCode === 0 ? null : `ended with ${child.signalCode ?? `exit code ${child.exitCode}`}`);
    return { stdout: stdout.text(), stderr: stderr.text(), failure };
  } finally {
    clearTimeout(timer);
    stdout.stop();
    stderr.stop();
    forget();
  }
}

/** Undefined for what is no JSON. */
function jsonOf(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

/**
 * Runs a plugin and returns what it printed, as text.
 * @throws PluginFailed in the plugin's own words, where it has some
 */
export async function runPlugin(
  host: PluginHost,
  {
    type,
    command,
    config,
    parameters,
  }: {
    readonly type: string;
    readonly command: Command;
    readonly config: JsonObject;
    readonly parameters: AttachmentParameters | null;
  },
): Promise<string> {
  const path = findPlugin(type, host.binDirs);
  const what = `CNI plugin ${type} (${command})`;
  let ended: Ended;
  try {
    ended = await execute(host, path, environment(command, host.binDirs, parameters), JSON.stringify(config));
  } catch (error) {
    throw new PluginFailed(`${what}: ${path} cannot be run: ${messageOf(error)}`);
  }
  const { stdout, stderr, failure } = ended;
  for (const line of stderr.split("\n").filter((text) => text.trim() !== "")) host.log(`${what}: ${printable(line, 1000)}`);
  if (failure === null) return stdout;
  const error = parsePluginError(jsonOf(stdout));
  if (error === null) {
    const said = printable(stderr) || printable(stdout);
    throw new PluginFailed(`${what} ${failure}${said === "" ? "" : `: ${said}`}`);
  }
  const words = [error.msg, error.details].filter((text) => text !== "").map((text) => printable(text, 500));
  throw new PluginFailed(`${what}: ${words.join("; ") || "no reason given"} (code ${error.code})`, error.code);
}
