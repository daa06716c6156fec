import { DEFAULT, metaOf } from "../contexts/contexts.ts";
import { define } from "./command.ts";
import type { Context } from "./context.ts";
import { ContextStore } from "./context-store.ts";
import { text } from "./flags.ts";
import { inspectObjects } from "./inspect-objects.ts";

export const command = define({
  usage: "[flags] [CONTEXT...]",
  summary: "show everything about contexts, or about the one in force",
  flags: { format: text("f", "TEMPLATE", "json or a Go template") },
  args: [0, Number.POSITIVE_INFINITY],
  complete: "context",
  examples: [["context inspect -f '{{.Endpoints.docker.Host}}'", "where commands go"]],
  run: (context, { format }, names) =>
    inspectObjects(context, names.length > 0 ? names : [context.selected.context], format, async (name) => shown(context, name)),
});

function shown(context: Context, name: string): object {
  const store = new ContextStore(context.env);
  const own = name === DEFAULT;
  return {
    ...(own ? metaOf(DEFAULT, `unix://${context.run}/onggi.sock`, "") : store.get(name)),
    TLSMaterial: {},
    Storage: { MetadataPath: own ? "<IN MEMORY>" : store.pathOf(name), TLSPath: "<IN MEMORY>" },
  };
}
