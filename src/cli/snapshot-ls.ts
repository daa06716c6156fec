import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool, text } from "./flags.ts";
import { type Listing, printRows } from "./listing.ts";

const listing: Listing = {
  headers: {
    Name: "NAME",
    ID: "SNAPSHOT ID",
    Container: "CONTAINER",
    ContainerID: "CONTAINER ID",
    Image: "IMAGE",
    Created: "CREATED",
    CreatedAt: "CREATED AT",
    Size: "SIZE",
  },
  columns: ["Name", "ID", "Container", "Image", "Created", "Size"],
};

export const command = define({
  usage: "[flags]",
  summary: "list snapshots, oldest first",
  flags: {
    quiet: bool("q", "names only"),
    "no-trunc": bool("", "whole ids"),
    format: text("", "TEMPLATE", "table, json or a Go template"),
  },
  args: [0, 0],
  examples: [["snapshot ls --format '{{.Name}} {{.Size}}'", "what each takes beside its container's image"]],
  async run(context, values) {
    const { snapshots } = await context.call("snapshots", {});
    if (values.quiet) {
      for (const { name } of snapshots) await line(context.stdout, name);
      return 0;
    }
    const { decimalSize, humanDuration } = await import("../lib/units.ts");
    const short = (id: string): string => (values["no-trunc"] ? id : id.slice(0, 12));
    const rows = snapshots.map((snapshot) => ({
      Name: snapshot.name,
      ID: short(snapshot.id),
      Container: snapshot.container.name,
      ContainerID: short(snapshot.container.id),
      Image: snapshot.image,
      Created: `${humanDuration((Date.now() - Date.parse(snapshot.created)) / 1000)} ago`,
      CreatedAt: snapshot.created,
      Size: decimalSize(snapshot.size),
    }));
    await printRows(context, listing, rows, values.format);
    return 0;
  },
});
