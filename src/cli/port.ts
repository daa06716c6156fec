import { OnggiError } from "../lib/errors.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { parseExpose, portAddress, portLine, sortedPorts } from "./ports.ts";

export const command = define({
  usage: "CONTAINER [PORT[/PROTOCOL]]",
  summary: "show where the host answers for a container's ports",
  flags: {},
  args: [1, 2],
  complete: "running",
  examples: [["port web 80", "one port"]],
  async run(context, _, [container = "", port]) {
    const { ports: unsorted, name } = await context.call("inspect", { container });
    const ports = sortedPorts(unsorted);
    if (port === undefined) {
      if (ports.length > 0) await line(context.stdout, ports.map(portLine).join("\n"));
      return 0;
    }
    const [wanted] = parseExpose(port);
    const found = ports.filter(({ containerPort, protocol }) => `${containerPort}/${protocol}` === wanted);
    if (found.length === 0) throw new OnggiError("port_not_published", `no public port '${wanted}' published for ${name}`);
    await line(context.stdout, found.map(portAddress).join("\n"));
    return 0;
  },
});
