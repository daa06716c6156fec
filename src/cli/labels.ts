import { UsageError } from "./errors.ts";

/** "KEY=VALUE" or "KEY" each; undefined for none. Throws UsageError. */
export function labelsOf(lines: readonly string[] | undefined): Record<string, string> | undefined {
  if (!lines || lines.length === 0) return undefined;
  return Object.fromEntries(
    lines.map((line) => {
      const [key = "", value = ""] = line.split(/=(.*)/s);
      if (key === "") throw new UsageError(`--label "${line}": write KEY=VALUE`);
      return [key, value];
    }),
  );
}
