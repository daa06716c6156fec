import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool, list, text } from "./flags.ts";

export const command = define({
  usage: "[flags] CONTAINER [NAME[:TAG]]",
  summary: "make an image of a container",
  flags: {
    author: text("a", "TEXT", "who made it"),
    change: list("c", "INSTRUCTION", "Dockerfile instruction to apply, as in 'CMD [\"sh\"]'"),
    message: text("m", "TEXT", "comment for the history"),
    pause: bool("p", "freeze the container meanwhile (true)"),
  },
  args: [1, 2],
  complete: "container",
  examples: [["commit -c 'CMD [\"serve\"]' web mine:1", "its image, what it has changed, and another command"]],
  async run(context, values, [container = "", name]) {
    const { id } = await context.call("commit", {
      container,
      ...(name === undefined ? {} : { name }),
      ...(values.author === undefined ? {} : { author: values.author }),
      ...(values.message === undefined ? {} : { message: values.message }),
      ...(values.change ? { changes: values.change } : {}),
      ...(values.pause === undefined ? {} : { pause: values.pause }),
    });
    await line(context.stdout, id);
    return 0;
  },
});
