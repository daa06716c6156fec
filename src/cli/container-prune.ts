import { define } from "./command.ts";
import { confirmed } from "./confirm.ts";
import { parseFilters } from "./listing.ts";
import { pruneContainers, pruneFlags, tellReclaimed } from "./prune.ts";

export const command = define({
  usage: "[flags]",
  summary: "remove containers that do not run",
  flags: pruneFlags,
  args: [0, 0],
  examples: [["container prune -f --filter label!=keep", "all but those with a label"]],
  async run(context, values) {
    const filters = parseFilters(values.filter);
    if (!values.force && !(await confirmed(context, "This will remove all stopped containers."))) return 0;
    await tellReclaimed(context, await pruneContainers(context, filters));
    return 0;
  },
});
