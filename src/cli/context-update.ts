import { define } from "./command.ts";
import { line } from "./context.ts";
import { changed, contextFlags } from "./context-flags.ts";
import { ContextStore, checkName } from "./context-store.ts";

export const command = define({
  usage: "[flags] CONTEXT",
  summary: "change a context",
  flags: contextFlags,
  args: [1, 1],
  complete: "context",
  examples: [["context update build --description 'the fast one'", ""]],
  async run(context, given, [name = ""]) {
    checkName(name);
    const store = new ContextStore(context.env);
    store.write(changed(store.get(name), given));
    await line(context.stdout, name);
    await line(context.stderr, `Successfully updated context "${name}"`);
    return 0;
  },
});
