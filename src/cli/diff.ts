import { visible } from "../lib/printable.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";

export const command = define({
  usage: "CONTAINER",
  summary: "show what a container has changed in its file system",
  flags: {},
  args: [1, 1],
  complete: "container",
  examples: [["diff web", "A: added, C: changed, D: deleted"]],
  async run(context, _, [container = ""]) {
    const { changes } = await context.call("diff", { container });
    for (const { kind, path } of changes) await line(context.stdout, `${kind} ${visible(path)}`);
    return 0;
  },
});
