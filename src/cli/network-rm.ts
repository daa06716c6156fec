import { define } from "./command.ts";
import { each } from "./each.ts";
import { bool } from "./flags.ts";

export const command = define({
  usage: "[flags] NETWORK...",
  summary: "remove networks that no container is in",
  flags: { force: bool("f", "one that is not there is none too many") },
  args: [1, Number.POSITIVE_INFINITY],
  complete: "network",
  examples: [["network rm web back", "both"]],
  run: (context, { force }, args) =>
    each(context, args, async (network) => {
      try {
        await context.call("networkRemove", { network });
      } catch (error) {
        if (!force || (error as { code?: string }).code !== "network_not_found") throw error;
        return undefined;
      }
      return network;
    }),
});
