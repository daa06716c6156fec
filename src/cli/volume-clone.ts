import { decimalSize } from "../lib/units.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool, list } from "./flags.ts";
import { labelsOf } from "./labels.ts";

export const command = define({
  usage: "[flags] VOLUME [NAME]",
  summary: "make a new volume with another one's files; prints its name, and on standard error how it was done",
  flags: { label: list("l", "KEY[=VALUE]", "label"), quiet: bool("q", "only the name") },
  args: [1, 2],
  complete: "volume",
  examples: [["volume clone data data-before", "blocks are shared on btrfs and xfs, else copied"]],
  async run(context, values, [source = "", name]) {
    const labels = labelsOf(values.label);
    const request = { source, ...(name === undefined ? {} : { name }), ...(labels ? { labels } : {}) };
    const cloned = await context.call("volumeClone", request);
    const copied = cloned.bytes - cloned.shared;
    const how =
      copied === 0
        ? "all of it shared"
        : cloned.shared === 0
          ? "copied: this file system cannot share"
          : `${decimalSize(copied)} copied`;
    if (!values.quiet)
      await line(context.stderr, `${decimalSize(cloned.bytes)}, ${cloned.bytes === 0 ? "no files with content" : how}`);
    await line(context.stdout, cloned.name);
    return 0;
  },
});
