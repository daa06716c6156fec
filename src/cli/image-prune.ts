import { decimalSize } from "../lib/units.ts";
import { define } from "./command.ts";
import { type Context, line } from "./context.ts";
import { UsageError } from "./errors.ts";
import { bool, list } from "./flags.ts";
import { parseFilters } from "./listing.ts";

export const command = define({
  usage: "[flags]",
  summary: "remove images without a name that no container needs",
  flags: {
    all: bool("a", "named ones as well"),
    filter: list("", "KEY=VALUE", "only those: until, label, label!"),
    force: bool("f", "do not ask"),
  },
  args: [0, 0],
  examples: [["image prune -af --filter until=240h", "what is older than ten days"]],
  async run(context, values) {
    const filters = parseFilters(values.filter);
    if (!values.force && !(await agreed(context, values.all ?? false))) return 0;
    const request = { ...(values.all ? { all: true } : {}), ...(filters ? { filters } : {}) };
    const { untagged, deleted, reclaimed } = await context.call("imagePrune", request);
    if (untagged.length + deleted.length > 0) {
      await line(context.stdout, "Deleted Images:");
      for (const name of untagged) await line(context.stdout, `untagged: ${name}`);
      for (const id of deleted) await line(context.stdout, `deleted: ${id}`);
      await line(context.stdout, "");
    }
    await line(context.stdout, `Total reclaimed space: ${decimalSize(reclaimed)}`);
    return 0;
  },
});

async function agreed(context: Context, all: boolean): Promise<boolean> {
  const terminal = await context.terminal();
  if (!terminal.isTerminal(0)) throw new UsageError("nobody is there to be asked: use --force");
  const what = all ? "all images that no container needs" : "all images without a name that no container needs";
  await context.stderr.write(`WARNING! This will remove ${what}.\nAre you sure you want to continue? [y/N] `);
  let answer = "";
  for await (const chunk of context.stdin()) {
    answer += new TextDecoder().decode(chunk);
    if (answer.includes("\n")) break;
  }
  return /^y(es)?$/i.test(answer.trim());
}
