/**
 * Hooks of containers that the engine makes itself; devices of CDI bring them. Those that run in the container are in its plan, the
 * others run here: prestart and createRuntime when the process has been set up and before its program is run, poststart after that,
 * poststop when it has ended. For all of them the container's directory is the bundle, with a config.json while it runs.
 */
import { chownSync, existsSync, readFileSync, readSync, rmSync, writeFileSync } from "node:fs";
import { messageOf } from "../lib/errors.ts";
import type { Hook, Hooks, Spec } from "../oci/spec.ts";
import { checkHookEnd, type Hooked, hookCall, hookFailed, hookState } from "../runtime/index.ts";
import { close, ftruncate, memfd, writeAll } from "../sys/index.ts";
import type { Context } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { rangeOf } from "./idmap.ts";
import { containerPaths } from "./layout.ts";
import { runtimePaths } from "./runtime-command.ts";

/** Of what a hook has written, what is shown. */
const MOST_OUTPUT = 4096;

/** Of one run. Undefined where there are none, and where another runtime runs them. Makes nothing but a descriptor. */
export function hooksOf(context: Context, record: ContainerRecord, spec: Spec): ContainerHooks | undefined {
  const some = Object.values(spec.hooks ?? {}).some((hooks) => hooks.length > 0);
  return some && !record.runtime ? new ContainerHooks(context, record, spec) : undefined;
}

export class ContainerHooks {
  /** The file that the hooks in the container read. */
  readonly state: number;
  readonly #context: Context;
  readonly #record: ContainerRecord;
  readonly #hooked: Hooked;

  constructor(context: Context, record: ContainerRecord, spec: Spec) {
    this.#context = context;
    this.#record = record;
    const path = record.request.rootfs ?? containerPaths(context.layout, record.id).mountpoint;
    const bundle = runtimePaths(context, record).directory;
    this.#hooked = { id: record.id, bundle, spec: { ...spec, root: { ...spec.root, path } } };
    this.state = memfd("onggi-state");
    this.#say("creating", 0);
  }

  /** Readable for the container's root, who runs hooks of a container with a user namespace. */
  writeBundle(): void {
    const { config } = runtimePaths(this.#context, this.#record);
    rmSync(config, { force: true });
    writeFileSync(config, JSON.stringify(this.#hooked.spec), { mode: 0o400 });
    const owner = this.#record.slot === null ? 0 : rangeOf(this.#record.slot).hostId;
    if (owner !== 0) chownSync(config, owner, owner);
  }

  /** Throws "hook_failed". */
  async created(pid: number): Promise<void> {
    await runHooks("prestart", this.#hooked, "creating", pid);
    await runHooks("createRuntime", this.#hooked, "creating", pid);
    this.#say("created", pid);
  }

  /** What fails is logged: the container runs. */
  async started(pid: number): Promise<void> {
    await runHooks("poststart", this.#hooked, "running", pid, this.#context.log);
  }

  close(): void {
    close(this.state);
  }

  #say(status: string, pid: number): void {
    ftruncate(this.state, 0);
    writeAll(this.state, JSON.stringify(hookState(this.#hooked, status, pid)), 0);
  }
}

/** The hooks for a container's end, also of a run that an earlier engine has begun. Idempotent; never throws. */
export async function afterStop(context: Context, record: ContainerRecord): Promise<void> {
  const { directory, config } = runtimePaths(context, record);
  if (record.runtime || !existsSync(config)) return;
  try {
    const spec = JSON.parse(readFileSync(config, "utf8")) as Spec;
    await runHooks("poststop", { id: record.id, bundle: directory, spec }, "stopped", 0, context.log);
  } catch (error) {
    context.log(`poststop hooks of ${record.id}: ${messageOf(error)}`);
  }
  rmSync(config, { force: true });
}

/** In their order. Without `warn` throws for the first that fails; with it all are run. */
async function runHooks(
  kind: keyof Hooks,
  hooked: Hooked,
  status: string,
  pid: number,
  warn?: (message: string) => void,
): Promise<void> {
  const state = Buffer.from(JSON.stringify(hookState(hooked, status, pid)));
  for (const [index, hook] of (hooked.spec.hooks?.[kind] ?? []).entries()) {
    try {
      await runHook(`${kind}[${index}]`, hook, state, hooked.bundle);
    } catch (error) {
      if (!warn) throw error;
      warn(`container ${hooked.id}: ${messageOf(error)}`);
    }
  }
}

async function runHook(name: string, hook: Hook, state: Buffer, cwd: string): Promise<void> {
  // a file, not a pipe: what it leaves running must not hold its end back
  const output = memfd("onggi-hook");
  try {
    const began = performance.now();
    const { call, child } = start();
    const exitCode = await child.exited;
    const late = child.signalCode === "SIGKILL" && "timeout" in call && performance.now() - began >= call.timeout;
    const text = Buffer.alloc(MOST_OUTPUT);
    const length = readSync(output, text, 0, MOST_OUTPUT, 0);
    checkHookEnd(name, hook, { exitCode, signalCode: child.signalCode, late, output: text.toString("utf8", 0, length) });
  } finally {
    close(output);
  }

  function start() {
    const call = hookCall(hook, cwd);
    try {
      return { call, child: Bun.spawn({ ...call, stdin: state, stdout: output, stderr: output }) };
    } catch (error) {
      throw hookFailed(name, hook.path, messageOf(error));
    }
  }
}
