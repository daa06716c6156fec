/** Query parameters: typed, documented, read as dockerd reads them. */
import { ApiError } from "./errors.ts";

export interface Parameter<T> {
  /** As in OpenAPI 3.1. */
  readonly document: Readonly<Record<string, unknown>>;
  readonly description: string;
  /** First version of the API that has it, and the first that has not: outside it is passed over. */
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  /** All values given under the name, in order; empty when there is none. Throws ApiError 400. */
  read(values: readonly string[], name: string): T;
}

export type Parameters = Readonly<Record<string, Parameter<unknown>>>;
export type ValuesOf<P extends Parameters> = { [K in keyof P]: P[K] extends Parameter<infer T> ? T : never };

export interface Span {
  readonly since?: string;
  readonly until?: string;
}

/** Docker's: everything but these is true, `?all=yes` too. */
const FALSE = new Set(["", "0", "no", "false", "none"]);

export const bool = (description: string, fallback = false, span: Span = {}): Parameter<boolean> => ({
  document: { type: "boolean", default: fallback },
  description,
  ...span,
  read: ([value]) => (value === undefined ? fallback : !FALSE.has(value.trim().toLowerCase())),
});

/** Undefined where it is absent or empty. */
export const string = (description: string, span: Span = {}): Parameter<string | undefined> => ({
  document: { type: "string" },
  description,
  ...span,
  read: ([value]) => value || undefined,
});

export const strings = (description: string, span: Span = {}): Parameter<readonly string[]> => ({
  document: { type: "array", items: { type: "string" } },
  description,
  ...span,
  read: (values) => values,
});

export const integer = (description: string, span: Span = {}): Parameter<number | undefined> => ({
  document: { type: "integer" },
  description,
  ...span,
  read: ([value], name) => {
    if (value === undefined || value === "") return undefined;
    if (!/^[+-]?\d{1,15}$/.test(value))
      throw new ApiError(400, `invalid value for ${name}: ${JSON.stringify(value)} is no whole number`);
    return Number(value);
  },
});

export type Filters = Record<string, string[]>;

/** JSON: `{"label": ["a", "b"]}`, or as old clients write it `{"label": {"a": true, "b": true}}`; the two are not mixed. */
export const filters = (keys: readonly string[], span: Span = {}): Parameter<Filters> => ({
  document: { type: "string" },
  description: `JSON, a list of values by key: ${keys.join(", ")}`,
  ...span,
  read: ([value]) => readFilters(value),
});

function readFilters(value: string | undefined): Filters {
  if (value === undefined || value === "") return {};
  const bad = (): never => {
    throw new ApiError(400, `invalid filters: ${JSON.stringify(value.slice(0, 200))} is no JSON object of lists of strings`);
  };
  let parsed: unknown;
  try {
    parsed = JSON.parse(value);
  } catch {
    return bad();
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return bad();
  const entries = Object.entries(parsed);
  if (entries.some(([, given]) => Array.isArray(given)) && entries.some(([, given]) => !Array.isArray(given))) return bad();
  return Object.fromEntries(
    entries.map(([key, given]): [string, string[]] => {
      if (Array.isArray(given)) return [key, given.every((one) => typeof one === "string") ? given : bad()];
      if (typeof given !== "object" || given === null || !Object.values(given).every((set) => typeof set === "boolean"))
        return bad();
      return [key, Object.entries(given).flatMap(([one, set]) => (set ? [one] : []))];
    }),
  );
}

/** By name, decoded. Throws ApiError 400. */
export function parseQuery(query: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  if (query === "") return found;
  for (const pair of query.split("&")) {
    if (pair === "") continue;
    const [name, value] = pair.split(/=(.*)/s, 2).map(decode);
    const values = found.get(name!);
    if (values) values.push(value ?? "");
    else found.set(name!, [value ?? ""]);
  }
  return found;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part.replaceAll("+", " "));
  } catch {
    throw new ApiError(400, `invalid URL escape in ${JSON.stringify(part.slice(0, 100))}`);
  }
}
