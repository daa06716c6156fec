import { ellipsis } from "../lib/table.ts";
import { decimalSize, humanDuration } from "../lib/units.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool, text } from "./flags.ts";
import { type Listing, printRows } from "./listing.ts";

const headers: Listing["headers"] = {
  Type: "TYPE",
  TotalCount: "TOTAL",
  Active: "ACTIVE",
  Size: "SIZE",
  Reclaimable: "RECLAIMABLE",
};

const reclaimable = (bytes: number, of: number): string =>
  `${decimalSize(bytes)}${of > 0 ? ` (${Math.floor((100 * bytes) / of)}%)` : ""}`;

export const command = define({
  usage: "[flags]",
  summary: "show what images, containers and volumes take of the disk; what images share is counted once",
  flags: {
    verbose: bool("v", "each image, container and volume"),
    format: text("", "TEMPLATE", "table, json or a Go template"),
  },
  args: [0, 0],
  examples: [["system df -v", "which image takes what, and how much of it is its own"]],
  async run(context, values) {
    const usage = await context.call("diskUsage", {});
    const { images, containers, volumes } = usage;
    if (values.verbose) {
      const now = Date.now() / 1000;
      const imageColumns = { Names: "IMAGE", ID: "IMAGE ID", Created: "CREATED", Size: "SIZE", Shared: "SHARED SIZE" };
      const rest = { Unique: "UNIQUE SIZE", Containers: "CONTAINERS" };
      const imageHeaders = { ...imageColumns, ...rest };
      await line(context.stdout, "Images space usage:\n");
      const imageRows = images.map((image) => ({
        Names: image.names.join(", ") || "<none>",
        ID: image.id.slice(7, 19),
        Created: `${humanDuration(now - image.created)} ago`,
        Size: decimalSize(image.size),
        Shared: decimalSize(image.shared),
        Unique: decimalSize(image.unique),
        Containers: image.containers,
      }));
      await printRows(context, { headers: imageHeaders, columns: Object.keys(imageHeaders) }, imageRows, values.format);
      await line(context.stdout, "\nContainers space usage:\n");
      const containerHeaders = {
        ID: "CONTAINER ID",
        Image: "IMAGE",
        Command: "COMMAND",
        Size: "SIZE",
        State: "STATUS",
        Name: "NAMES",
      };
      const containerRows = containers.map((container) => ({
        ID: container.id.slice(0, 12),
        Image: container.image,
        Command: JSON.stringify(ellipsis(container.command, 20)),
        Size: decimalSize(container.size),
        State: container.state,
        Name: container.name,
      }));
      const listing = { headers: containerHeaders, columns: Object.keys(containerHeaders) };
      await printRows(context, listing, containerRows, values.format);
      await line(context.stdout, "\nLocal Volumes space usage:\n");
      const volumeHeaders = { Name: "VOLUME NAME", Links: "LINKS", Size: "SIZE" };
      const volumeRows = volumes.map(({ name, containers: links, size }) => ({
        Name: name,
        Links: links,
        Size: size === null ? "N/A" : decimalSize(size),
      }));
      await printRows(context, { headers: volumeHeaders, columns: Object.keys(volumeHeaders) }, volumeRows, values.format);
      return 0;
    }
    const up = containers.filter(({ state }) => state === "running" || state === "paused");
    const bytes = containers.reduce((sum, { size }) => sum + size, 0);
    const idle = bytes - up.reduce((sum, { size }) => sum + size, 0);
    const unused = volumes.filter((volume) => volume.containers === 0);
    const sizeOf = (all: typeof volumes): number => all.reduce((sum, { size }) => sum + (size ?? 0), 0);
    const rows = [
      {
        Type: "Images",
        TotalCount: images.length,
        Active: images.filter((image) => image.containers > 0).length,
        Size: decimalSize(usage.layersSize),
        Reclaimable: reclaimable(usage.layersUnused, usage.layersSize),
      },
      {
        Type: "Containers",
        TotalCount: containers.length,
        Active: up.length,
        Size: decimalSize(bytes),
        Reclaimable: reclaimable(idle, bytes),
      },
      {
        Type: "Local Volumes",
        TotalCount: volumes.length,
        Active: volumes.length - unused.length,
        Size: decimalSize(sizeOf(volumes)),
        Reclaimable: reclaimable(sizeOf(unused), sizeOf(volumes)),
      },
    ];
    await printRows(context, { headers, columns: Object.keys(headers) }, rows, values.format);
    return 0;
  },
});
