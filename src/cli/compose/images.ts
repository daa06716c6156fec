import { containersOf } from "../../compose/observe.ts";
import { decimalSize, humanDuration } from "../../lib/units.ts";
import { parseReference } from "../../oci/reference.ts";
import { line } from "../context.ts";
import { bool, text } from "../flags.ts";
import { type Listing, printRows } from "../listing.ts";
import { defineCompose } from "./command.ts";

const listing: Listing = {
  headers: {
    ContainerName: "CONTAINER",
    Repository: "REPOSITORY",
    Tag: "TAG",
    Platform: "PLATFORM",
    ID: "IMAGE ID",
    Size: "SIZE",
    Created: "CREATED",
  },
  columns: ["ContainerName", "Repository", "Tag", "Platform", "ID", "Size", "Created"],
};

export const command = defineCompose({
  usage: "[flags] [SERVICE...]",
  summary: "list the images that a project's containers are made from",
  flags: { quiet: bool("q", "ids only"), format: text("", "TEMPLATE", "table, json or a Go template") },
  args: [0, Number.POSITIVE_INFINITY],
  complete: "service",
  examples: [["compose images", "which container has which"]],
  async run(compose, values, services) {
    const { context } = compose;
    const { name } = await compose.known(services);
    const containers = await containersOf(context.call, name, { services, all: true });
    const { images } = await context.call("images", {});
    if (values.quiet) {
      for (const id of new Set(containers.map(({ summary }) => summary.imageId)))
        await line(context.stdout, id.replace("sha256:", ""));
      return 0;
    }
    const rows = containers.map(({ name: container, summary }) => {
      const image = images.find(({ id }) => id === summary.imageId);
      const tag = parseReference(summary.image).tag ?? "latest";
      return {
        ...{ ContainerName: container, ID: summary.imageId.replace("sha256:", "").slice(0, 12) },
        ...{ Repository: summary.image.replace(/:[^/:]*$/, ""), Tag: tag, Platform: image?.platform ?? "" },
        Size: decimalSize(image?.size ?? 0),
        Created: image ? `${humanDuration(Date.now() / 1000 - image.created)} ago` : "",
      };
    });
    await printRows(context, listing, rows, values.format);
    return 0;
  },
});
