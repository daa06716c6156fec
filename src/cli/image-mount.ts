import { define } from "./command.ts";
import { line, localOnly } from "./context.ts";
import { platform, text } from "./flags.ts";
import { printRows } from "./listing.ts";

export const command = define({
  usage: "[flags] [IMAGE [DIR]]",
  summary: "show an image's files at a path, read-only, and print the path; without an image: list the mounts",
  flags: {
    platform: platform("of a name with several images the one for this"),
    format: text("", "TEMPLATE", "of the list: table, json or a Go template"),
  },
  args: [0, 2],
  complete: "image",
  examples: [
    ["image mount debian", "in a directory that is made for it"],
    ["image mount debian /mnt", "on a directory of yours"],
  ],
  async run(context, values, [image, directory]) {
    if (image === undefined) {
      const { mounts } = await context.call("imageMounts", {});
      const rows = mounts.map(({ id, names, path }) => ({
        ID: id.slice(7, 19),
        Names: names.join(", ") || "<none>",
        Path: path,
      }));
      await printRows(
        context,
        { headers: { ID: "IMAGE ID", Names: "IMAGE", Path: "PATH" }, columns: ["Names", "ID", "Path"] },
        rows,
        values.format,
      );
      return 0;
    }
    if (directory !== undefined && !directory.startsWith("/")) localOnly(context, `directory ${directory}`);
    const target = directory === undefined || directory.startsWith("/") ? directory : `${context.cwd}/${directory}`;
    const { path } = await context.call("imageMount", {
      image,
      ...(values.platform === undefined ? {} : { platform: values.platform }),
      ...(target === undefined ? {} : { target }),
    });
    await line(context.stdout, path);
    return 0;
  },
});
