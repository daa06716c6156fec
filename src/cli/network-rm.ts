import { define } from "./command.ts";
import { each } from "./each.ts";

export const command = define({
  usage: "NETWORK...",
  summary: "remove networks that no container is in",
  flags: {},
  args: [1, Number.POSITIVE_INFINITY],
  complete: "network",
  examples: [["network rm web back", "both"]],
  run: (context, _, args) =>
    each(context, args, async (network) => {
      await context.call("networkRemove", { network });
      return network;
    }),
});
