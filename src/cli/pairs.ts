import { UsageError } from "./errors.ts";

/** "KEY=VALUE" each; undefined for none. Throws UsageError. */
export function pairs(given: readonly string[] | undefined, flag: string): Record<string, string> | undefined {
  if (!given) return undefined;
  return Object.fromEntries(
    given.map((pair) => {
      const [key = "", value] = pair.split(/=(.*)/s);
      if (key === "" || value === undefined) throw new UsageError(`${flag} "${pair}": write KEY=VALUE`);
      return [key, value];
    }),
  );
}
