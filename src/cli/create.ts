import { attachOptions, checkCidFile, inputOf, streamsOf, writeCidFile } from "./attach-options.ts";
import { define } from "./command.ts";
import { containerFlags } from "./container-flags.ts";
import { containerRequest } from "./container-request.ts";
import { line } from "./context.ts";
import { UsageError } from "./errors.ts";
import { bool, list } from "./flags.ts";
import { withImage } from "./with-image.ts";

export const command = define({
  usage: "[flags] IMAGE [COMMAND] [ARG...]",
  summary: "create a container without starting it, print its id",
  flags: {
    rm: bool("", "remove the container when it has ended"),
    ...containerFlags,
    attach: list("a", "STREAM", "whoever starts it would have stdin, stdout or stderr", { rare: true }),
  },
  args: [1, Number.POSITIVE_INFINITY],
  flagsFirst: true,
  complete: "image",
  failure: 125,
  exits: "125 if no container was made",
  examples: [["create --name web busybox httpd -f", "then onggi start web"]],
  async run(context, values, args) {
    await checkCidFile(values.cidfile);
    const request = await containerRequest(values, args, context);
    if (values.rm && request.restart) throw new UsageError("conflicting options: cannot specify both --restart and --rm");
    const attach = attachOptions(values, false);
    const container = {
      ...request,
      ...(values.rm ? { autoRemove: true } : {}),
      ...inputOf(request, attach),
      ...(values.attach ? { attach: streamsOf(attach) } : {}),
    };
    const { id, warnings } = await withImage(context, request.image, values, () => context.call("create", { container }));
    await writeCidFile(values.cidfile, id);
    for (const warning of warnings) await line(context.stderr, `WARNING: ${warning}`);
    await line(context.stdout, id);
    return 0;
  },
});
