import { statSync } from "node:fs";
import { resolve } from "node:path";
import type { AttachFile } from "../api/control/types.ts";
import { credentialsOf } from "../credentials/credentials.ts";
import { define } from "./command.ts";
import { line, localOnly } from "./context.ts";
import { UsageError } from "./errors.ts";
import { bool, list, text } from "./flags.ts";
import { pairs } from "./pairs.ts";

const DEFAULT_TYPE = "application/octet-stream";
const mediaType = /^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}\/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$/;

export const command = define({
  usage: "--artifact-type TYPE [flags] NAME[:TAG|@DIGEST] FILE[:MEDIATYPE]...",
  summary: "store files beside an image in its registry, as an artifact that refers to it",
  flags: {
    "artifact-type": text("", "TYPE", 'what it is, as "application/spdx+json"'),
    annotation: list("a", "KEY=VALUE", "of the artifact"),
    platform: text("", "OS/ARCH[/VARIANT]", "of an index: to that platform's manifest"),
    insecure: bool("", "the registry may be insecure"),
  },
  args: [1, Number.POSITIVE_INFINITY],
  complete: "file",
  examples: [
    ["image attach --artifact-type example/bom reg.example/app:1 sbom.json", "an SBOM"],
    ["image attach --artifact-type example/approved -a by=me reg.example/app:1", "annotations alone"],
  ],
  async run(context, values, [image = "", ...files]) {
    const { "artifact-type": artifactType, annotation, platform, insecure } = values;
    if (artifactType === undefined || !mediaType.test(artifactType))
      throw new UsageError("--artifact-type says what it is, as a media type: application/spdx+json");
    if (files.length > 0) localOnly(context, "the files of image attach");
    const annotations = pairs(annotation, "--annotation");
    const { name } = await context.call("imageAttach", {
      ...{ image, artifactType, files: files.map((file) => fileOf(file, context.cwd)) },
      auths: await credentialsOf(context, [image]),
      ...(annotations ? { annotations } : {}),
      ...(platform === undefined ? {} : { platform }),
      ...(insecure ? { insecure } : {}),
    });
    await line(context.stdout, name);
    return 0;
  },
});

/** "FILE" or "FILE:MEDIATYPE"; a colon that no media type follows is of the file's name. Throws UsageError. */
export function fileOf(given: string, cwd: string): AttachFile {
  const colon = given.lastIndexOf(":");
  const typed = colon > 0 && mediaType.test(given.slice(colon + 1));
  const path = resolve(cwd, typed ? given.slice(0, colon) : given);
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) throw new UsageError(`${path}: there is no such file`);
  return { path, mediaType: typed ? given.slice(colon + 1) : DEFAULT_TYPE };
}
