/**
 * Running one CNI plugin: CNI specification 1.1, section 2.
 *
 * A plugin is a program of the administrator's that runs as the engine does: as root, in the host's namespaces. It is noted before it
 * gets its configuration, without which it does nothing: whenever the engine is killed, the next one finds it.
 */
import { accessSync, constants, statSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../lib/errors.ts";
import { printable } from "../../lib/printable.ts";
import { NetworkError } from "../errors.ts";
import { type JsonObject, parseJson } from "./json.ts";
import { type Ended, runProgram } from "./program.ts";
import { parsePluginError } from "./result.ts";

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

/** A result with a hundred addresses has 10 KiB. */
const OUTPUT = { output: 1024 * 1024, errors: 16 * 1024 };

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
    ended = await runProgram(path, {
      env: environment(command, host.binDirs, parameters),
      input: JSON.stringify(config),
      limits: { timeoutMs: host.timeoutMs, ...OUTPUT },
      notes: host.running,
    });
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
