/** Docker's filters: { status: "running", label: ["team=jars", "tier"] }. */
export type Filters = Readonly<Record<string, string | readonly string[]>>;

/** @internal */
export const filtersOf = (filters: Filters): Record<string, string[]> =>
  Object.fromEntries(Object.entries(filters).map(([key, values]) => [key, typeof values === "string" ? [values] : [...values]]));
