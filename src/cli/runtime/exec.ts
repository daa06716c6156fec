import type { Process } from "../../oci/spec.ts";
import type { ExecOptions, ExecOverrides } from "../../standalone/types.ts";
import { absolute, type Call, command, containerOf, defined } from "./command.ts";
import type { Flags } from "./parse.ts";

const execFlags = {
  "console-socket": { kind: "string", help: "unix socket that is sent the terminal's master" },
  "pidfd-socket": { kind: "string", help: "unix socket that is sent a pidfd of the process" },
  cwd: { kind: "string", help: "working directory in the container" },
  env: { kind: "list", short: "e", help: "set an environment variable, NAME=VALUE" },
  tty: { kind: "bool", short: "t", help: "give the process a terminal" },
  user: { kind: "string", short: "u", help: "user id, or user and group id: UID[:GID]" },
  "additional-gids": { kind: "ints", short: "g", help: "one more group id" },
  process: { kind: "string", short: "p", help: "file with the process as JSON, in the shape of config.json's" },
  detach: { kind: "bool", short: "d", help: "do not wait for the process" },
  "pid-file": { kind: "string", help: "file that the pid is written to" },
  "process-label": { kind: "string", help: "SELinux label of the process" },
  apparmor: { kind: "string", help: "AppArmor profile of the process" },
  "no-new-privs": { kind: "bool", help: "let the process gain no privileges" },
  cap: { kind: "list", short: "c", help: "one more capability for the process" },
  "preserve-fds": { kind: "int", help: "pass on this many descriptors after stdio" },
  cgroup: { kind: "list", help: "run in an existing cgroup below the container's: [CONTROLLER[,CONTROLLER]:]PATH" },
  "ignore-paused": { kind: "bool", help: "do it in a paused container too" },
} as const satisfies Flags;

export const exec = command({
  summary: "run another process in a container",
  operands: "<container-id> <command> [command options]  || -p process.json <container-id>",
  description: "What is not said by flags or the file is as for the container's own program.",
  flags: execFlags,
  arity: [1, Number.POSITIVE_INFINITY],
  flagsFirst: true,
  failure: { prefix: "exec failed: ", status: 255 },
  async run(call) {
    const options = await execOptionsOf(call);
    return (await call.runtime()).exec(options);
  },
});

async function execOptionsOf(call: Call<typeof execFlags>): Promise<ExecOptions> {
  const { values, ports } = call;
  const path = (given: string | undefined) => absolute(ports.cwd, given);
  const process = values.process ? await readProcess(path(values.process)!) : undefined;
  const overrides = process ? undefined : overridesOf(call);
  checkTerminal((process ?? overrides)?.terminal === true, values.detach === true, Boolean(values["console-socket"]));
  checkCgroups(values.cgroup ?? []);
  return {
    id: containerOf(call),
    ...defined({
      process,
      overrides,
      detach: values.detach,
      consoleSocket: path(values["console-socket"]),
      pidfdSocket: path(values["pidfd-socket"]),
      pidFile: path(values["pid-file"]),
      preserveFds: Math.max(0, values["preserve-fds"] ?? 0) || undefined,
      cgroups: values.cgroup,
      ignorePaused: values["ignore-paused"],
    }),
  };
}

async function readProcess(file: string): Promise<Process> {
  const text = await Bun.file(file).text();
  return (await import("../../oci/parts.ts")).parseProcess(text);
}

function overridesOf({ values, args }: Call<typeof execFlags>): ExecOverrides {
  if (args.length < 2) throw new Error("exec args cannot be empty");
  if (values.cwd && !values.cwd.startsWith("/")) throw new Error("Cwd must be an absolute path");
  const negative = values["additional-gids"]?.find((gid) => gid < 0);
  if (negative !== undefined) throw new Error(`additional-gids must be a positive number ${negative}`);
  return {
    args: args.slice(1),
    // as runc: the container's own terminal does not count
    terminal: values.tty === true,
    ...defined({
      cwd: values.cwd || undefined,
      env: values.env,
      user: values.user ? userOf(values.user) : undefined,
      additionalGids: values["additional-gids"],
      capabilities: values.cap,
      noNewPrivileges: values["no-new-privs"],
      apparmorProfile: values.apparmor || undefined,
      selinuxLabel: values["process-label"] || undefined,
    }),
  };
}

function userOf(text: string): { uid: number; gid?: number } {
  const colon = text.indexOf(":");
  const gid = colon < 0 ? undefined : idOf(text.slice(colon + 1), "gid");
  const uid = idOf(colon < 0 ? text : text.slice(0, colon), "uid");
  return { uid, ...defined({ gid }) };
}

/** 2^32 - 1 is "no id" for the kernel. */
function idOf(text: string, what: string): number {
  if (!/^\+?\d+$/.test(text)) throw new Error(`bad ${what}: strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
  if (Number(text) > 2 ** 32 - 2)
    throw new Error(`bad ${what}: strconv.Atoi: parsing ${JSON.stringify(text)}: value out of range`);
  return Number(text);
}

/** A detached process's terminal needs somebody to take its master, and nobody else's does. */
function checkTerminal(terminal: boolean, detach: boolean, socket: boolean): void {
  if (detach && terminal && !socket)
    throw new Error("cannot allocate tty if onggi-runtime will detach without setting console socket");
  if (socket && !(detach && terminal))
    throw new Error("cannot use console socket if onggi-runtime will not detach or allocate tty");
}

/** Either one path alone, or each controller at most once. */
function checkCgroups(cgroups: readonly string[]): void {
  const seen = new Set<string>();
  for (const cgroup of cgroups) {
    const colon = cgroup.indexOf(":");
    if (colon < 0) {
      if (cgroups.length > 1) throw new Error(`invalid --cgroup argument: ${cgroup} (missing <controller>: prefix)`);
      continue;
    }
    for (const controller of cgroup.slice(0, colon).split(",")) {
      if (controller === "") throw new Error(`invalid --cgroup argument: ${cgroup} (empty <controller> prefix)`);
      if (seen.has(controller))
        throw new Error(`invalid --cgroup argument(s): controller ${controller} specified multiple times`);
      seen.add(controller);
    }
  }
}
