import { table } from "../lib/table.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";

export const command = define({
  usage: "CONTAINER [ps OPTIONS]",
  summary: "list the processes of a container, as the host sees them",
  flags: {},
  args: [1, Number.POSITIVE_INFINITY],
  flagsFirst: true,
  complete: "running",
  examples: [["top web -o pid,rss,args", "columns of ps(1)"]],
  async run(context, _, [container = "", ...args]) {
    const { titles, processes } = await context.call("top", { container, args });
    await line(context.stdout, table(titles, processes).join("\n"));
    return 0;
  },
});
