import type { ContainerSummary } from "../api/control/types.ts";
import { ellipsis } from "../lib/table.ts";
import { decimalSize, humanDuration } from "../lib/units.ts";
import { define } from "./command.ts";
import { type Context, line } from "./context.ts";
import { bool, integer, list, text } from "./flags.ts";
import { createdAt, joinLabels, type Listing, namesOnly, parseFilters, printRows, type Row } from "./listing.ts";
import { portsColumn } from "./ports.ts";

const listing: Listing = {
  headers: {
    ID: "CONTAINER ID",
    Image: "IMAGE",
    Command: "COMMAND",
    CreatedAt: "CREATED AT",
    RunningFor: "CREATED",
    Status: "STATUS",
    State: "STATE",
    Ports: "PORTS",
    Names: "NAMES",
    Size: "SIZE",
    Labels: "LABELS",
    Mounts: "MOUNTS",
    Networks: "NETWORKS",
    LocalVolumes: "LOCAL VOLUMES",
  },
  columns: ["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"],
};

export const command = define({
  usage: "[flags]",
  summary: "list containers",
  flags: {
    all: bool("a", "those that do not run, too"),
    quiet: bool("q", "ids only"),
    filter: list("f", "KEY=VALUE", "only those: id, name, label, status, health, ancestor, exited, ..."),
    last: integer("n", "N", "the last N created, running or not"),
    latest: bool("l", "the last one created"),
    "no-trunc": bool("", "whole ids and commands"),
    size: bool("s", "with what they take of the disk"),
    format: text("", "TEMPLATE", "table, json or a Go template"),
  },
  args: [0, 0],
  examples: [
    ["ps -a", "all of them"],
    ["ps --format '{{.Names}}: {{.Status}}'", "a form of your own"],
  ],
  async run(context, values) {
    const limit = values.latest ? 1 : values.last;
    const filters = parseFilters(values.filter);
    const { containers } = await context.call("list", {
      ...(values.all || (limit !== undefined && limit > 0) ? { all: true } : {}),
      ...(limit !== undefined && limit > 0 ? { limit } : {}),
      ...(filters ? { filters } : {}),
    });
    const whole = values["no-trunc"] ?? false;
    if (values.quiet) {
      if (!namesOnly(values))
        await line(context.stderr, "WARNING: Ignoring custom format, because both --format and --quiet are set.");
      for (const { id } of containers) await line(context.stdout, whole ? id : id.slice(0, 12));
      return 0;
    }
    const sized = values.size || values.format?.includes(".Size");
    const sizes = sized ? await sizesOf(context) : undefined;
    const rows = containers.map((container) => rowOf(container, whole, Date.now() / 1000, sizes?.get(container.id)));
    const columns = values.size ? [...listing.columns, "Size"] : listing.columns;
    await printRows(context, { ...listing, columns }, rows, values.format);
    return 0;
  },
});

/** "8.19kB (virtual 2.14MB)" by id: of its own, and with its image. */
async function sizesOf(context: Context): Promise<Map<string, string>> {
  const { containers, images } = await context.call("diskUsage", {});
  const of = new Map(images.flatMap(({ id, names, size }) => [id, ...names].map((name) => [name, size] as const)));
  const full = (name: string) => of.get(name) ?? of.get(`${name}:latest`) ?? 0;
  return new Map(
    containers.map(({ id, image, size }) => [id, `${decimalSize(size)} (virtual ${decimalSize(size + full(image))})`]),
  );
}

export function rowOf(container: ContainerSummary, whole: boolean, now: number, size = "0B"): Row {
  const { id, names, image, command, created, state, status, labels, networks, mounts } = container;
  const quoted = JSON.stringify(whole ? command : ellipsis(command, 20));
  return {
    ID: whole ? id : id.slice(0, 12),
    Names: names.join(","),
    Image: image,
    Command: quoted,
    CreatedAt: createdAt(created),
    RunningFor: `${humanDuration(now - created)} ago`,
    Ports: portsColumn(container.ports, container.exposed),
    State: state,
    Status: status,
    Size: size,
    Labels: joinLabels(labels),
    Label: (key: unknown) => labels[String(key)] ?? "",
    Mounts: mounts.map(({ name }) => (whole ? name : ellipsis(name, 15))).join(","),
    Networks: networks.join(","),
    LocalVolumes: String(mounts.filter(({ volume }) => volume).length),
  };
}
