import { alignTabs } from "../../lib/table.ts";
import { command } from "./command.ts";
import { stateShape } from "./state.ts";

/** What runc gives text/tabwriter: cells at least 12 wide. */
const CELL_WIDTH = 12;

export const list = command({
  summary: "list the containers below the root directory",
  operands: "",
  description: "The root directory is that of the global option --root.",
  flags: {
    format: { kind: "string", short: "f", help: 'table or json (default: "table")' },
    quiet: { kind: "bool", short: "q", help: "print ids only" },
  },
  arity: [0, 0],
  async run({ values, ports, runtime }) {
    const states = await (await runtime()).list();
    const { format = "table", quiet } = values;
    if (quiet) ports.stdout(states.map(({ id }) => `${id}\n`).join(""));
    else if (format === "json") ports.stdout(`${states.length === 0 ? "null" : JSON.stringify(states.map(stateShape))}\n`);
    else if (format === "table") {
      const rows = states.map(({ id, pid, status, bundle, created, owner }) =>
        [id, pid, status, bundle, created, owner].join("\t"),
      );
      const lines = alignTabs(["ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER", ...rows], CELL_WIDTH);
      ports.stdout(`${lines.join("\n")}\n`);
    } else throw new Error("invalid format option");
    return 0;
  },
});
