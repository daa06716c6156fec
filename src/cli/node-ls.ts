import type { Node } from "../api/control/types.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool, text } from "./flags.ts";
import { type Listing, namesOnly, printRows, type Row } from "./listing.ts";

const listing: Listing = {
  headers: {
    ID: "ID",
    Name: "NAME",
    Address: "ADDRESS",
    Status: "STATUS",
    Containers: "CONTAINERS",
    Joined: "JOINED",
    Self: "SELF",
  },
  columns: ["Name", "Address", "Status", "Containers", "Joined"],
};

export const command = define({
  usage: "[flags]",
  summary: "list the hosts that share overlay networks with this one",
  flags: {
    quiet: bool("q", "names only"),
    format: text("", "TEMPLATE", "table, json or a Go template"),
  },
  args: [0, 0],
  examples: [["node ls --format '{{.Name}} {{.Status}}'", "a form of your own"]],
  async run(context, values) {
    const { nodes } = await context.call("nodeList", {});
    if (namesOnly(values)) {
      for (const { name } of nodes) await line(context.stdout, name);
      return 0;
    }
    await printRows(context, listing, nodes.map(rowOf), values.format);
    return 0;
  },
});

const rowOf = ({ id, name, address, status, containers, joined, isSelf }: Node): Row => ({
  ID: id,
  Name: isSelf ? `${name} *` : name,
  Address: address,
  Status: status,
  Containers: containers,
  Joined: joined,
  Self: isSelf,
});
