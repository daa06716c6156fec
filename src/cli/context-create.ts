import { DEFAULT, metaOf } from "../contexts/contexts.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { changed, contextFlags } from "./context-flags.ts";
import { ContextStore } from "./context-store.ts";
import { UsageError } from "./errors.ts";
import { text } from "./flags.ts";

export const command = define({
  usage: "[flags] CONTEXT",
  summary: "give an engine elsewhere a name",
  flags: { ...contextFlags, from: text("", "CONTEXT", "as that one, but for what is said here", { complete: "context" }) },
  args: [1, 1],
  examples: [["context create build --docker host=ssh://ann@build.example", "then: onggi --context build ps"]],
  async run(context, { from, ...given }, [name = ""]) {
    const store = new ContextStore(context.env);
    if (from === undefined && given.docker === undefined) throw new UsageError("say which engine: --docker host=ssh://USER@HOST");
    if (from === DEFAULT && given.docker === undefined)
      throw new UsageError('"default" is the engine of this host, and cannot be copied');
    const base = from === undefined || from === DEFAULT ? metaOf(name, "", "") : store.get(from);
    store.create(changed({ ...base, Name: name }, given));
    await line(context.stdout, name);
    await line(context.stderr, `Successfully created context "${name}"`);
    return 0;
  },
});
