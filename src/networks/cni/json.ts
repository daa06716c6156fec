/** JSON of others. Pure. */

export type JsonObject = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const isText = (value: unknown): value is string => typeof value === "string";

type Raw = { rawJSON(text: string): unknown };

/**
 * As JSON.parse, but an integer of more than 53 bits stays as it was written: what plugins are passed must be what the administrator
 * wrote (specification 1.1, section 1: "pass through these fields, unchanged").
 * @throws SyntaxError
 */
export const parseJson = (text: string): unknown =>
  JSON.parse(text, (_key, value: unknown, context?: { readonly source?: string }) => {
    if (!Number.isInteger(value) || Number.isSafeInteger(value)) return value;
    const source = context?.source ?? "";
    return /^-?\d+$/.test(source) ? (JSON as unknown as Raw).rawJSON(source) : value;
  });
