import { type Context, line } from "./context.ts";
import { UsageError } from "./errors.ts";

/** How a list is printed: as a table, by a Go template, as JSON lines. */

/** What a row shows under each field name; a function is a method of templates. */
export type Row = Readonly<Record<string, unknown>>;

export interface Listing {
  /** Field names to column titles, for every field that a table may show. */
  readonly headers: Readonly<Record<string, string>>;
  /** Fields of the table when no format is given. */
  readonly columns: readonly string[];
}

/** Docker lets formats spell tabs and line ends. */
export const unescapeFormat = (format: string): string => format.replaceAll("\\t", "\t").replaceAll("\\n", "\n");

const shown = (value: unknown): string => (value === undefined || value === null ? "" : String(value));

/** Prints rows. `format`: absent or "table" for the table, "table TEMPLATE", "json", or a template for each row. */
export async function printRows(
  context: Context,
  listing: Listing,
  rows: readonly Row[],
  format: string | undefined,
): Promise<void> {
  // One write: a thousand rows are not a thousand system calls.
  const lines = await renderRows(listing, rows, format);
  if (lines.length > 0) await line(context.stdout, lines.join("\n"));
}

export async function renderRows(listing: Listing, rows: readonly Row[], format: string | undefined): Promise<string[]> {
  const { headers, columns } = listing;
  if (format === undefined || format.trim() === "table") {
    const { table } = await import("../lib/table.ts");
    return table(
      columns.map((column) => headers[column] ?? column),
      rows.map((row) => columns.map((column) => shown(row[column]))),
    );
  }
  const { compile, toJson } = await import("../lib/template.ts");
  if (format === "json") return rows.map((row) => toJson(plain(row)));
  if (!format.startsWith("table ")) {
    const template = compile(unescapeFormat(format));
    return rows.map(template);
  }
  const { alignTabs } = await import("../lib/table.ts");
  const { visible } = await import("../lib/printable.ts");
  const template = compile(unescapeFormat(format.slice("table ".length)));
  return alignTabs([template(headerRow(headers)), ...rows.map((row) => template(mapTexts(row, visible)))]);
}

/** A row with all that its fields and methods say changed. */
const mapTexts = (row: Row, change: (text: string) => string): Row => {
  const changed = (value: unknown): unknown => {
    if (typeof value === "function") return (...args: unknown[]) => changed(value(...args));
    return typeof value === "string" ? change(value) : value;
  };
  return Object.fromEntries(Object.entries(row).map(([field, value]) => [field, changed(value)]));
};

/** Titles in place of values; a method shows its argument's last part, as `{{.Label "com.example.app"}}` shows "app". */
const headerRow = (headers: Readonly<Record<string, string>>): Row => ({
  ...headers,
  Label: (key: unknown) => String(key).split(/[./]/).at(-1)?.replace(/[-_]/g, " ") ?? "",
});

const plain = (row: Row): Row => Object.fromEntries(Object.entries(row).filter(([, value]) => typeof value !== "function"));

/** --quiet; as with Docker a format of the user's own says more. */
export const namesOnly = ({ quiet, format }: { quiet?: boolean; format?: string }): boolean =>
  (quiet ?? false) && (format === undefined || format === "table");

/** "KEY=VALUE" of --filter, collected. Throws UsageError. */
export function parseFilters(given: readonly string[] | undefined): Record<string, string[]> | undefined {
  if (!given) return undefined;
  const filters: Record<string, string[]> = {};
  for (const filter of given) {
    const [key = "", value] = filter.split(/=(.*)/s);
    if (key.trim() === "" || value === undefined) throw new UsageError(`--filter "${filter}": write KEY=VALUE`);
    const name = key.trim().toLowerCase();
    filters[name] = [...(filters[name] ?? []), value];
  }
  return filters;
}

/** As Docker prints labels: "a=1,b=2". */
export const joinLabels = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");

/** "2024-05-01 10:00:00 +0000 UTC": a moment as Docker's CreatedAt. */
export const createdAt = (unixSeconds: number): string =>
  `${new Date(unixSeconds * 1000).toISOString().slice(0, 19).replace("T", " ")} +0000 UTC`;
