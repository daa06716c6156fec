import { define } from "./command.ts";
import { line } from "./context.ts";

export const command = define({
  usage: "",
  summary: "share overlay networks no longer",
  flags: {},
  args: [0, 0],
  examples: [["node leave", "once no container of this host is in an overlay network"]],
  async run(context) {
    const { name } = await context.call("nodeLeave", {});
    await line(context.stdout, `this host is no longer node ${name}`);
    return 0;
  },
});
