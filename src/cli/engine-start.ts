import { OnggiError } from "../lib/errors.ts";
import { define } from "./command.ts";
import { type EngineFlags, line } from "./context.ts";
import { UsageError } from "./errors.ts";
import { bool, list, text } from "./flags.ts";

export const command = define({
  usage: "[flags]",
  summary: "start the engine, unless one runs",
  flags: {
    foreground: bool("", "serve in this process until it is told to stop"),
    runtime: list("", "NAME=PATH", "an OCI runtime that containers may name"),
    "default-runtime": text("", "NAME", "OCI runtime of containers that name none (onggi)"),
    "if-absent": bool("", "in the foreground: end quietly when another engine has the data root", { rare: true }),
  },
  args: [0, 0],
  examples: [
    ["engine start --foreground", "for a service manager"],
    ["engine start --runtime kata=/usr/bin/kata-runtime", "for onggi run --runtime kata"],
  ],
  async run(context, values) {
    const flags = engineFlags(values.runtime, values["default-runtime"]);
    if (!values.foreground) {
      const started = await context.startEngine(flags);
      const { pid } = await context.callRunning("ping", {});
      await line(context.stdout, started ? `engine started, pid ${pid}` : `engine runs already, pid ${pid}`);
      if (!started && (values.runtime || values["default-runtime"])) {
        throw new OnggiError("engine_running", "it keeps the runtimes it was started with; stop it first: onggi engine stop");
      }
      return 0;
    }
    try {
      await context.serveEngine(flags);
    } catch (error) {
      if (values["if-absent"] && error instanceof OnggiError && error.code === "engine_running") {
        await line(context.stderr, error.message);
        return 0;
      }
      throw error;
    }
    return 0;
  },
});

/** Throws UsageError. */
function engineFlags(runtimes: readonly string[] = [], defaultRuntime: string | undefined): EngineFlags {
  const named = runtimes.map((given) => {
    const [name = "", path = ""] = given.split(/=(.*)/s);
    if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name) || !path.startsWith("/")) {
      throw new UsageError(`--runtime ${given}: write NAME=PATH with an absolute path`);
    }
    return [name, path];
  });
  return { runtimes: Object.fromEntries(named), ...(defaultRuntime === undefined ? {} : { defaultRuntime }) };
}
