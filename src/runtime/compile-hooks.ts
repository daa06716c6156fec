/**
 * Hooks that run in the container (config.md, "POSIX-platform Hooks"): createContainer before its root is entered, so that a
 * path still is the host's; startContainer just before the program, where a path is the container's.
 *
 * The other hooks run on the host, by whoever carries the plan out: it stops at `mounted` for them.
 */
import type { Hook } from "../oci/spec.ts";
import { event, reg } from "../plan/ops.ts";
import { SIG } from "../sys/constants.ts";
import type { Writer } from "./compile-builder.ts";
import type { Context } from "./compile-context.ts";
import { compileParentDeath } from "./compile-process.ts";

/** Somebody has to do something about the process, as the host sees it, before it does anything. */
export function compileBornStop({ child, input }: Context): void {
  if (!input.standalone?.stopWhenBorn) return;
  child.about("handshake", "tell the runtime that the process is there, and wait until it has been placed");
  child.do({ kind: "notify", event: event.born }).do({ kind: "await" });
}

/** Somebody has to do something between the mounts and the entry of the root. */
export function compileMountedStop({ child, input }: Context): void {
  if (!input.standalone?.stopWhenMounted) return;
  // a change of the user has taken it back
  compileParentDeath(child, SIG.SIGKILL);
  child.about("handshake", "mounted: tell the runtime, and wait until it has run its hooks");
  child.do({ kind: "notify", event: event.mounted }).do({ kind: "await" });
}

export function compileHooks({ child, input, spec }: Context, kind: "createContainer" | "startContainer"): void {
  const hooks = spec.hooks?.[kind] ?? [];
  const state = input.hookState;
  if (state === undefined) return;
  for (const hook of hooks) compileHook(child, hook, kind, reg.passed + state);
}

function compileHook(child: Writer, { path, args, env = [], timeout = 0 }: Hook, kind: string, state: number): void {
  child.about("process", `run the ${kind} hook ${path}`);
  // seconds in the specification
  child.do({ kind: "runHook", path, argv: args && args.length > 0 ? args : [path], envp: env, state, timeout: timeout * 1000 });
}
