import { define } from "./command.ts";
import { confirmed } from "./confirm.ts";
import { parseFilters } from "./listing.ts";
import { pruneFlags, pruneNetworks } from "./prune.ts";

export const command = define({
  usage: "[flags]",
  summary: "remove the networks that no container is in",
  flags: pruneFlags,
  args: [0, 0],
  examples: [["network prune -f", "without asking"]],
  async run(context, values) {
    const filters = parseFilters(values.filter);
    if (!values.force && !(await confirmed(context, "This will remove all custom networks not used by at least one container.")))
      return 0;
    await pruneNetworks(context, filters);
    return 0;
  },
});
