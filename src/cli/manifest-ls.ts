import type { ManifestList } from "../api/control/types.ts";
import { printable } from "../lib/printable.ts";
import { define } from "./command.ts";
import { text } from "./flags.ts";
import { type Listing, printRows, type Row } from "./listing.ts";

const headers: Listing["headers"] = { List: "LIST", Platform: "PLATFORM", Member: "MEMBER", Digest: "DIGEST" };

export const command = define({
  usage: "[flags]",
  summary: "show the lists that are here, a line for each member",
  flags: { format: text("", "TEMPLATE", "table, json or a Go template") },
  args: [0, 0],
  examples: [["manifest ls", "what has been created and not removed"]],
  async run(context, { format }) {
    const { lists } = await context.call("manifestLists", {});
    await printRows(context, { headers, columns: Object.keys(headers) }, lists.flatMap(rowsOf), format);
    return 0;
  },
});

export const rowsOf = ({ name, members }: ManifestList): Row[] =>
  members.map(({ name: member, platform, descriptor }) => ({
    List: name,
    Platform: platform
      ? printable([platform.os, platform.architecture, ...(platform.variant ? [platform.variant] : [])].join("/"))
      : "",
    Member: member,
    Digest: descriptor?.digest ?? "",
  }));
