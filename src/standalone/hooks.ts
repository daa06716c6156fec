/** Hooks that run on the host, and the state that every hook reads (config.md, "POSIX-platform Hooks"). */
import { messageOf, OnggiError } from "../lib/errors.ts";
import type { Hook, Hooks } from "../oci/spec.ts";
import type { ContainerRecord } from "./directory.ts";
import type { Status } from "./types.ts";

/** The state as hooks and seccomp agents get it (runtime.md, "State"). */
export const hookState = ({ spec, id, bundle }: ContainerRecord, status: Status, pid: number) => ({
  ociVersion: spec.ociVersion,
  id,
  status,
  ...(pid > 0 ? { pid } : {}),
  bundle,
  ...(spec.annotations ? { annotations: spec.annotations } : {}),
});

/** Runs hooks in their order. Throws OnggiError `hook_failed` for the first that fails. */
export function runHooks(kind: keyof Hooks, record: ContainerRecord, status: Status, pid: number): void {
  const hooks = record.spec.hooks?.[kind] ?? [];
  if (hooks.length === 0) return;
  const state = Buffer.from(JSON.stringify(hookState(record, status, pid)));
  for (const [index, hook] of hooks.entries()) runHook(`${kind}[${index}]`, hook, state, record.bundle);
}

function runHook(name: string, { path, args, env = [], timeout }: Hook, state: Buffer, cwd: string): void {
  const failed = (what: string) => new OnggiError("hook_failed", `error running ${name} hook ${path}: ${what}`);
  let result: Bun.SyncSubprocess<"pipe", "pipe">;
  try {
    result = Bun.spawnSync({
      cmd: [path, ...(args ?? []).slice(1)],
      argv0: args?.[0] ?? path,
      env: Object.fromEntries(env.map((entry) => splitVariable(entry))),
      cwd,
      stdin: state,
      stdout: "pipe",
      stderr: "pipe",
      ...(timeout === undefined ? {} : { timeout: timeout * 1000, killSignal: "SIGKILL" }),
    });
  } catch (error) {
    throw failed(messageOf(error));
  }
  if (result.success) return;
  if (result.exitedDueToTimeout) throw failed(`it was killed after ${timeout} s`);
  const output = `${result.stdout}${result.stderr}`.trim();
  const how = result.signalCode ? `it was ended by ${result.signalCode}` : `exit status ${result.exitCode}`;
  throw failed(output === "" ? how : `${how}, output: ${output}`);
}

function splitVariable(entry: string): [string, string] {
  const equals = entry.indexOf("=");
  return equals < 0 ? [entry, ""] : [entry.slice(0, equals), entry.slice(equals + 1)];
}

/** Runs hooks whose failure changes nothing any more; tells `warn`. */
export function tryHooks(
  kind: "poststart" | "poststop",
  record: ContainerRecord,
  status: Status,
  pid: number,
  warn: (message: string) => void,
): void {
  for (const hook of record.spec.hooks?.[kind] ?? []) {
    try {
      runHooks(kind, { ...record, spec: { ...record.spec, hooks: { [kind]: [hook] } } }, status, pid);
    } catch (error) {
      warn(messageOf(error));
    }
  }
}
