import { ofProject } from "../../compose/labels.ts";
import { containersOf } from "../../compose/observe.ts";
import { line } from "../context.ts";
import { bool, text } from "../flags.ts";
import { joinLabels, type Listing, printRows } from "../listing.ts";
import { defineCompose } from "./command.ts";

const listing: Listing = {
  headers: { Driver: "DRIVER", Name: "VOLUME NAME", Mountpoint: "MOUNTPOINT", Labels: "LABELS" },
  columns: ["Driver", "Name"],
};

export const command = defineCompose({
  usage: "[flags] [SERVICE...]",
  summary: "list a project's volumes",
  flags: { quiet: bool("q", "names only"), format: text("", "TEMPLATE", "table, json or a Go template") },
  args: [0, Number.POSITIVE_INFINITY],
  complete: "service",
  examples: [["compose volumes -q", "their names"]],
  async run(compose, values, services) {
    const { context } = compose;
    const { name } = await compose.known(services);
    const { volumes } = await context.call("volumes", { filters: ofProject(name) });
    const users = new Set((await containersOf(context.call, name, { services, all: true })).map((one) => one.name));
    const shown = volumes.filter(({ containers }) => services.length === 0 || containers.some((one) => users.has(one)));
    if (values.quiet) {
      for (const volume of shown) await line(context.stdout, volume.name);
      return 0;
    }
    const rows = shown.map(({ driver, name, mountpoint, labels }) => ({
      ...{ Driver: driver, Name: name, Mountpoint: mountpoint, Labels: joinLabels(labels), Scope: "local" },
      Label: (key: unknown) => labels[String(key)] ?? "",
    }));
    await printRows(context, listing, rows, values.format);
    return 0;
  },
});
