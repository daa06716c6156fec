/**
 * Shapes of JSON bodies: one value that reads, types and documents. Reading follows what clients of Docker are used to from Go's
 * encoding/json: unknown fields are passed over, null is as good as absent, and a field is found whatever its case.
 *
 *     const request = object({ Image: text("name of the image"), Env: list(text()) });
 *     type Request = Of<typeof request>;   // { Image?: string; Env?: string[] }
 */
import { ApiError } from "./errors.ts";

export interface Schema<T> {
  /** As in OpenAPI 3.1. */
  readonly document: Readonly<Record<string, unknown>>;
  /** The value at `where` ("HostConfig.Memory"). Throws ApiError 400. */
  read(value: unknown, where: string): T;
}

export type Of<S> = S extends Schema<infer T> ? T : never;

const kindOf = (value: unknown): string =>
  value === null ? "null" : Array.isArray(value) ? "a list" : typeof value === "object" ? "an object" : `a ${typeof value}`;

function mismatch(where: string, wanted: string, value: unknown): never {
  throw new ApiError(400, `invalid JSON: ${where || "the body"} must be ${wanted}, and is ${kindOf(value)}`);
}

const described = (document: Record<string, unknown>, description: string | undefined): Record<string, unknown> =>
  description === undefined ? document : { ...document, description };

export const text = (description?: string): Schema<string> => ({
  document: described({ type: "string" }, description),
  read: (value, where) => (typeof value === "string" ? value : mismatch(where, "a string", value)),
});

/** One of these words; the empty one stands for absent. */
export const word = <const W extends string>(words: readonly W[], description?: string): Schema<W | ""> => ({
  document: described({ type: "string", enum: words }, description),
  read: (value, where) => {
    if (typeof value !== "string") return mismatch(where, "a string", value);
    if (value !== "" && !(words as readonly string[]).includes(value))
      throw new ApiError(400, `${where}: ${JSON.stringify(value)} is none of ${words.join(", ")}`);
    return value as W | "";
  },
});

export const flag = (description?: string): Schema<boolean> => ({
  document: described({ type: "boolean" }, description),
  read: (value, where) => (typeof value === "boolean" ? value : mismatch(where, "true or false", value)),
});

/** A whole number that a double holds exactly; beyond that (Docker has int64) it is refused rather than changed. */
export const integer = (description?: string): Schema<number> => ({
  document: described({ type: "integer", format: "int64" }, description),
  read: (value, where) => (Number.isSafeInteger(value) ? (value as number) : mismatch(where, "a whole number", value)),
});

export const number = (description?: string): Schema<number> => ({
  document: described({ type: "number" }, description),
  read: (value, where) => (typeof value === "number" ? value : mismatch(where, "a number", value)),
});

/** Taken as it is. */
export const anything = (description?: string): Schema<unknown> => ({
  document: described({}, description),
  read: (value) => value,
});

export const list = <T>(item: Schema<T>, description?: string): Schema<T[]> => ({
  document: described({ type: "array", items: item.document }, description),
  read: (value, where) => {
    if (!Array.isArray(value)) return mismatch(where, "a list", value);
    return value.map((element, index) => item.read(element, `${where}[${index}]`));
  },
});

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Of any keys. A null among its values is read by `item` only if that takes null. */
export const map = <T>(item: Schema<T>, description?: string): Schema<Record<string, T>> => ({
  document: described({ type: "object", additionalProperties: item.document }, description),
  read: (value, where) => {
    if (!isObject(value)) return mismatch(where, "an object", value);
    // entries, not assignment: "__proto__" is a key like any other
    return Object.fromEntries(Object.entries(value).map(([key, element]) => [key, item.read(element, `${where}.${key}`)]));
  },
});

/** `item`, or null. */
export const nullable = <T>(item: Schema<T>): Schema<T | null> => ({
  document: { anyOf: [item.document, { type: "null" }] },
  read: (value, where) => (value === null ? null : item.read(value, where)),
});

/** A string, or a list of them: a shell's line or its words. */
export const words = (description?: string): Schema<string[]> => ({
  document: described({ anyOf: [{ type: "array", items: { type: "string" } }, { type: "string" }] }, description),
  read: (value, where) => (typeof value === "string" ? [value] : list(text()).read(value, where)),
});

type Fields = Readonly<Record<string, Schema<unknown>>>;
type ObjectOf<F extends Fields> = { [K in keyof F]?: Of<F[K]> };

/** Every field may be absent; what an operation cannot do without it asks for itself. */
export function object<F extends Fields>(fields: F, description?: string): Schema<ObjectOf<F>> & { readonly fields: F } {
  const properties = Object.fromEntries(Object.entries(fields).map(([name, { document }]) => [name, document]));
  const byLowerCase = new Map(Object.keys(fields).map((name) => [name.toLowerCase(), name]));
  return {
    fields,
    document: described({ type: "object", properties }, description),
    read: (value, where) => {
      if (!isObject(value)) return mismatch(where, "an object", value);
      const found: Record<string, unknown> = {};
      for (const [key, content] of Object.entries(value)) {
        const name = Object.hasOwn(fields, key) ? key : byLowerCase.get(key.toLowerCase());
        if (name === undefined || content === null) continue;
        found[name] = fields[name]!.read(content, where === "" ? name : `${where}.${name}`);
      }
      return found as ObjectOf<F>;
    },
  };
}
