import { CONTROL_VERSION } from "../api/control/protocol.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { text } from "./flags.ts";

export const command = define({
  usage: "[flags]",
  summary: "show the versions of this program and of the engine that runs",
  flags: { format: text("f", "TEMPLATE", "json or a Go template") },
  args: [0, 0],
  examples: [["version --format '{{.Client.Version}}'", "just that"]],
  async run(context, values) {
    const client = {
      Version: context.version,
      Protocol: CONTROL_VERSION,
      Bun: Bun.version,
      Os: process.platform,
      Arch: process.arch,
    };
    // what does not answer is not started for this
    const engine = await context.callRunning("ping", {}).catch(() => undefined);
    const server = engine ? { Version: engine.version, Pid: engine.pid } : null;
    if (values.format !== undefined) {
      const { compile, toJson } = await import("../lib/template.ts");
      const data = { Client: client, Server: server };
      await line(context.stdout, values.format === "json" ? toJson(data) : compile(values.format)(data));
      return 0;
    }
    const rows = [`onggi ${client.Version}`, `  protocol ${client.Protocol}, Bun ${client.Bun}, ${client.Os}/${client.Arch}`];
    rows.push(server ? `engine ${server.Version}, pid ${server.Pid}` : `engine: none answers on ${context.socket}`);
    await line(context.stdout, rows.join("\n"));
    return 0;
  },
});
