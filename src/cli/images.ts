import type { ImageSummary } from "../api/control/types.ts";
import { decimalSize, humanDuration } from "../lib/units.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { UsageError } from "./errors.ts";
import { bool, list, text } from "./flags.ts";
import { createdAt, type Listing, namesOnly, parseFilters, printRows, type Row } from "./listing.ts";

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
    tree: bool("", "names, and under each its images by platform"),
    format: text("", "TEMPLATE", "table, json or a Go template"),
  },
  args: [0, 1],
  complete: "image",
  examples: [["images --format '{{.Repository}}:{{.Tag}} {{.Size}}'", "a form of your own"]],
  async run(context, values, [reference]) {
    if (values.tree && (values.quiet || values.format !== undefined))
      throw new UsageError("--tree has a form of its own: leave -q and --format out");
    const filters = { ...parseFilters(values.filter) };
    if (reference !== undefined) filters.reference = [...(filters.reference ?? []), reference];
    const { images } = await context.call("images", Object.keys(filters).length > 0 ? { filters } : {});
    const whole = values["no-trunc"] ?? false;
    if (namesOnly(values)) {
      const ids = new Set(images.map(({ id }) => shownId(id, whole)));
      if (ids.size > 0) await line(context.stdout, [...ids].join("\n"));
      return 0;
    }
    const now = Date.now() / 1000;
    if (values.tree) {
      await printRows(context, treeListing, treeOf(images, whole, now), undefined);
      return 0;
    }
    const rows = images.flatMap((image) => rowsOf(image, whole, now));
    const columns = ["Repository", "Tag", ...(values.digests ? ["Digest"] : []), "ID", "CreatedSince", "Size"];
    await printRows(context, { headers, columns }, rows, values.format);
    return 0;
  },
});

const treeListing: Listing = {
  headers: { Name: "IMAGE", ID: "IMAGE ID", CreatedSince: "CREATED", Size: "SIZE" },
  columns: ["Name", "ID", "CreatedSince", "Size"],
};

/** A row for each name with the size of all it means, and below it one for each image. */
export function treeOf(images: readonly ImageSummary[], whole: boolean, now: number): Row[] {
  const groups = new Map<string, ImageSummary[]>();
  for (const image of images) {
    // One without a name is a tree of its own.
    for (const name of image.names.length > 0 ? image.names : [image.id]) groups.set(name, [...(groups.get(name) ?? []), image]);
  }
  return [...groups].flatMap(([name, members]): Row[] => [
    {
      Name: name === members[0]!.id ? "<none>" : name,
      Size: decimalSize(members.reduce((sum, { size }) => sum + size, 0)),
    },
    ...members.map(({ id, platform, created, size }, i) => ({
      Name: `${i === members.length - 1 ? "└─" : "├─"} ${platform}`,
      ID: shownId(id, whole),
      CreatedSince: `${humanDuration(now - created)} ago`,
      Size: decimalSize(size),
    })),
  ]);
}

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
