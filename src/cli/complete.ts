import type { Caller } from "../api/control/client.ts";
import { define } from "./command.ts";
import { composeFlags, type Globals } from "./compose/flags.ts";
import { type Context, line } from "./context.ts";
import type { Named } from "./flags.ts";

/** What there is, by name, for a shell to complete with: `completion.ts` makes the scripts that call this. */

/** Milliseconds that somebody who has pressed Tab waits. */
const PATIENCE = 1000;

const containers = async (call: Caller, signal: AbortSignal, all: boolean): Promise<string[]> =>
  (await call("list", { all }, {}, signal)).containers.flatMap(({ names }) => names);

const listers: Readonly<Record<Named, (context: Context, signal: AbortSignal, globals: Globals) => Promise<string[]>>> = {
  container: ({ callRunning }, signal) => containers(callRunning, signal, true),
  running: ({ callRunning }, signal) => containers(callRunning, signal, false),
  image: async ({ callRunning }, signal) => (await callRunning("images", {}, {}, signal)).images.flatMap(({ names }) => names),
  network: async ({ callRunning }, signal) => (await callRunning("networkList", {}, {}, signal)).networks.map(({ name }) => name),
  volume: async ({ callRunning }, signal) => (await callRunning("volumes", {}, {}, signal)).volumes.map(({ name }) => name),
  async context({ env }) {
    const { DEFAULT } = await import("../contexts/contexts.ts");
    const { ContextStore } = await import("./context-store.ts");
    return [DEFAULT, ...new ContextStore(env).names()];
  },
  async service(context, _, globals) {
    const { loadProject } = await import("./compose/project.ts");
    const quiet = { ...context, stderr: { write: async () => {} } };
    const { services, disabled } = await loadProject(quiet, globals, []);
    return [...Object.keys(services), ...Object.keys(disabled)];
  },
};

const isNamed = (kind: string): kind is Named => Object.hasOwn(listers, kind);

/** One name a line. Starts no engine, and says nothing where nothing is found in time. */
export const command = define({
  usage: "[flags of compose] KIND",
  summary: "print names to complete with",
  flags: composeFlags,
  args: [1, 1],
  examples: [["__complete container", "names of containers"]],
  async run(context, globals, [kind = ""]) {
    if (!isNamed(kind)) return 1;
    const signal = AbortSignal.timeout(PATIENCE);
    const late = new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    try {
      const names = await Promise.race([listers[kind](context, signal, globals), late]);
      if (names.length > 0) await line(context.stdout, [...new Set(names)].sort().join("\n"));
      return 0;
    } catch {
      return 1;
    }
  },
});
