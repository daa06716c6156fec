import { decimalSize, parseBytes } from "../lib/units.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { UsageError } from "./errors.ts";
import { bool, text } from "./flags.ts";
import { printRows } from "./listing.ts";

export const command = define({
  usage: "[flags]",
  summary: "remove images that nobody has used for long, or that are too much; as engine.toml has it at a timer",
  flags: {
    "unused-for": text("", "DURATION", "those that were not used for that long, such as 240h"),
    "keep-storage": text("", "SIZE", "then the least recently used ones, until all take no more than that"),
    all: bool("a", "images with a name as well"),
    "dry-run": bool("", "only tell what would go"),
  },
  args: [0, 0],
  examples: [
    ["system gc -a --unused-for 240h --dry-run", "what nobody has used for ten days"],
    ["system gc -a --keep-storage 20g", "until images take 20 GB or less"],
  ],
  async run(context, values) {
    const { all, "keep-storage": keep, "unused-for": unused, "dry-run": dryRun } = values;
    const { images, reclaimed } = await context.call("collectImages", {
      ...(all === undefined ? {} : { all }),
      ...(keep === undefined ? {} : { keepStorage: parseBytes(keep, "--keep-storage") }),
      ...(unused === undefined ? {} : { unusedFor: await secondsOf(unused) }),
      ...(dryRun ? { dryRun } : {}),
    });
    const listing = {
      headers: { ID: "IMAGE ID", Names: "NAMES", LastUsed: "LAST USED", Size: "SIZE" },
      columns: ["ID", "Names", "LastUsed", "Size"],
    };
    const rows = images.map(({ id, names, size, lastUsed }) => ({
      ...{ ID: id.slice(7, 19), Names: names.join(","), LastUsed: lastUsed, Size: decimalSize(size) },
    }));
    if (rows.length > 0) await printRows(context, listing, rows, undefined);
    await line(context.stdout, `${dryRun ? "Would be reclaimed" : "Total reclaimed space"}: ${decimalSize(reclaimed)}`);
    return 0;
  },
});

async function secondsOf(given: string): Promise<number> {
  const { parseDuration } = await import("../lib/time.ts");
  const nanoseconds = parseDuration(given);
  if (nanoseconds === undefined) throw new UsageError(`--unused-for ${given}: give a duration such as 240h`);
  return Number(nanoseconds / 1_000_000_000n);
}
