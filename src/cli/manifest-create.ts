import { credentialsOf } from "../credentials/credentials.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool } from "./flags.ts";

export const command = define({
  usage: "[flags] LIST IMAGE...",
  summary: "make a list of images for several platforms",
  flags: {
    amend: bool("a", "add to a list that is there"),
    insecure: bool("", "registries may be insecure"),
  },
  args: [2, Number.POSITIVE_INFINITY],
  complete: "image",
  examples: [
    ["manifest create reg.example/app:1 reg.example/app:{amd64,arm64}", "of what a registry has"],
    ["manifest create reg.example/app:1 app-amd64 app-arm64", "of images here"],
  ],
  async run(context, { amend, insecure }, [list = "", ...images]) {
    const names = images.filter((image) => !/^(sha256:)?[0-9a-f]{64}$/.test(image));
    const auths = await credentialsOf(context, names);
    const request = { list, images, auths, ...(amend ? { amend } : {}), ...(insecure ? { insecure } : {}) };
    const { name } = await context.call("manifestCreate", request);
    await line(context.stdout, `Created manifest list ${name}`);
    return 0;
  },
});
