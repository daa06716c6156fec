/** Filters that lists and prunes of several kinds of things have. */
import { OnggiError } from "../lib/errors.ts";
import { lookUp } from "../lib/tables.ts";
import { parseMoment } from "../lib/time.ts";

export type Labels = Readonly<Record<string, string>>;

/** Whether there is the label "key", or "key=value". */
export function isLabelled(labels: Labels | undefined, wanted: string): boolean {
  const [key = "", value] = wanted.split(/=(.*)/s);
  const actual = labels === undefined ? undefined : lookUp(labels, key);
  return actual !== undefined && (value === undefined || value === actual);
}

/** A pattern anywhere in the text; text that is no pattern is looked for as it stands. */
export function pattern(value: string): RegExp {
  try {
    return new RegExp(value);
  } catch {
    return new RegExp(value.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  }
}

/** Unix seconds, with a fraction, of a moment or of a duration before now. Throws "invalid_filter". */
export function momentOf(filter: string, value: string): number {
  const moment = parseMoment(value);
  if (moment === undefined)
    throw new OnggiError("invalid_filter", `${filter}=${value}: neither a moment nor a duration like 24h`);
  return Number(moment) / 1e9;
}

/** What a prune looks at. */
export interface Prunable {
  /** Unix seconds. */
  readonly created: number;
  readonly labels: Labels | undefined;
}

type Test = (thing: Prunable) => boolean;

const pruneFilters: Readonly<Record<string, (values: readonly string[]) => Test>> = {
  until: (values) => {
    const limit = Math.min(...values.map((value) => momentOf("until", value)));
    return ({ created }) => created < limit;
  },
  label: (values) => (thing) => values.every((value) => isLabelled(thing.labels, value)),
  "label!": (values) => (thing) => !values.some((value) => isLabelled(thing.labels, value)),
};

/** What Docker's prunes filter by: until, label, label!; all of them must hold. Throws "invalid_filter". */
export function pruneTest(filters: Readonly<Record<string, readonly string[]>>): Test {
  const tests = Object.entries(filters).map(([key, values]) => {
    const make = lookUp(pruneFilters, key);
    if (!make) throw new OnggiError("invalid_filter", `no such filter: ${key}; one of ${Object.keys(pruneFilters).join(", ")}`);
    return make(values);
  });
  return (thing) => tests.every((test) => test(thing));
}
