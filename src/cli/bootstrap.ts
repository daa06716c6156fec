import { transfer } from "./archive.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool, text } from "./flags.ts";

export const command = define({
  usage: "[flags] busybox|debian[:SUITE]",
  summary: "make an image without a registry: of this host's static busybox, or of Debian's packages",
  flags: { name: text("", "NAME[:TAG]", "name of the image"), quiet: bool("q", "no progress") },
  args: [1, 1],
  complete: ["busybox", "debian"],
  examples: [
    ["image bootstrap busybox", "a small image at once"],
    ["image bootstrap debian:bookworm", "Debian, by mmdebstrap"],
  ],
  async run(context, values, [distribution = ""]) {
    const request = { distribution, ...(values.name === undefined ? {} : { name: values.name }) };
    const image = await transfer(context, "bootstrap", request, values);
    await line(context.stdout, image.names[0] ?? image.id);
    return 0;
  },
});
