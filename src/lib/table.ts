import { visible } from "./printable.ts";

/**
 * Columns of text as Go's text/tabwriter aligns them with the settings Docker uses: cells at least 10 wide, 3 spaces between; but
 * with what a terminal takes for characters of East Asia, emoji and combining ones.
 */

const MIN_WIDTH = 10;
const PADDING = 3;

/**
 * Aligns rows whose cells are separated by tabs. A column is as wide as its widest cell among adjacent rows that have it, with
 * `padding`, and at least `minWidth`; the last cell of a row is not padded. Returns one line per row, without newlines.
 */
export function alignTabs(rows: readonly string[], minWidth = MIN_WIDTH, padding = PADDING): string[] {
  const cells = rows.map((row) => row.split("\t"));
  const widths = cells.map((row) => row.slice(0, -1).map((cell) => widthOf(cell)));
  const lines = cells.map(() => "");
  const columns = Math.max(0, ...cells.map((row) => row.length));
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < cells.length; ) {
      // a block: neighbouring rows in which this column is ended by a tab
      let end = row;
      while (end < cells.length && column < (widths[end]?.length ?? 0)) end++;
      if (end === row) {
        const cell = cells[row]?.[column];
        if (cell !== undefined) lines[row] += cell;
        row++;
        continue;
      }
      const widest = Math.max(...widths.slice(row, end).map((row) => row[column] ?? 0));
      // as tabwriter: a column of nothing takes no room
      const width = widest === 0 ? 0 : Math.max(minWidth, widest + padding);
      for (; row < end; row++) lines[row] += cells[row]![column]! + " ".repeat(Math.max(0, width - widths[row]![column]!));
    }
  }
  return lines;
}

/** Columns that it takes of a terminal. */
const widthOf = (text: string): number => Bun.stringWidth(text, { countAnsiEscapeCodes: true });

/** `rows` under `headers`; cells may be of others' text. */
export const table = (headers: readonly string[], rows: readonly (readonly string[])[]): string[] =>
  alignTabs([headers, ...rows].map((row) => row.map(visible).join("\t")));

/** At most `columns` wide, the last an ellipsis if something was cut. */
export function ellipsis(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  if (columns < 1) return "";
  let kept = "";
  let left = columns - 1;
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    left -= widthOf(segment);
    if (left < 0) break;
    kept += segment;
  }
  return `${kept}…`;
}
