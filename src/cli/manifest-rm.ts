import { define } from "./command.ts";
import { each } from "./each.ts";

export const command = define({
  usage: "LIST...",
  summary: "remove lists; what they name stays where it is",
  flags: {},
  args: [1, Number.POSITIVE_INFINITY],
  examples: [["manifest rm reg.example/app:1", "the list here; nothing in the registry"]],
  run: (context, _, lists) =>
    each(context, lists, async (list) => {
      await context.call("manifestRemove", { list });
      return `Deleted: ${list}`;
    }),
});
