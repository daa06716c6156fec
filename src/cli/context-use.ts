import { define } from "./command.ts";
import { line } from "./context.ts";
import { ContextStore } from "./context-store.ts";

export const command = define({
  usage: "CONTEXT",
  summary: "have commands go to that context's engine",
  flags: {},
  args: [1, 1],
  complete: "context",
  examples: [
    ["context use build", "from now on"],
    ["context use default", "this host's engine again"],
  ],
  async run(context, _, [name = ""]) {
    new ContextStore(context.env).use(name);
    await line(context.stdout, name);
    await line(context.stderr, `Current context is now "${name}"`);
    if (context.env.ONGGI_HOST)
      await line(context.stderr, "Warning: ONGGI_HOST overrides the context that is in use: give --context, or unset it.");
    return 0;
  },
});
