import { EngineUnreachable } from "../api/control/client.ts";
import { OnggiError } from "../lib/errors.ts";
import { define } from "./command.ts";
import { type Context, isRemote, line } from "./context.ts";

const PATIENCE_MS = 10_000;

export const command = define({
  usage: "",
  summary: "stop the engine; containers run on",
  flags: {},
  args: [0, 0],
  examples: [["engine stop", "the next command starts another one"]],
  async run(context) {
    const pid = await shutdown(context);
    if (pid === undefined) {
      await line(context.stderr, "no engine runs");
      return 0;
    }
    const deadline = Date.now() + PATIENCE_MS;
    // of another host's processes nothing is known but that it has taken the call
    while (!isRemote(context) && alive(pid)) {
      if (Date.now() > deadline)
        throw new OnggiError("engine_busy", `the engine (pid ${pid}) still runs; kill -9 ${pid} is safe`);
      await Bun.sleep(10);
    }
    return 0;
  },
});

/** The pid of the engine that was told to stop; undefined if there is none. */
async function shutdown(context: Context): Promise<number | undefined> {
  try {
    const { pid } = await context.callRunning("ping", {});
    await context.callRunning("shutdown", {});
    return pid;
  } catch (error) {
    if (error instanceof EngineUnreachable && error.reason !== "EACCES") return undefined;
    throw error;
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
