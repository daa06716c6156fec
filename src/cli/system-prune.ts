import { define } from "./command.ts";
import { confirmed } from "./confirm.ts";
import { UsageError } from "./errors.ts";
import { bool, text } from "./flags.ts";
import { parseFilters } from "./listing.ts";
import { pruneContainers, pruneFlags, pruneImages, pruneNetworks, pruneVolumes, tellReclaimed } from "./prune.ts";

export const command = define({
  usage: "[flags]",
  summary: "remove containers that do not run, then networks, images, and if asked for volumes, that nothing needs",
  flags: {
    all: bool("a", "images with a name as well"),
    volumes: bool("", "anonymous volumes that no container has"),
    until: text("", "MOMENT", "what was made before: a date, or a duration such as 240h"),
    ...pruneFlags,
  },
  args: [0, 0],
  examples: [["system prune -af --until 240h", "what was made more than ten days ago"]],
  async run(context, values) {
    const { all = false, force } = values;
    const given = [...(values.filter ?? []), ...(values.until === undefined ? [] : [`until=${values.until}`])];
    const filters = parseFilters(given.length > 0 ? given : undefined);
    const ofVolumes = values.volumes ? volumeFilters(filters) : undefined;
    if (!force && !(await confirmed(context, warning(all, values.volumes ?? false, given)))) return 0;
    const containers = await pruneContainers(context, filters);
    await pruneNetworks(context, filters);
    const volumes = values.volumes ? await pruneVolumes(context, false, ofVolumes) : 0;
    await tellReclaimed(context, containers + volumes + (await pruneImages(context, all, filters)));
    return 0;
  },
});

/** By age volumes are not pruned, as with Docker: it says nothing of when they were used. */
function volumeFilters(filters: Record<string, string[]> | undefined): Record<string, string[]> | undefined {
  if (filters?.until) throw new UsageError("--filter until goes without --volumes: the age of a volume says nothing of its use");
  return filters;
}

function warning(all: boolean, volumes: boolean, filters: readonly string[]): string {
  const images = all ? "all images without at least one container associated to them" : "all dangling images";
  const filtered =
    filters.length > 0 ? ["", "  Items to be pruned will be filtered with:", ...filters.map((each) => `  - ${each}`)] : [];
  return [
    "This will remove:",
    "  - all stopped containers",
    "  - all networks not used by at least one container",
    ...(volumes ? ["  - all anonymous volumes not used by at least one container"] : []),
    `  - ${images}`,
    ...filtered,
    "",
  ].join("\n");
}
