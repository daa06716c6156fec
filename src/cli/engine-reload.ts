import { define } from "./command.ts";
import { line } from "./context.ts";

export const command = define({
  usage: "",
  summary: "have the engine read its settings anew",
  flags: {},
  args: [0, 0],
  examples: [["engine reload", "after engine.toml was changed; as SIGHUP does"]],
  async run(context) {
    const { changed, pending } = await context.callRunning("reload", {});
    await line(context.stdout, changed.length === 0 ? "nothing has changed" : `changed: ${changed.join(", ")}`);
    if (pending.length > 0)
      await line(context.stderr, `for the next engine (onggi engine stop, then start): ${pending.join(", ")}`);
    return 0;
  },
});
