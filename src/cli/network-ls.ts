import type { AnyNetwork } from "../api/control/types.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool, list, text } from "./flags.ts";
import { joinLabels, type Listing, namesOnly, parseFilters, printRows, type Row } from "./listing.ts";

const listing: Listing = {
  headers: {
    ID: "NETWORK ID",
    Name: "NAME",
    Driver: "DRIVER",
    Scope: "SCOPE",
    IPv4: "IPV4",
    IPv6: "IPV6",
    Internal: "INTERNAL",
    Labels: "LABELS",
    CreatedAt: "CREATED AT",
    Subnets: "SUBNETS",
  },
  columns: ["ID", "Name", "Driver", "Scope"],
};

export const command = define({
  usage: "[flags]",
  summary: "list networks",
  flags: {
    quiet: bool("q", "ids only"),
    filter: list("f", "KEY=VALUE", "only those: id, name, driver, label, scope, type, dangling"),
    "no-trunc": bool("", "whole ids"),
    format: text("", "TEMPLATE", "table, json or a Go template"),
  },
  args: [0, 0],
  examples: [["network ls --format '{{.Name}}: {{.Subnets}}'", "a form of your own"]],
  async run(context, values) {
    const filters = parseFilters(values.filter);
    const { networks } = await context.call("networkList", filters ? { filters } : {});
    const sorted = [...networks].sort((a, b) => byNumber.compare(a.name, b.name));
    const whole = values["no-trunc"] ?? false;
    if (namesOnly(values)) {
      if (sorted.length > 0) await line(context.stdout, sorted.map(({ id }) => shownId(id, whole)).join("\n"));
      return 0;
    }
    await printRows(
      context,
      listing,
      sorted.map((network) => rowOf(network, whole)),
      values.format,
    );
    return 0;
  },
});

/** web9 comes before web10, as with Docker. */
const byNumber = new Intl.Collator("en", { numeric: true, caseFirst: "upper" });

/** As Docker writes it: "2024-05-01 10:00:00.123 +0000 UTC". */
const createdAt = (moment: string): string => moment.replace("T", " ").replace(/Z$/, " +0000 UTC");

const shownId = (id: string, whole: boolean): string => (whole ? id : id.slice(0, 12));

const rowOf = (network: AnyNetwork, whole: boolean): Row => ({
  ID: shownId(network.id, whole),
  Name: network.name,
  Driver: network.driver,
  Scope: network.driver === "overlay" ? "global" : "local",
  IPv4: String(network.ipv4),
  IPv6: String(network.ipv6),
  Internal: String(network.internal),
  Labels: joinLabels(network.labels),
  Label: (key: unknown) => network.labels[String(key)] ?? "",
  CreatedAt: createdAt(network.created),
  Subnets: network.pools.map(({ subnet }) => subnet).join(", "),
});
