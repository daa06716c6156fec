import { define } from "./command.ts";
import { text, list as texts } from "./flags.ts";

export const command = define({
  usage: "[flags] LIST IMAGE",
  summary: "say what a member of a list is for",
  flags: {
    os: text("", "OS", "operating system"),
    arch: text("", "ARCH", "architecture"),
    variant: text("", "VARIANT", 'of the architecture, as "v7"'),
    "os-version": text("", "VERSION", "of the operating system"),
    "os-features": texts("", "FEATURE[,...]", "of the operating system"),
  },
  args: [2, 2],
  examples: [["manifest annotate --arch arm --variant v6 reg.example/app:1 pi:1", "what its configuration does not say"]],
  async run(context, values, [list = "", image = ""]) {
    const { os, arch, variant, "os-version": osVersion, "os-features": features } = values;
    const osFeatures = features?.flatMap((each) => each.split(",")).filter((each) => each !== "");
    await context.call("manifestAnnotate", {
      ...{ list, image },
      ...(os === undefined ? {} : { os }),
      ...(arch === undefined ? {} : { architecture: arch }),
      ...(variant === undefined ? {} : { variant }),
      ...(osVersion === undefined ? {} : { osVersion }),
      ...(osFeatures === undefined ? {} : { osFeatures }),
    });
    return 0;
  },
});
