import { compile, toJson } from "../lib/template.ts";
import { binarySize } from "../lib/units.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { text } from "./flags.ts";

export const command = define({
  usage: "[flags]",
  summary: "show the engine's state; exit code 1 if none runs",
  flags: { format: text("f", "TEMPLATE", "json or a Go template") },
  args: [0, 0],
  examples: [["engine status --format '{{.Pid}}'", "its process id"]],
  async run(context, values) {
    const status = await context.callRunning("status", {});
    if (values.format !== undefined) {
      await line(context.stdout, values.format === "json" ? toJson(status) : compile(values.format)(status));
      return 0;
    }
    const { running, paused, stopped } = status.containers;
    const features = Object.entries(status.features).map(([name, there]) => `${there ? "" : "no "}${name}`);
    const rows: [string, string][] = [
      ["pid", String(status.pid)],
      ["version", status.version],
      ["since", status.startedAt],
      ["root", status.root],
      ["run", status.run],
      ["containers", `${running} running, ${paused} paused, ${stopped} stopped`],
      ["images", String(status.images)],
      ["memory", binarySize(status.rssBytes)],
      ["kernel", status.kernel],
      ["cgroups", `${status.cgroup}, ${status.cgroupDriver} driver`],
      ["features", features.join(", ") || "none"],
    ];
    for (const [name, value] of rows) await line(context.stdout, `${`${name}:`.padEnd(12)}${value}`);
    return 0;
  },
});
