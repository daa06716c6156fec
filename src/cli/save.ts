import { define } from "./command.ts";
import { isRemote } from "./context.ts";
import { UsageError } from "./errors.ts";
import { choice, platform, text } from "./flags.ts";
import { writeArchive } from "./tar-output.ts";

export const command = define({
  usage: "[flags] IMAGE...",
  summary: "save images to an archive that docker, podman, skopeo and onggi load",
  flags: {
    output: text("o", "FILE", "where to (standard output); a directory for oci-dir", { complete: "file" }),
    format: choice("", ["docker-archive", "oci-archive", "oci-dir"], "docker-archive, which is an OCI layout too, unless told"),
    platform: platform("of names with several images those for this"),
  },
  args: [1, Number.POSITIVE_INFINITY],
  complete: "image",
  examples: [
    ["save -o images.tar busybox debian:12", "several images, each layer once"],
    ["save busybox | ssh there onggi load", "to another machine"],
  ],
  async run(context, values, images) {
    const { output, format = "docker-archive" } = values;
    const asked = { images: [...images], format, ...(values.platform === undefined ? {} : { platform: values.platform }) };
    if (output !== undefined && output !== "-") {
      if (!isRemote(context)) {
        const path = output.startsWith("/") ? output : `${context.cwd}/${output}`;
        await context.call("save", { ...asked, path });
        return 0;
      }
      if (format === "oci-dir") throw new UsageError("an engine on another host writes no directory here: save an oci-archive");
    } else if (format === "oci-dir") throw new UsageError("an OCI layout is a directory: name it with --output");
    await writeArchive(context, output, (write) => context.call("save", asked, { stdout: write }));
    return 0;
  },
});
