import type { DiskUsage } from "../api/control/types.ts";
import { ellipsis } from "../lib/table.ts";
import { decimalSize, humanDuration } from "../lib/units.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool, text } from "./flags.ts";
import { createdAt, type Listing, printRows, type Row, unescapeFormat } from "./listing.ts";

const headers: Listing["headers"] = {
  Type: "TYPE",
  TotalCount: "TOTAL",
  Active: "ACTIVE",
  Size: "SIZE",
  Reclaimable: "RECLAIMABLE",
};

export const command = define({
  usage: "[flags]",
  summary: "show what images, containers and volumes take of the disk; what images share is counted once",
  flags: {
    verbose: bool("v", "each image, container and volume"),
    format: text("", "TEMPLATE", "table, json or a Go template"),
  },
  args: [0, 0],
  examples: [["system df -v", "which image takes what, and how much of it is its own"]],
  async run(context, { verbose, format }) {
    const usage = await context.call("diskUsage", {});
    if (!verbose) {
      await printRows(context, { headers, columns: Object.keys(headers) }, summaryOf(usage), format);
      return 0;
    }
    const parts = partsOf(usage, Date.now() / 1000);
    if (format !== undefined && format !== "table") {
      // as with Docker: one object with all of them
      const { compile } = await import("../lib/template.ts");
      const render = compile(format === "json" ? "{{json .}}" : unescapeFormat(format));
      await line(
        context.stdout,
        render({ ...Object.fromEntries(parts.map(({ field, rows }) => [field, rows])), BuildCache: [] }),
      );
      return 0;
    }
    for (const [at, { title, headers, rows }] of parts.entries()) {
      await line(context.stdout, `${at > 0 ? "\n" : ""}${title} space usage:\n`);
      await printRows(context, { headers, columns: Object.keys(headers) }, rows, undefined);
    }
    return 0;
  },
});

const reclaimable = (bytes: number, of: number): string =>
  `${decimalSize(bytes)}${of > 0 ? ` (${Math.floor((100 * bytes) / of)}%)` : ""}`;

function summaryOf(usage: DiskUsage): Row[] {
  const { images, containers, volumes } = usage;
  const up = containers.filter(({ state }) => state === "running" || state === "paused");
  const bytes = containers.reduce((sum, { size }) => sum + size, 0);
  const idle = bytes - up.reduce((sum, { size }) => sum + size, 0);
  const unused = volumes.filter((volume) => volume.containers === 0);
  const sizeOf = (all: typeof volumes): number => all.reduce((sum, { size }) => sum + (size ?? 0), 0);
  return [
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
}

interface Part {
  /** Of the object that templates are given. */
  readonly field: string;
  readonly title: string;
  readonly headers: Listing["headers"];
  readonly rows: Row[];
}

const partsOf = ({ images, containers, volumes }: DiskUsage, now: number): Part[] => [
  {
    field: "Images",
    title: "Images",
    headers: {
      Names: "IMAGE",
      ID: "IMAGE ID",
      CreatedSince: "CREATED",
      Size: "SIZE",
      SharedSize: "SHARED SIZE",
      UniqueSize: "UNIQUE SIZE",
      Containers: "CONTAINERS",
    },
    rows: images.map((image) => ({
      Names: image.names.join(", ") || "<none>",
      ID: image.id.slice(7, 19),
      CreatedSince: `${humanDuration(now - image.created)} ago`,
      CreatedAt: createdAt(image.created),
      Size: decimalSize(image.size),
      SharedSize: decimalSize(image.shared),
      UniqueSize: decimalSize(image.unique),
      Containers: String(image.containers),
    })),
  },
  {
    field: "Containers",
    title: "Containers",
    headers: { ID: "CONTAINER ID", Image: "IMAGE", Command: "COMMAND", Size: "SIZE", State: "STATUS", Names: "NAMES" },
    rows: containers.map((container) => ({
      ID: container.id.slice(0, 12),
      Image: container.image,
      Command: JSON.stringify(ellipsis(container.command, 20)),
      CreatedAt: createdAt(container.created),
      Size: decimalSize(container.size),
      State: container.state,
      Names: container.name,
    })),
  },
  {
    field: "Volumes",
    title: "Local Volumes",
    headers: { Name: "VOLUME NAME", Links: "LINKS", Size: "SIZE" },
    rows: volumes.map(({ name, containers: links, size }) => ({
      Name: name,
      Links: String(links),
      Size: size === null ? "N/A" : decimalSize(size),
    })),
  },
];
