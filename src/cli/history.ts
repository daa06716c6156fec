import type { HistoryEntry } from "../api/control/types.ts";
import { ellipsis } from "../lib/table.ts";
import { decimalSize, humanDuration } from "../lib/units.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool, platform, text } from "./flags.ts";
import { type Listing, namesOnly, printRows, type Row } from "./listing.ts";

const headers: Listing["headers"] = {
  ID: "IMAGE",
  CreatedSince: "CREATED",
  CreatedAt: "CREATED AT",
  CreatedBy: "CREATED BY",
  Size: "SIZE",
  Comment: "COMMENT",
};

export const command = define({
  usage: "[flags] IMAGE",
  summary: "show what an image's layers were made by",
  flags: {
    human: bool("H", "sizes and dates for people (on)"),
    "no-trunc": bool("", "everything in full"),
    platform: platform("of a name with several images the one for this"),
    quiet: bool("q", "ids only"),
    format: text("", "TEMPLATE", "table, json or a Go template"),
  },
  args: [1, 1],
  complete: "image",
  examples: [["history --no-trunc --format '{{.Size}} {{.CreatedBy}}' debian", "a form of your own"]],
  async run(context, values, [image = ""]) {
    const { entries } = await context.call("imageHistory", {
      image,
      ...(values.platform === undefined ? {} : { platform: values.platform }),
    });
    const human = values.human ?? true;
    const rows = entries.map((entry) => rowOf(entry, human, values["no-trunc"] ?? false, Date.now() / 1000));
    if (namesOnly(values)) {
      for (const { ID } of rows) await line(context.stdout, String(ID));
      return 0;
    }
    const columns = ["ID", human ? "CreatedSince" : "CreatedAt", "CreatedBy", "Size", "Comment"];
    await printRows(context, { headers, columns }, rows, values.format);
    return 0;
  },
});

export function rowOf(entry: HistoryEntry, human: boolean, whole: boolean, now: number): Row {
  const createdBy = entry.createdBy.replaceAll("\t", " ");
  return {
    ID: whole ? entry.id : entry.id.replace(/^sha256:(.{12}).*$/, "$1"),
    CreatedSince: entry.created === 0 ? "N/A" : `${humanDuration(now - entry.created)} ago`,
    CreatedAt: new Date(entry.created * 1000).toISOString().replace(".000Z", "Z"),
    CreatedBy: whole ? createdBy : ellipsis(createdBy, 45),
    Size: human ? decimalSize(entry.size) : String(entry.size),
    Comment: entry.comment,
    Tags: entry.tags.join(","),
  };
}
