import { dockerNetwork } from "../api/shapes/network.ts";
import { define } from "./command.ts";
import { type Context, line } from "./context.ts";
import { bool, text } from "./flags.ts";
import { inspectObjects } from "./inspect-objects.ts";

export const command = define({
  usage: "[flags] NETWORK...",
  summary: "show everything about networks, as Docker's JSON",
  flags: {
    check: bool("", "have the plugins of a CNI network say what is wrong with it"),
    verbose: bool("v", "as without: everything is always shown", { rare: true }),
    format: text("f", "TEMPLATE", "json or a Go template"),
  },
  args: [1, Number.POSITIVE_INFINITY],
  complete: "network",
  examples: [
    ["network inspect -f '{{range .Containers}}{{.Name}} {{end}}' web", "who is in it"],
    ["network inspect --check cni:web", "CNI: are its plugins content"],
  ],
  async run(context, values, args) {
    const find = async (network: string) => dockerNetwork(await context.call("networkInspect", { network }));
    const code = await inspectObjects(context, args, values.format, find);
    return code === 0 && values.check ? check(context, args) : code;
  },
});

/** STATUS and CHECK of CNI: 1 if a plugin is not content. */
async function check(context: Context, networks: readonly string[]): Promise<number> {
  let code = 0;
  for (const network of networks) {
    const { problems } = await context.call("networkCheck", { network });
    for (const problem of problems) await line(context.stderr, `onggi: ${problem}`);
    if (problems.length > 0) code = 1;
  }
  return code;
}
