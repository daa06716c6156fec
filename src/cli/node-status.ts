import { define } from "./command.ts";
import { line } from "./context.ts";
import { text } from "./flags.ts";
import { inspectObjects } from "./inspect-objects.ts";

export const command = define({
  usage: "[flags]",
  summary: "show how this host stands with its cluster",
  flags: { format: text("f", "TEMPLATE", "json or a Go template") },
  args: [0, 0],
  examples: [["node status -f '{{.Connected}} {{.Problem}}'", "can etcd be reached"]],
  async run(context, values) {
    const { status } = await context.call("nodeStatus", {});
    if (status === null) {
      await line(context.stdout, "this host is in no cluster: onggi node join etcd://HOST:2379");
      return 0;
    }
    const { node, endpoints, prefix, connected, problem, fenced } = status;
    const shown = {
      ...{ Node: node.name, ID: node.id, Address: node.address, Etcd: endpoints, Prefix: prefix },
      ...{ Connected: connected, Problem: problem ?? "", Fenced: fenced, Containers: node.containers },
    };
    return inspectObjects(context, [node.name], values.format, async () => shown);
  },
});
