import { DEFAULT } from "../contexts/contexts.ts";
import { define } from "./command.ts";
import { ContextStore } from "./context-store.ts";
import { each } from "./each.ts";
import { UsageError } from "./errors.ts";
import { bool } from "./flags.ts";

export const command = define({
  usage: "[flags] CONTEXT...",
  summary: "remove contexts",
  flags: { force: bool("f", "also the one in use, and those that are not there") },
  args: [1, Number.POSITIVE_INFINITY],
  complete: "context",
  examples: [["context rm -f far", "also where it is in use"]],
  run(context, { force }, names) {
    const store = new ContextStore(context.env);
    return each(context, names, async (name) => {
      if (name === DEFAULT) throw new UsageError('context "default" cannot be removed');
      const current = store.current === name;
      if (current && !force) throw new UsageError(`context ${JSON.stringify(name)} is in use, set -f flag to force remove`);
      if (!force || store.has(name)) store.remove(name);
      if (current) store.use(DEFAULT);
      return name;
    });
  },
});
