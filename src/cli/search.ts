import { ellipsis } from "../lib/table.ts";
import { define } from "./command.ts";
import { bool, integer, list, text } from "./flags.ts";
import { type Listing, parseFilters, printRows } from "./listing.ts";

const listing: Listing = {
  headers: {
    Name: "NAME",
    Description: "DESCRIPTION",
    StarCount: "STARS",
    IsOfficial: "OFFICIAL",
    IsAutomated: "AUTOMATED",
  },
  columns: ["Name", "Description", "StarCount", "IsOfficial"],
};

const mark = (is: boolean): string => (is ? "[OK]" : "");

export const command = define({
  usage: "[flags] [REGISTRY/]TERM",
  summary: "look for images in a registry",
  flags: {
    filter: list("f", "KEY=VALUE", "only those: is-official=true, stars=10"),
    format: text("", "TEMPLATE", "table, json or a Go template"),
    limit: integer("", "N", "how many, at most 100 (25)"),
    "no-trunc": bool("", "descriptions in full"),
  },
  args: [1, 1],
  examples: [
    ["search --filter is-official=true nginx", "at Docker Hub"],
    ["search registry.example:5000/team", "names out of another registry's catalogue"],
  ],
  async run(context, values, [term = ""]) {
    const { credentialsFor } = await import("../credentials/credentials.ts");
    const { parseSearchTerm } = await import("../oci/reference.ts");
    const { domain } = parseSearchTerm(term);
    const auth = await credentialsFor(context, domain);
    const filters = parseFilters(values.filter);
    const { repositories } = await context.call("imageSearch", {
      term,
      ...(values.limit ? { limit: values.limit } : {}),
      ...(filters ? { filters } : {}),
      ...(auth ? { auths: { [domain]: auth } } : {}),
    });
    const rows = repositories.map(({ name, description, starCount, isOfficial, isAutomated }) => {
      const oneLine = description.replaceAll(/[\r\n]+/g, " ");
      return {
        Name: name,
        Description: values["no-trunc"] ? oneLine : ellipsis(oneLine, 45),
        StarCount: starCount,
        IsOfficial: mark(isOfficial),
        IsAutomated: mark(isAutomated),
      };
    });
    await printRows(context, listing, rows, values.format);
    return 0;
  },
});
