/** The table that `make bench` prints and the JSON it writes. */
import { quantile } from "./measure.ts";

/** One comparison of the target list. */
export interface Row {
  readonly what: string;
  /** Our figure and the other side's, in `unit`. */
  readonly onggi: number | null;
  readonly other: number | null;
  readonly otherName: string;
  readonly unit: string;
  /** Bound on `ratio`: onggi / other, or the absolute figure when there is no other side. */
  readonly target?: { readonly atMost?: number; readonly atLeast?: number; readonly absolute?: number };
  /** Why a figure is missing, or what to know when reading it. */
  readonly note?: string;
  readonly samples?: Readonly<Record<string, readonly number[]>>;
  /** Their unit, if not milliseconds. */
  readonly samplesIn?: string;
}

export interface Report {
  readonly machine: Readonly<Record<string, string | number>>;
  readonly rows: readonly Row[];
  readonly stages: readonly { readonly stage: string; readonly microseconds: number }[];
  readonly floors: Readonly<Record<string, number>>;
}

export const ratio = (row: Row): number | null =>
  row.onggi === null || row.other === null || row.other === 0 ? null : row.onggi / row.other;

/** Whether the target is met; null when there is none or a side is missing. */
export function met(row: Row): boolean | null {
  const { target } = row;
  if (!target || row.onggi === null) return null;
  if (target.absolute !== undefined) return row.onggi <= target.absolute;
  const value = ratio(row);
  if (value === null) return null;
  return target.atMost !== undefined ? value <= target.atMost : value >= target.atLeast!;
}

export function table(rows: readonly Row[]): string {
  const lines = [["what", "onggi", "compared with", "ratio", "target", "", "note"]];
  for (const row of rows) {
    const value = ratio(row);
    const result = met(row);
    lines.push([
      row.what,
      figure(row.onggi, row.unit),
      row.other === null && row.otherName === "" ? "" : `${row.otherName} ${figure(row.other, row.unit)}`,
      value === null ? "" : `${value.toPrecision(value < 1 ? 2 : 3)} x`,
      targetText(row),
      result === null ? "" : result ? "met" : "NOT MET",
      row.note ?? "",
    ]);
  }
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function targetText({ target, unit }: Row): string {
  if (!target) return "";
  if (target.absolute !== undefined) return `<= ${figure(target.absolute, unit)}`;
  return target.atMost !== undefined ? `<= ${target.atMost} x` : `>= ${target.atLeast} x`;
}

const figure = (value: number | null, unit: string): string =>
  value === null ? "-" : `${value >= 100 ? value.toFixed(0) : value.toFixed(2)} ${unit}`;

/** Spread of the samples: median and the middle half, per contestant. */
export function spread(rows: readonly Row[]): string {
  const seen = new Set<readonly number[]>();
  const lines: string[] = [];
  for (const row of rows) {
    for (const [name, values] of Object.entries(row.samples ?? {})) {
      if (seen.has(values) || values.length === 0) continue;
      seen.add(values);
      const [low, middle, high] = [0.25, 0.5, 0.75].map((at) => quantile(values, at).toFixed(2));
      lines.push(
        `  ${`${row.what}: ${name}`.padEnd(60)} median ${middle} ${row.samplesIn ?? "ms"}, middle half ${low} to ${high}, n ${values.length}`,
      );
    }
  }
  return lines.join("\n");
}

/** What DESIGN section 10 says a stage costs the kernel alone (microseconds), to be read beside the engine's stages. */
export const kernelFloors = {
  "clone3 with six namespaces": 680,
  "user namespace with maps": 175,
  "overlay mount (ext4 upper)": 222,
  "EROFS mount (first use of an image)": 57,
  "cgroup v1 in seven hierarchies": 153,
  "proc, tmpfs, sysfs, mqueue, devpts": 60,
  "spawn of a static binary": 650,
} as const;
