/** Hooks that run on the host (config.md, "POSIX-platform Hooks"). */
import { messageOf } from "../lib/errors.ts";
import type { Hook, Hooks } from "../oci/spec.ts";
import { checkHookEnd, hookCall, hookFailed, hookState } from "../runtime/hooks.ts";
import type { ContainerRecord } from "./directory.ts";
import type { Status } from "./types.ts";

/** Runs hooks in their order. Throws OnggiError `hook_failed` for the first that fails. */
export function runHooks(kind: keyof Hooks, record: ContainerRecord, status: Status, pid: number): void {
  const hooks = record.spec.hooks?.[kind] ?? [];
  if (hooks.length === 0) return;
  const state = Buffer.from(JSON.stringify(hookState(record, status, pid)));
  for (const [index, hook] of hooks.entries()) runHook(`${kind}[${index}]`, hook, state, record.bundle);
}

function runHook(name: string, hook: Hook, state: Buffer, cwd: string): void {
  let result: Bun.SyncSubprocess<"pipe", "pipe">;
  try {
    result = Bun.spawnSync({ ...hookCall(hook, cwd), stdin: state, stdout: "pipe", stderr: "pipe" });
  } catch (error) {
    throw hookFailed(name, hook.path, messageOf(error));
  }
  const { exitCode, signalCode = null, exitedDueToTimeout: late = false } = result;
  checkHookEnd(name, hook, { exitCode, signalCode, late, output: `${result.stdout}${result.stderr}` });
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
