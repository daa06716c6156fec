import { define } from "./command.ts";
import { confirmed } from "./confirm.ts";
import { bool } from "./flags.ts";
import { parseFilters } from "./listing.ts";
import { pruneFlags, pruneImages, tellReclaimed } from "./prune.ts";

export const command = define({
  usage: "[flags]",
  summary: "remove images without a name that nothing needs",
  flags: { all: bool("a", "named ones as well"), ...pruneFlags },
  args: [0, 0],
  examples: [["image prune -af --filter until=240h", "what is older than ten days"]],
  async run(context, values) {
    const { all = false, force } = values;
    const filters = parseFilters(values.filter);
    const what = all ? "all images without at least one container associated to them" : "all dangling images";
    if (!force && !(await confirmed(context, `This will remove ${what}.`))) return 0;
    await tellReclaimed(context, await pruneImages(context, all, filters));
    return 0;
  },
});
