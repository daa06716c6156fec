import { dockerNetwork } from "../api/shapes/network.ts";
import { define } from "./command.ts";
import { text } from "./flags.ts";
import { inspectObjects } from "./inspect-objects.ts";

export const command = define({
  usage: "[flags] NETWORK...",
  summary: "show everything about networks, as Docker's JSON",
  flags: { format: text("f", "TEMPLATE", "json or a Go template") },
  args: [1, Number.POSITIVE_INFINITY],
  complete: "network",
  examples: [["network inspect -f '{{range .Containers}}{{.Name}} {{end}}' web", "who is in it"]],
  run: (context, values, args) =>
    inspectObjects(context, args, values.format, async (network) =>
      dockerNetwork(await context.call("networkInspect", { network })),
    ),
});
