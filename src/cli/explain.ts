import { define } from "./command.ts";
import { containerFlags } from "./container-flags.ts";
import { containerRequest } from "./container-request.ts";
import { type Context, line } from "./context.ts";
import { bool, parseFlags, type Values } from "./flags.ts";

const flags = {
  json: bool("", "the plan as JSON"),
  detach: bool("d", "as in run; changes nothing here", { rare: true }),
  rm: bool("", "as in run; changes nothing here", { rare: true }),
  ...containerFlags,
};

export const command = define({
  usage: "[flags of create] IMAGE [COMMAND] [ARG...]",
  summary: "show every kernel call a container would take, grouped and with its reason, without making it",
  flags,
  args: [1, Number.POSITIVE_INFINITY],
  flagsFirst: true,
  complete: "image",
  failure: 125,
  examples: [
    ["explain busybox", "the calls"],
    ["explain --memory 64m --read-only busybox", "what these flags add"],
  ],
  async run(context, values, args) {
    if ((args[0] === "run" || args[0] === "create") && args.length > 1) {
      // reads like the command it explains: "explain run -m 64m busybox"
      const again = parseFlags(flags, args.slice(1), false);
      return explain(context, { ...values, ...again.values }, again.args);
    }
    return explain(context, values, args);
  },
});

async function explain(context: Context, values: Values<typeof flags>, args: readonly string[]): Promise<number> {
  const { text, plan } = await context.call("explain", { container: await containerRequest(values, args, context) });
  await line(context.stdout, values.json ? JSON.stringify(plan, null, 2) : text.trimEnd());
  return 0;
}
