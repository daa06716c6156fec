import type { ImageTree } from "../api/control/types.ts";
import { visible } from "../lib/printable.ts";
import { ellipsis } from "../lib/table.ts";
import { decimalSize } from "../lib/units.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool, integer } from "./flags.ts";

export const command = define({
  usage: "[flags] [IMAGE]",
  summary: "show layers, who shares them, and for one image what they waste",
  flags: {
    json: bool("", "as JSON"),
    files: integer("", "N", "wasted files to name for each layer (5)"),
  },
  args: [0, 1],
  complete: "image",
  examples: [["image tree debian", "sizes, sharing, replaced and deleted files"]],
  async run(context, values, [image]) {
    const { images } = await context.call("imageTree", image === undefined ? {} : { image });
    if (values.json) await line(context.stdout, JSON.stringify(images, null, 2));
    else
      for (const tree of images) for (const text of linesOf(tree, values.files ?? 5)) await line(context.stdout, visible(text));
    return 0;
  },
});

/** One image as a tree, lowest layer first. */
export function linesOf(image: ImageTree, files: number): string[] {
  const lines = [`${image.names.join(", ") || "<none>"}  ${image.id.slice(7, 19)}  ${decimalSize(image.size)}`];
  image.layers.forEach(({ diffId, size, createdBy, sharedWith, waste }, i) => {
    const last = i === image.layers.length - 1;
    const shared = sharedWith.length > 0 ? `  shared with ${sharedWith.join(", ")}` : "";
    const lost = waste && waste.bytes > 0 ? `  wasted ${decimalSize(waste.bytes)}` : "";
    const by = createdBy === "" ? "" : `  ${ellipsis(createdBy.replace(/\s+/g, " "), 60)}`;
    lines.push(`${last ? "└─" : "├─"} ${diffId.slice(7, 19)}  ${decimalSize(size)}${shared}${lost}${by}`);
    for (const file of waste?.files.slice(0, files) ?? []) {
      lines.push(`${last ? "  " : "│ "}    ${file.why} ${decimalSize(file.size)}  ${file.path}`);
    }
  });
  const wasted = image.layers.reduce((sum, { waste }) => sum + (waste?.bytes ?? 0), 0);
  if (image.layers.some(({ waste }) => waste) && image.size > 0) {
    lines.push(`wasted ${decimalSize(wasted)} of ${decimalSize(image.size)} (${((100 * wasted) / image.size).toFixed(1)} %)`);
  }
  return lines;
}
