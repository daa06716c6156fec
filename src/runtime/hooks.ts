/** Hooks that run on the host, and the state that every hook reads (config.md, "POSIX-platform Hooks"). */
import { OnggiError } from "../lib/errors.ts";
import type { Hook, Spec } from "../oci/spec.ts";
import { hookStatus } from "../plan/ops.ts";
import { errno, errnoName, errnoText } from "../sys/errno.ts";

/** Whose hooks they are. */
export interface Hooked {
  readonly spec: Spec;
  readonly id: string;
  readonly bundle: string;
}

/** The state as hooks and seccomp agents get it (runtime.md, "State"). */
export const hookState = ({ spec, id, bundle }: Hooked, status: string, pid: number) => ({
  ociVersion: spec.ociVersion,
  id,
  status,
  ...(pid > 0 ? { pid } : {}),
  bundle,
  ...(spec.annotations ? { annotations: spec.annotations } : {}),
});

/** How a hook is called; the state comes on its standard input. */
export const hookCall = ({ path, args, env = [], timeout }: Hook, cwd: string) => ({
  cmd: [path, ...(args ?? []).slice(1)],
  argv0: args?.[0] ?? path,
  env: Object.fromEntries(env.map((entry) => splitVariable(entry))),
  cwd,
  ...(timeout === undefined ? {} : { timeout: timeout * 1000, killSignal: "SIGKILL" as const }),
});

function splitVariable(entry: string): [string, string] {
  const equals = entry.indexOf("=");
  return equals < 0 ? [entry, ""] : [entry.slice(0, equals), entry.slice(equals + 1)];
}

export const hookFailed = (name: string, path: string, what: string): OnggiError =>
  new OnggiError("hook_failed", `error running ${name} hook ${path}: ${what}`);

export interface HookEnd {
  readonly exitCode: number | null;
  readonly signalCode: string | number | null;
  readonly late: boolean;
  /** What it wrote to its standard output and error. */
  readonly output: string;
}

/** Throws OnggiError "hook_failed" for one that has not ended well. */
export function checkHookEnd(name: string, { path, timeout }: Hook, { exitCode, signalCode, late, output }: HookEnd): void {
  if (exitCode === 0) return;
  if (late) throw hookFailed(name, path, `it was killed after ${timeout} s`);
  const how = signalCode ? `it was ended by ${signalCode}` : `exit status ${exitCode}`;
  throw hookFailed(name, path, output.trim() === "" ? how : `${how}, output: ${output.trim()}`);
}

/** What an operation that runs a hook has failed with, in words; `timeout` is in milliseconds. */
export function hookOutcome(timeout: number, error: number): string {
  if (error === errno.ETIMEDOUT) return `it was killed after ${timeout / 1000} s`;
  if (error < hookStatus) return `${errnoName(error)} (${errnoText(error)})`;
  const status = error & 0xffff;
  return (status & 0x7f) === 0 ? `exit status ${status >> 8}` : `it was ended by signal ${status & 0x7f}`;
}
