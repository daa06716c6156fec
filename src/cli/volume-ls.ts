import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool, list, text } from "./flags.ts";
import { joinLabels, type Listing, namesOnly, parseFilters, printRows } from "./listing.ts";

const listing: Listing = {
  headers: {
    Driver: "DRIVER",
    Name: "VOLUME NAME",
    Mountpoint: "MOUNTPOINT",
    Scope: "SCOPE",
    Labels: "LABELS",
    Containers: "CONTAINERS",
    CreatedAt: "CREATED AT",
  },
  columns: ["Driver", "Name"],
};

export const command = define({
  usage: "[flags]",
  summary: "list volumes",
  flags: {
    quiet: bool("q", "names only"),
    filter: list("f", "KEY=VALUE", "only those: name, label, driver, dangling=true"),
    format: text("", "TEMPLATE", "table, json or a Go template"),
  },
  args: [0, 0],
  examples: [["volume ls -f dangling=true", "those that no container has"]],
  async run(context, values) {
    const filters = parseFilters(values.filter);
    const { volumes } = await context.call("volumes", filters ? { filters } : {});
    if (namesOnly(values)) {
      for (const { name } of volumes) await line(context.stdout, name);
      return 0;
    }
    const rows = volumes.map((volume) => ({
      Driver: volume.driver,
      Name: volume.name,
      Mountpoint: volume.mountpoint,
      Scope: "local",
      Labels: joinLabels(volume.labels),
      Containers: volume.containers.join(","),
      CreatedAt: volume.created,
      Label: (key: unknown) => volume.labels[String(key)] ?? "",
    }));
    await printRows(context, listing, rows, values.format);
    return 0;
  },
});
