import { label } from "../../compose/labels.ts";
import { compare } from "../../compose/observe.ts";
import { toJson } from "../../lib/template.ts";
import { line } from "../context.ts";
import { UsageError } from "../errors.ts";
import { bool, list, text } from "../flags.ts";
import { type Listing, parseFilters, printRows } from "../listing.ts";
import { defineCompose } from "./command.ts";

const listing: Listing = {
  headers: { Name: "NAME", Status: "STATUS", ConfigFiles: "CONFIG FILES" },
  columns: ["Name", "Status", "ConfigFiles"],
};

export const command = defineCompose({
  usage: "[flags]",
  summary: "list projects",
  flags: {
    all: bool("a", "those that do not run, too"),
    quiet: bool("q", "names only"),
    filter: list("", "name=PATTERN", "only those"),
    format: text("", "TEMPLATE", "table, json or a Go template"),
  },
  args: [0, 0],
  examples: [["compose ls -a", "all of them, whoever made them"]],
  async run({ context }, values) {
    const { name: names, ...others } = parseFilters(values.filter) ?? {};
    const [unknown] = Object.keys(others);
    if (unknown !== undefined) throw new UsageError(`--filter ${unknown}: there is only name`);
    const filters = { label: [label.project, label.hash] };
    const { containers } = await context.call("list", { filters, ...(values.all ? { all: true } : {}) });
    const projects = Map.groupBy(containers, ({ labels }) => labels[label.project]!);
    const rows = [...projects]
      .filter(([name]) => !names || names.some((pattern) => new RegExp(pattern).test(name)))
      .sort(([a], [b]) => compare(a, b))
      .map(([name, members]) => ({
        Name: name,
        Status: statusOf(members.map(({ state }) => state)),
        ConfigFiles: [...new Set(members.flatMap(({ labels }) => (labels[label.files] ?? "").split(",")))].join(","),
      }));
    if (values.quiet) for (const { Name } of rows) await line(context.stdout, Name);
    else if (values.format === "json") await line(context.stdout, toJson(rows));
    else await printRows(context, listing, rows, values.format);
    return 0;
  },
});

/** "exited(1), running(2)". */
const statusOf = (states: readonly string[]): string =>
  [...Map.groupBy(states, (state) => state)]
    .sort(([a], [b]) => compare(a, b))
    .map(([state, all]) => `${state}(${all.length})`)
    .join(", ");
