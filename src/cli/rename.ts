import { define } from "./command.ts";

export const command = define({
  usage: "CONTAINER NEW_NAME",
  summary: "give a container another name",
  flags: {},
  args: [2, 2],
  complete: "container",
  examples: [["rename brave_jar web", "whether it runs or not"]],
  async run(context, _, [container = "", name = ""]) {
    await context.call("rename", { container, name });
    return 0;
  },
});
