import { sourceOf, transfer } from "./archive.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool } from "./flags.ts";

export const command = define({
  usage: "[flags] VOLUME [FILE|-]",
  summary: "fill a volume, made if it is not there, from a tar: wholly or not at all",
  flags: { merge: bool("", "lay the files over those of a volume that is not empty") },
  args: [1, 2],
  complete: "volume",
  examples: [
    ["volume import data data.tar.zst", "a file; gzip and zstd are seen"],
    ["volume export a | onggi volume import b", "standard input"],
  ],
  async run(context, { merge }, [volume = "", file]) {
    const source = await sourceOf(context, file);
    const request = { volume, ...source.request, ...(merge ? { merge } : {}) };
    const { name } = await transfer(context, "volumeImport", request, { source, quiet: true });
    await line(context.stdout, name);
    return 0;
  },
});
