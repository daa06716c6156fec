import { define } from "./command.ts";
import { line } from "./context.ts";

export const command = define({
  usage: "",
  summary: "print the name of the context that is in force",
  flags: {},
  args: [0, 0],
  examples: [["context show", "of this shell: ONGGI_CONTEXT, or what context use chose"]],
  async run(context) {
    await line(context.stdout, context.selected.context);
    return 0;
  },
});
