/** Runs command lines of `onggi-runtime` in this process, against a runtime that notes down what it is asked. */
import { runtimeMain } from "../src/cli/runtime/main.ts";
import { OnggiError } from "../src/lib/errors.ts";
import { defaultSpec } from "../src/standalone/default-spec.ts";
import type { OciRuntime, RuntimeOptions, State } from "../src/standalone/types.ts";

export interface World {
  env?: Record<string, string>;
  cwd?: string;
  uid?: number;
  stdin?: string;
  /** What the runtime does otherwise than succeed. */
  runtime?: Partial<OciRuntime>;
}

export interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
  /** Operations with their arguments, without the queries. */
  calls: [name: string, ...args: unknown[]][];
  /** What the runtime was opened with; undefined if it was not. */
  options: RuntimeOptions | undefined;
}

export const stateOf = (id: string, more: Partial<State> = {}): State => ({
  ociVersion: "1.0.2",
  id,
  pid: 4711,
  status: "running",
  bundle: "/bundle",
  rootfs: "/bundle/rootfs",
  created: "2024-05-06T07:08:09.123456789Z",
  owner: "root",
  ...more,
});

export const fail =
  (code: string, message = code) =>
  async (): Promise<never> => {
    throw new OnggiError(code, message);
  };

/** Knows one container, "c1"; an operation on another is `container_not_found`. */
function recording(calls: Outcome["calls"], replaced: Partial<OciRuntime>): OciRuntime {
  const note = async (name: string, ...args: unknown[]): Promise<void> => {
    calls.push([name, ...args]);
  };
  const known = (id: string) => {
    if (id !== "c1") throw new OnggiError("container_not_found", `no container ${id}`);
  };
  return {
    create: (options) => note("create", options),
    start: (id) => note("start", id),
    run: async (options) => {
      await note("run", options);
      return 7;
    },
    exec: async (options) => {
      await note("exec", options);
      return 9;
    },
    kill: (id, signal, all) => note("kill", id, signal, all),
    delete: (id, force) => note("delete", id, force),
    state: async (id) => {
      known(id);
      return stateOf(id);
    },
    list: async () => [stateOf("c1")],
    processes: async (id) => {
      known(id);
      return [process.pid];
    },
    pause: (id) => note("pause", id),
    resume: (id) => note("resume", id),
    update: (id, ...args) => note("update", id, ...args),
    stats: async (id) => {
      known(id);
      return { pids: { current: 1 } };
    },
    watchOom: async () => {},
    checkpoint: (options) => note("checkpoint", options),
    restore: async (options) => {
      await note("restore", options);
      return 5;
    },
    ...replaced,
  };
}

export async function runtimeCommand(args: readonly string[], world: World = {}): Promise<Outcome> {
  const { env = {}, cwd = "/jars", uid = 0, stdin = "", runtime = {} } = world;
  const outcome: Outcome = { status: -1, stdout: "", stderr: "", calls: [], options: undefined };
  outcome.status = await runtimeMain(args, {
    runtime: async (options) => {
      outcome.options = options;
      return recording(outcome.calls, runtime);
    },
    facts: async () => ({ features: () => ({ ociVersionMin: "1.0.0" }), defaultSpec }),
    version: "1.2.3",
    stdout: (text) => {
      outcome.stdout += text;
    },
    stderr: (text) => {
      outcome.stderr += text;
    },
    stdin: async () => stdin,
    env,
    cwd,
    uid,
  });
  return outcome;
}

/** The message of a text log line. */
export const messageIn = (stderr: string): string | undefined => /level=error msg="?(.*?)"?\n$/.exec(stderr)?.[1];
