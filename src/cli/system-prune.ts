import { define } from "./command.ts";
import { confirmed } from "./confirm.ts";
import { UsageError } from "./errors.ts";
import { bool } from "./flags.ts";
import { parseFilters } from "./listing.ts";
import { pruneContainers, pruneFlags, pruneImages, tellReclaimed } from "./prune.ts";

export const command = define({
  usage: "[flags]",
  summary: "remove containers that do not run, then images that nothing needs",
  flags: {
    all: bool("a", "images with a name as well"),
    volumes: bool("", "not there yet: it needs volumes", { rare: true }),
    ...pruneFlags,
  },
  args: [0, 0],
  examples: [["system prune -af --filter until=240h", "what was made more than ten days ago"]],
  async run(context, values) {
    const { all = false, force } = values;
    if (values.volumes) throw new UsageError("--volumes is not there yet: it needs volumes");
    const filters = parseFilters(values.filter);
    if (!force && !(await confirmed(context, warning(all, values.filter ?? [])))) return 0;
    const containers = await pruneContainers(context, filters);
    await tellReclaimed(context, containers + (await pruneImages(context, all, filters)));
    return 0;
  },
});

function warning(all: boolean, filters: readonly string[]): string {
  const images = all ? "all images without at least one container associated to them" : "all dangling images";
  const filtered =
    filters.length > 0 ? ["", "  Items to be pruned will be filtered with:", ...filters.map((each) => `  - ${each}`)] : [];
  return ["This will remove:", "  - all stopped containers", `  - ${images}`, ...filtered, ""].join("\n");
}
