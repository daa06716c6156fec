/**
 * `onggi-runtime`, the OCI runtime's command line: runc's, flag by flag, so that whoever calls runc can call it instead. One
 * command is one file; a command and what it needs are loaded when it is called, because most of the time of a call is
 * starting up.
 */
import { absolute, type Call, type Command, type RuntimePorts } from "./command.ts";
import { loadCommand } from "./commands.ts";
import type { LogConfig } from "./log.ts";
import { type Flags, parseBool, parseFlags, UsageError, type Values } from "./parse.ts";

export type { RuntimePorts } from "./command.ts";

const globalFlags = {
  debug: { kind: "bool", help: "log more" },
  log: { kind: "string", help: "file that messages are appended to, besides standard error" },
  "log-format": { kind: "string", help: 'text or json (default: "text")' },
  root: { kind: "string", help: "directory of the containers' states, on a tmpfs at best" },
  criu: { kind: "string", help: "accepted for old callers: criu is found in $PATH", hidden: true },
  "systemd-cgroup": { kind: "bool", help: 'let systemd make the cgroups; cgroupsPath is then "slice:prefix:name"' },
  rootless: { kind: "string", help: 'do without cgroups that may not be made: true, false or auto (default: "auto")' },
  version: { kind: "bool", short: "v", help: "print the version" },
} as const satisfies Flags;

type Globals = Values<typeof globalFlags>;

/** Status of a command that does not exist, as runc's. */
const UNKNOWN_COMMAND = 3;

/** Runs one command line and resolves with the exit status. Never rejects. */
export async function runtimeMain(args: readonly string[], ports: RuntimePorts): Promise<number> {
  let log: LogConfig = { format: "text" };
  const fail = async (message: string, status: number) => {
    (await import("./log.ts")).writeFailure(ports, log, message);
    return status;
  };
  let globals: Globals;
  let words: readonly string[];
  try {
    const parsed = parseFlags(globalFlags, args, false);
    globals = parsed.values;
    words = parsed.args;
    if (parsed.help) return printHelp(ports);
    if (globals.version) return printVersion(ports);
    if (globals.root !== undefined && rootOf(globals.root, ports) === "/")
      return fail("Option --root argument should not be set to /", 1);
    log = logOf(globals, ports);
  } catch (error) {
    if (!(error instanceof UsageError)) return fail((error as Error).message, 1);
    ports.stdout(`Incorrect Usage. ${error.message}\n\n`);
    await printHelp(ports);
    return fail(error.message, 1);
  }
  const [name = "help", ...rest] = words;
  const command = await loadCommand(name);
  if (command) return runCommand(name, command, rest, globals, log, ports);
  const topic = name === "help" || name === "h" ? rest[0] : name;
  if (topic === undefined) return printHelp(ports);
  const known = topic === name ? undefined : await loadCommand(topic);
  if (!known) return fail(`No help topic for '${topic}'`, UNKNOWN_COMMAND);
  ports.stdout((await import("./help.ts")).commandHelp(topic, known));
  return 0;
}

async function runCommand(
  name: string,
  command: Command,
  words: readonly string[],
  globals: Globals,
  log: LogConfig,
  ports: RuntimePorts,
): Promise<number> {
  let failure = { prefix: "", status: 1 };
  const warnings: string[] = [];
  try {
    const { values, args, help } = parseCommand(name, command, words);
    if (help) {
      ports.stdout((await import("./help.ts")).commandHelp(name, command));
      return 0;
    }
    failure = command.failure ?? failure;
    const call: Call<Flags> = {
      values,
      args,
      ports,
      runtime: async () =>
        ports.runtime(
          {
            root: await stateRoot(globals, ports),
            systemdCgroup: globals["systemd-cgroup"] === true,
            rootless: rootlessOf(globals.rootless),
          },
          (message) => warnings.push(message),
        ),
      log: async (level, message) => (await import("./log.ts")).writeLog(ports, log, level, message),
    };
    const status = await command.run(call);
    for (const message of warnings) await call.log("warning", message);
    return status;
  } catch (error) {
    const { writeFailure, writeLog } = await import("./log.ts");
    const { wordsOf } = await import("./errors.ts");
    if (error instanceof UsageError) {
      const heading = error instanceof WrongCount ? "Incorrect Usage." : `Incorrect Usage: ${error.message}`;
      ports.stdout(`${heading}\n\n${(await import("./help.ts")).commandHelp(name, command)}`);
    }
    if (globals.debug) writeLog(ports, log, "debug", error instanceof Error ? (error.stack ?? error.message) : String(error));
    writeFailure(ports, log, failure.prefix + wordsOf(error, name));
    return failure.status;
  }
}

/** Too few or too many arguments; the heading of the help does not say so. */
class WrongCount extends UsageError {}

function parseCommand(name: string, command: Command, words: readonly string[]) {
  const parsed = parseFlags(command.flags, words, !command.flagsFirst);
  if (parsed.help) return parsed;
  const [min, max] = command.arity;
  const count = parsed.args.length;
  if (count >= min && count <= max) return parsed;
  const wanted = min === max ? `exactly ${min}` : count < min ? `a minimum of ${min}` : `a maximum of ${max}`;
  throw new WrongCount(`onggi-runtime: "${name}" requires ${wanted} argument(s)`);
}

const rootOf = (given: string, ports: RuntimePorts): string => absolute(ports.cwd, given || ".")!;

function logOf(globals: Globals, ports: RuntimePorts): LogConfig {
  const format = globals["log-format"] || "text";
  if (format !== "text" && format !== "json") throw new Error(`invalid log-format: ${format}`);
  return { format, file: absolute(ports.cwd, globals.log) };
}

function rootlessOf(given: string | undefined): boolean | "auto" {
  if (!given || given.toLowerCase() === "auto") return "auto";
  const value = parseBool(given);
  if (value === undefined) throw new Error(`strconv.ParseBool: parsing ${JSON.stringify(given)}: invalid syntax`);
  return value;
}

/** The states' directory: as given, else below $XDG_RUNTIME_DIR for a user who is not the host's root, else below /run. */
async function stateRoot(globals: Globals, ports: RuntimePorts): Promise<string> {
  if (globals.root !== undefined) return rootOf(globals.root, ports);
  const { XDG_RUNTIME_DIR: runtimeDir, USER: user } = ports.env;
  if (!runtimeDir || (ports.uid === 0 && (user === "root" || !(await inUserNamespace())))) return "/run/onggi-runtime";
  const { chmodSync, mkdirSync } = await import("node:fs");
  const root = `${runtimeDir}/onggi-runtime`;
  mkdirSync(root, { recursive: true, mode: 0o700 });
  // the sticky bit keeps it from being cleaned up as stale (XDG base directory specification)
  chmodSync(root, 0o1700);
  return root;
}

/** True unless every id is mapped to itself, user_namespaces(7). */
async function inUserNamespace(): Promise<boolean> {
  try {
    const fields = (await Bun.file("/proc/self/uid_map").text()).trim().split(/\s+/);
    return fields.join(" ") !== "0 0 4294967295";
  } catch {
    return false;
  }
}

async function printHelp(ports: RuntimePorts): Promise<number> {
  ports.stdout(await (await import("./help.ts")).programHelp(globalFlags, ports.version));
  return 0;
}

function printVersion(ports: RuntimePorts): number {
  ports.stdout(`onggi-runtime version ${ports.version}\nspec: 1.3.0\n`);
  return 0;
}
