import { define } from "./command.ts";
import { line } from "./context.ts";

export const command = define({
  usage: "NETWORK",
  summary: "show what a network is in the kernel: interfaces, addresses, routes, rules",
  flags: {},
  args: [1, 1],
  complete: "network",
  examples: [["network explain bridge", "the default one"]],
  async run(context, _, [network = ""]) {
    const { text } = await context.call("networkExplain", { network });
    await line(context.stdout, text.trimEnd());
    return 0;
  },
});
