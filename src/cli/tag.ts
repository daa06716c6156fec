import { define } from "./command.ts";

export const command = define({
  usage: "IMAGE NAME[:TAG]",
  summary: "give an image another name",
  flags: {},
  args: [2, 2],
  complete: "image",
  examples: [["tag busybox mine:1", "both names mean the same image"]],
  async run(context, _, [image = "", name = ""]) {
    await context.call("imageTag", { image, name });
    return 0;
  },
});
