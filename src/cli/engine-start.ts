import { OnggiError } from "../lib/errors.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool } from "./flags.ts";

export const command = define({
  usage: "[flags]",
  summary: "start the engine, unless one runs",
  flags: {
    foreground: bool("", "serve in this process until it is told to stop"),
    "if-absent": bool("", "in the foreground: end quietly when another engine has the data root", { rare: true }),
  },
  args: [0, 0],
  examples: [["engine start --foreground", "for a service manager"]],
  async run(context, values) {
    if (!values.foreground) {
      const started = await context.startEngine();
      const { pid } = await context.callRunning("ping", {});
      await line(context.stdout, started ? `engine started, pid ${pid}` : `engine runs already, pid ${pid}`);
      return 0;
    }
    try {
      await context.serveEngine();
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
