/**
 * Shapes of JSON values, as data, and one function that checks a value against a shape.
 *
 * The recursion follows the shape, never the value, so no nesting of hostile input can exhaust the stack; members that no
 * shape names are not looked at.
 */
import { OnggiError } from "../lib/errors.ts";

/** A specification that cannot be used. `path` is where, in the specification's own terms: "process.rlimits[2].type". */
export class InvalidSpec extends OnggiError {
  readonly path: string;

  constructor(path: string, problem: string, options?: ErrorOptions) {
    super("invalid_spec", path === "" ? problem : `${path}: ${problem}`, options);
    this.name = "InvalidSpec";
    this.path = path;
  }
}

export type Shape =
  | { readonly kind: "string"; readonly check?: (text: string) => string | null; readonly emptyIsAbsent?: boolean }
  | { readonly kind: "number"; readonly min: number; readonly max: number }
  | { readonly kind: "boolean" }
  | { readonly kind: "list"; readonly of: Shape; readonly min?: number }
  | { readonly kind: "map"; readonly of: Shape }
  | {
      readonly kind: "object";
      readonly required: Readonly<Record<string, Shape>>;
      readonly optional: Readonly<Record<string, Shape>>;
    };

/** Go leaves an empty string out; a file written by hand may have one, and runc takes it as "not set". */
export const absentIfEmpty = (shape: Shape): Shape => ({ ...shape, emptyIsAbsent: true }) as Shape;
export const text = (check?: (text: string) => string | null): Shape => ({ kind: "string", ...(check ? { check } : {}) });
/** Whole numbers. Beyond 2^53 JSON has rounded them; that is good enough for "no limit". */
export const whole = (min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY): Shape => ({ kind: "number", min, max });
export const flag: Shape = { kind: "boolean" };
export const list = (of: Shape, min = 0): Shape => ({ kind: "list", of, min });
export const map = (of: Shape): Shape => ({ kind: "map", of });
export const object = (required: Readonly<Record<string, Shape>>, optional: Readonly<Record<string, Shape>> = {}): Shape => ({
  kind: "object",
  required,
  optional,
});
export const choice = (...names: readonly string[]): Shape =>
  text((value) => (names.includes(value) ? null : `want one of ${names.join(", ")}, got ${show(value)}`));
export const absolutePath: Shape = text((value) =>
  value.startsWith("/") ? null : `must be an absolute path, got ${show(value)}`,
);
export const nonEmpty: Shape = text((value) => (value === "" ? "must not be empty" : null));

/** A value for a message, cut short. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}...` : value);
  if (typeof value === "number" || typeof value === "boolean" || value === null || value === undefined) return String(value);
  return Array.isArray(value) ? "a list" : "an object";
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const below = (path: string, name: string): string => {
  const plain = /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) ? name : null;
  if (plain === null) return `${path}[${show(name)}]`;
  return path === "" ? plain : `${path}.${plain}`;
};

/** Throws InvalidSpec for the first place where the value does not have the shape. */
export function check(value: unknown, shape: Shape, path: string): void {
  (checkers[shape.kind] as Checker<Shape>)(value, shape, path);
}

type Checker<S extends Shape> = (value: unknown, shape: S, path: string) => void;

const checkers: { readonly [K in Shape["kind"]]: Checker<Extract<Shape, { kind: K }>> } = {
  string(value, shape, path) {
    if (typeof value !== "string") throw new InvalidSpec(path, `want a string, got ${show(value)}`);
    if (value === "" && shape.emptyIsAbsent) return;
    if (value.includes("\0")) throw new InvalidSpec(path, `must not hold a NUL byte, got ${show(value)}`);
    const problem = shape.check?.(value) ?? null;
    if (problem !== null) throw new InvalidSpec(path, problem);
  },
  number(value, shape, path) {
    if (typeof value !== "number" || !Number.isInteger(value))
      throw new InvalidSpec(path, `want a whole number, got ${show(value)}`);
    if (value < shape.min || value > shape.max) throw new InvalidSpec(path, `want ${range(shape)}, got ${value}`);
  },
  boolean(value, _, path) {
    if (typeof value !== "boolean") throw new InvalidSpec(path, `want true or false, got ${show(value)}`);
  },
  list(value, { of, min = 0 }, path) {
    if (!Array.isArray(value)) throw new InvalidSpec(path, `want a list, got ${show(value)}`);
    if (value.length < min) throw new InvalidSpec(path, `want at least ${min} entry, got ${value.length}`);
    for (let i = 0; i < value.length; i++) check(value[i], of, `${path}[${i}]`);
  },
  map(value, { of }, path) {
    if (!isObject(value)) throw new InvalidSpec(path, `want an object, got ${show(value)}`);
    for (const [name, entry] of Object.entries(value)) {
      if (name.includes("\0")) throw new InvalidSpec(path, "a name must not hold a NUL byte");
      check(entry, of, below(path, name));
    }
  },
  object(value, { required, optional }, path) {
    if (!isObject(value)) throw new InvalidSpec(path, `want an object, got ${show(value)}`);
    for (const [name, of] of Object.entries(required)) {
      if (!Object.hasOwn(value, name)) throw new InvalidSpec(below(path, name), "is missing");
      check(value[name], of, below(path, name));
    }
    for (const [name, of] of Object.entries(optional)) {
      // Go writes null for what is not set
      const entry = Object.hasOwn(value, name) ? value[name] : null;
      if (entry !== null && entry !== undefined) check(entry, of, below(path, name));
    }
  },
};

function range({ min, max }: { min: number; max: number }): string {
  if (max === Number.POSITIVE_INFINITY) return `${min} or more`;
  return min === Number.NEGATIVE_INFINITY ? `${max} or less` : `${min} to ${max}`;
}

const isSet = (entry: unknown, shape: Shape): boolean =>
  entry !== null && entry !== undefined && !(entry === "" && shape.kind === "string" && shape.emptyIsAbsent);

/** A copy without members that are null or otherwise not set: the types have no null. Follows the shape too. */
export function withoutNulls(value: unknown, shape: Shape): unknown {
  switch (shape.kind) {
    case "list":
      return (value as unknown[]).map((entry) => withoutNulls(entry, shape.of));
    case "map":
      return Object.fromEntries(Object.entries(value as object).map(([name, entry]) => [name, withoutNulls(entry, shape.of)]));
    case "object": {
      const shapes: Readonly<Record<string, Shape>> = { ...shape.required, ...shape.optional };
      const known = Object.entries(value as object).filter(
        ([name, entry]) => Object.hasOwn(shapes, name) && isSet(entry, shapes[name] as Shape),
      );
      return Object.fromEntries(known.map(([name, entry]) => [name, withoutNulls(entry, shapes[name] as Shape)]));
    }
    default:
      return value;
  }
}
