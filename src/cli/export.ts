import { define } from "./command.ts";
import { text } from "./flags.ts";
import { writeArchive } from "./tar-output.ts";

export const command = define({
  usage: "[flags] CONTAINER",
  summary: "write a container's file system as a tar",
  flags: { output: text("o", "FILE", "where to (standard output)", { complete: "file" }) },
  args: [1, 1],
  complete: "container",
  examples: [["export -o web.tar web", "the whole file system, without volumes"]],
  async run(context, { output }, [container = ""]) {
    await writeArchive(context, output, (stdout) => context.call("export", { container }, { stdout }));
    return 0;
  },
});
