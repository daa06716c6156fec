import { define } from "./command.ts";
import { confirmed } from "./confirm.ts";
import { bool } from "./flags.ts";
import { parseFilters } from "./listing.ts";
import { pruneFlags, pruneVolumes, tellReclaimed } from "./prune.ts";

export const command = define({
  usage: "[flags]",
  summary: "remove anonymous volumes that no container has",
  flags: { all: bool("a", "named ones as well"), ...pruneFlags },
  args: [0, 0],
  examples: [["volume prune -af --filter label!=keep", "all but those with a label"]],
  async run(context, values) {
    const { all = false, force } = values;
    const filters = parseFilters(values.filter);
    const what = all ? "all volumes" : "anonymous volumes";
    if (!force && !(await confirmed(context, `This will remove ${what} not used by at least one container.`))) return 0;
    await tellReclaimed(context, await pruneVolumes(context, all, filters));
    return 0;
  },
});
