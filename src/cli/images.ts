import type { ImageSummary } from "../api/control/types.ts";
import { decimalSize, humanDuration } from "../lib/units.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool, list, text } from "./flags.ts";
import { createdAt, type Listing, parseFilters, printRows, type Row } from "./listing.ts";

const headers: Listing["headers"] = {
  ID: "IMAGE ID",
  Repository: "REPOSITORY",
  Tag: "TAG",
  Digest: "DIGEST",
  Platform: "PLATFORM",
  CreatedSince: "CREATED",
  CreatedAt: "CREATED AT",
  Size: "SIZE",
  Containers: "CONTAINERS",
};

export const command = define({
  usage: "[flags] [NAME[:TAG]]",
  summary: "list images",
  flags: {
    all: bool("a", "as Docker's; there are no intermediate images here", { rare: true }),
    quiet: bool("q", "ids only"),
    filter: list("f", "KEY=VALUE", "only those: reference, label, dangling, before, since, until"),
    "no-trunc": bool("", "whole ids"),
    digests: bool("", "with digests"),
    format: text("", "TEMPLATE", "table, json or a Go template"),
  },
  args: [0, 1],
  complete: "image",
  examples: [["images --format '{{.Repository}}:{{.Tag}} {{.Size}}'", "a form of your own"]],
  async run(context, values, [reference]) {
    const filters = { ...parseFilters(values.filter) };
    if (reference !== undefined) filters.reference = [...(filters.reference ?? []), reference];
    const { images } = await context.call("images", Object.keys(filters).length > 0 ? { filters } : {});
    const whole = values["no-trunc"] ?? false;
    if (values.quiet && values.format === undefined) {
      const ids = new Set(images.map(({ id }) => shownId(id, whole)));
      if (ids.size > 0) await line(context.stdout, [...ids].join("\n"));
      return 0;
    }
    const now = Date.now() / 1000;
    const rows = images.flatMap((image) => rowsOf(image, whole, now));
    const columns = ["Repository", "Tag", ...(values.digests ? ["Digest"] : []), "ID", "CreatedSince", "Size"];
    await printRows(context, { headers, columns }, rows, values.format);
    return 0;
  },
});

const shownId = (id: string, whole: boolean): string => (whole ? id : id.replace(/^sha256:/, "").slice(0, 12));

/** One row per name; an image without a name has one of "<none>". */
export function rowsOf(image: ImageSummary, whole: boolean, now: number): Row[] {
  const digests = new Map(image.repoDigests.map((text) => text.split("@", 2) as [repository: string, digest: string]));
  // Pulled by its digest alone, it has a repository and no tag.
  const nameless = [...digests.keys()].map((repository) => `${repository}:<none>`);
  const names = image.names.length > 0 ? image.names : nameless.length > 0 ? nameless : ["<none>:<none>"];
  return names.map((name) => {
    // the tag's colon is after the last slash: a registry may have a port
    const colon = name.indexOf(":", name.lastIndexOf("/") + 1);
    const repository = colon < 0 ? name : name.slice(0, colon);
    return {
      Repository: repository,
      Tag: colon < 0 ? "<none>" : name.slice(colon + 1),
      Digest: digests.get(repository) ?? "<none>",
      Platform: image.platform,
      ID: shownId(image.id, whole),
      CreatedSince: `${humanDuration(now - image.created)} ago`,
      CreatedAt: createdAt(image.created),
      Size: decimalSize(image.size),
      Containers: "N/A",
    };
  });
}
