import { define } from "./command.ts";
import { attachFlags } from "./container-flags.ts";
import type { Context } from "./context.ts";
import { each } from "./each.ts";
import { UsageError } from "./errors.ts";
import { bool } from "./flags.ts";
import { finish, openSession } from "./session.ts";

const flags = {
  attach: bool("a", "attach to its output and wait for it"),
  interactive: bool("i", "attach to its input too"),
  ...attachFlags,
};

export const command = define({
  usage: "[flags] CONTAINER...",
  summary: "start containers that do not run",
  flags,
  args: [1, Number.POSITIVE_INFINITY],
  complete: "container",
  exits: "with -a the container's",
  examples: [["start -ai web", "in the foreground"]],
  async run(context, values, args) {
    if (!values.attach && !values.interactive) {
      return each(context, args, async (container) => {
        await context.call("start", { container });
        return container;
      });
    }
    if (args.length > 1) throw new UsageError("only one container can be attached to at a time");
    return startAttached(context, values, args[0]!);
  },
});

async function startAttached(
  context: Context,
  values: { interactive?: boolean; "detach-keys"?: string; "sig-proxy"?: boolean },
  container: string,
): Promise<number> {
  const { request } = await context.call("inspect", { container });
  const tty = request.tty === true;
  const attach = { stdin: (values.interactive ?? false) && request.openStdin === true, stdout: true, stderr: true };
  const session = await openSession(context, {
    attach,
    tty,
    detachKeys: values["detach-keys"],
    sigProxy: values["sig-proxy"] ?? true,
  });
  try {
    const sized = session.size ? { size: session.size } : {};
    const result = await context.call("start", { container, attach, ...sized }, session.handlers<"start">());
    session.end();
    return await finish(context, result, tty);
  } finally {
    session.end();
  }
}
