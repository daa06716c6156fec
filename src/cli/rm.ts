import { define } from "./command.ts";
import { each } from "./each.ts";
import { bool } from "./flags.ts";

export const command = define({
  usage: "[flags] CONTAINER...",
  summary: "remove containers",
  flags: {
    force: bool("f", "kill those that run; none there is no error"),
    volumes: bool("v", "with their anonymous volumes"),
    link: bool("l", "no containers, but links of theirs, as in /web/db"),
  },
  args: [1, Number.POSITIVE_INFINITY],
  complete: "container",
  examples: [["rm -f web", "even if it runs"]],
  run(context, values, args) {
    const remove = async (container: string): Promise<string> => {
      if (values.link) {
        await context.call("removeLink", { link: container });
        return container;
      }
      await context.call("remove", {
        container,
        ...(values.force ? { force: true } : {}),
        ...(values.volumes ? { volumes: true } : {}),
      });
      return container;
    };
    return each(context, args, remove, values.force ? "container_not_found" : undefined);
  },
});
