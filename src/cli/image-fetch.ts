import { statSync } from "node:fs";
import { resolve } from "node:path";
import { credentialsOf } from "../credentials/credentials.ts";
import { define } from "./command.ts";
import { line, localOnly } from "./context.ts";
import { UsageError } from "./errors.ts";
import { bool, text } from "./flags.ts";

export const command = define({
  usage: "[flags] NAME[:TAG|@DIGEST]",
  summary: "fetch the files of an artifact, or of those that refer to an image",
  flags: {
    "artifact-type": text("", "TYPE", "of what refers to the image; without it NAME is the artifact"),
    platform: text("", "OS/ARCH[/VARIANT]", "of an index: what refers to that platform's manifest"),
    output: text("o", "DIR", "into that directory; without it the one file goes to standard output", { complete: "directory" }),
    insecure: bool("", "the registry may be insecure"),
  },
  args: [1, 1],
  complete: "image",
  examples: [
    ["image fetch --artifact-type application/spdx+json reg.example/app:1", "its SBOM"],
    ["image fetch -o files reg.example/app@sha256:...", "all files of the artifact of that digest"],
  ],
  async run(context, { "artifact-type": artifactType, platform, output, insecure }, [image = ""]) {
    if (output !== undefined) localOnly(context, "the directory of image fetch");
    const directory = output === undefined ? undefined : resolve(context.cwd, output);
    if (directory !== undefined && !statSync(directory, { throwIfNoEntry: false })?.isDirectory())
      throw new UsageError(`${output}: there is no such directory`);
    const request = {
      ...{ image, auths: await credentialsOf(context, [image]) },
      ...(artifactType === undefined ? {} : { artifactType }),
      ...(platform === undefined ? {} : { platform }),
      ...(directory === undefined ? {} : { directory }),
      ...(insecure ? { insecure } : {}),
    };
    const { files } = await context.call("imageFetch", request, { stdout: (chunk) => context.stdout.write(chunk) });
    for (const { path } of files) if (path !== null) await line(context.stdout, path);
    return 0;
  },
});
