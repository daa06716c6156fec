import { define } from "./command.ts";
import { bool } from "./flags.ts";

export const command = define({
  usage: "[flags] NETWORK CONTAINER",
  summary: "take a container out of a network",
  flags: { force: bool("f", "also one that is not there any more") },
  args: [2, 2],
  complete: "network",
  examples: [["network disconnect back web", "also while it runs"]],
  async run(context, values, [network = "", container = ""]) {
    await context.call("networkDisconnect", { network, container, ...(values.force ? { force: true } : {}) });
    return 0;
  },
});
