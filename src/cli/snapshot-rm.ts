import { define } from "./command.ts";
import { each } from "./each.ts";

export const command = define({
  usage: "SNAPSHOT...",
  summary: "remove snapshots; containers that were forked of them stay",
  flags: {},
  args: [1, Number.POSITIVE_INFINITY],
  examples: [["snapshot rm web@1", "its files go with the last fork"]],
  run: (context, _, args) =>
    each(context, args, async (snapshot) => {
      await context.call("snapshotRemove", { snapshot });
      return snapshot;
    }),
});
