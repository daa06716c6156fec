import { define } from "./command.ts";
import { each } from "./each.ts";

export const command = define({
  usage: "NODE...",
  summary: "forget nodes that are down for good, and free their addresses",
  flags: {},
  args: [1, Number.POSITIVE_INFINITY],
  examples: [["node rm web3", "its machine is gone"]],
  run: (context, _, args) =>
    each(context, args, async (node) => {
      await context.call("nodeRemove", { node });
      return node;
    }),
});
