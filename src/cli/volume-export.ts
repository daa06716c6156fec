import { define } from "./command.ts";
import { text } from "./flags.ts";
import { writeArchive } from "./tar-output.ts";

export const command = define({
  usage: "[flags] VOLUME",
  summary: "write a volume's files as a tar, with the owners that containers see",
  flags: { output: text("o", "FILE", "where to (standard output)", { complete: "file" }) },
  args: [1, 1],
  complete: "volume",
  examples: [["volume export data | zstd > data.tar.zst", "a backup; stop what writes to it, or take a clone"]],
  async run(context, { output }, [volume = ""]) {
    await writeArchive(context, output, (stdout) => context.call("volumeExport", { volume }, { stdout }));
    return 0;
  },
});
