import { OnggiError } from "../lib/errors.ts";
import { define } from "./command.ts";
import { type Context, line } from "./context.ts";
import { bool, choice } from "./flags.ts";

export const command = define({
  usage: "[flags]",
  summary: "start the engine, unless one runs",
  flags: {
    "cgroup-driver": choice("", ["cgroupfs", "systemd"], "who makes the cgroups (ONGGI_CGROUP_DRIVER, or cgroupfs)"),
    foreground: bool("", "serve in this process until it is told to stop"),
    "if-absent": bool("", "in the foreground: end quietly when another engine has the data root", { rare: true }),
  },
  args: [0, 0],
  examples: [
    ["engine start --foreground", "for a service manager"],
    ["engine start --cgroup-driver systemd", "cgroups as systemd scopes (cgroup v2)"],
  ],
  async run(context, values) {
    if (!values.foreground) {
      const driver = values["cgroup-driver"];
      const started = await context.startEngine(driver);
      const { pid } = await context.callRunning("ping", {});
      if (!started && driver !== undefined) await checkDriver(context, driver);
      await line(context.stdout, started ? `engine started, pid ${pid}` : `engine runs already, pid ${pid}`);
      return 0;
    }
    try {
      await context.serveEngine(values["cgroup-driver"]);
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

/** An engine that runs already keeps its driver. */
async function checkDriver(context: Context, wanted: string): Promise<void> {
  const { cgroupDriver } = await context.callRunning("status", {});
  if (cgroupDriver === wanted) return;
  throw new OnggiError(
    "engine_running",
    `the engine that runs has the ${cgroupDriver} cgroup driver, not ${wanted}: stop it first (onggi engine stop; containers run on)`,
  );
}
