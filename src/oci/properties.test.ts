import { expect, test } from "bun:test";
import { olderProperties, type Property, properties } from "./properties.ts";
import type { Shape } from "./schema.ts";
import { spec as specShape } from "./shapes.ts";
import type { Spec } from "./spec.ts";

/** The paths of a type's members, in the notation of `properties`. */
type Join<P extends string, K extends string> = P extends "" ? K : `${P}.${K}`;
type PathsOf<T, P extends string = ""> = T extends readonly (infer E)[]
  ? PathsOf<E, `${P}[]`>
  : T extends object
    ? string extends keyof T
      ? PathsOf<T[keyof T], `${P}{}`>
      : { [K in keyof T & string]-?: Join<P, K> | PathsOf<NonNullable<T[K]>, Join<P, K>> }[keyof T & string]
    : never;

/** Does not compile unless the types of spec.ts have exactly the specification's properties. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : { missing: Exclude<B, A> }) : { extra: Exclude<A, B> };
const typesAreComplete: Same<PathsOf<Spec>, Property> = true;

function* shapePaths(shape: Shape, path: string): Generator<string> {
  if (shape.kind === "list") yield* shapePaths(shape.of, `${path}[]`);
  else if (shape.kind === "map") yield* shapePaths(shape.of, `${path}{}`);
  else if (shape.kind === "object") {
    for (const [name, of] of Object.entries({ ...shape.required, ...shape.optional })) {
      const below = path === "" ? name : `${path}.${name}`;
      yield below;
      yield* shapePaths(of, below);
    }
  }
}

const all = [...properties, ...olderProperties].sort();

test("the shape has exactly the specification's properties", () => {
  expect(typesAreComplete).toBe(true);
  expect([...shapePaths(specShape, "")].sort()).toEqual(all);
});
test("the document says what becomes of each of them", async () => {
  const text = await Bun.file(new URL("../../docs/oci-runtime.md", import.meta.url)).text();
  const rows = [...text.matchAll(/^\| `([^`]+)` \| (done|kernel|refused|ignored) \| .+ \|$/gm)].map(([, path]) => path as string);
  expect(rows.filter((path, i) => rows.indexOf(path) !== i)).toEqual([]);
  expect(rows.sort()).toEqual(all);
});
