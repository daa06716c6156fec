import type { ErrorObject } from "ajv";
import validate from "../../../build/compose-schema.js";
import { similar } from "../../lib/similar.ts";
import { isMergedByKey } from "./merge.ts";
import { type MapNode, type Node, type Path, plain, positionOf } from "./node.ts";
import type { Problems } from "./problems.ts";

/**
 * Checks what one file says against the compose specification's schema (compose-spec.json beside this file). `node` is a whole
 * file, short forms and all; `path` is where it stands, if it is a part.
 */
export function checkSchema(node: MapNode, problems: Problems): void {
  if (validate(plain(node))) return;
  const seen = new Set<string>();
  for (const error of telling(validate.errors ?? [], node)) {
    const path = pathOf(error.instancePath, node);
    const [at, message, key] = words(error, valueAt(node, path));
    const whole = key === undefined ? path : [...path, key];
    const line = `${JSON.stringify(whole)} ${message}`;
    if (seen.has(line)) continue;
    seen.add(line);
    problems.add(positionOf(node, whole, at === "key"), whole, message);
  }
}

/** "/services/web/ports/0" as a path: numbers where lists are. */
function pathOf(pointer: string, root: Node): Path {
  const path: (string | number)[] = [];
  let node: Node | undefined = root;
  for (const part of pointer.split("/").slice(1)) {
    const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
    path.push(node?.kind === "list" ? Number(key) : key);
    node = child(node, path.at(-1)!);
  }
  return path;
}

const child = (node: Node | undefined, part: string | number): Node | undefined =>
  node?.kind === "map" ? node.entries.get(String(part))?.value : node?.kind === "list" ? node.items[Number(part)] : undefined;

const valueAt = (root: Node, path: Path): Node | undefined => path.reduce<Node | undefined>(child, root);

/**
 * The value that is right for all that an error says, if it is: lists that are merged by key may say a thing twice, and a file that
 * says when a dependency is ready may be merged into the one that does not.
 */
function forgivenAt({ keyword, params, instancePath }: ErrorObject, root: Node): string[] {
  if (keyword === "uniqueItems" && isMergedByKey(pathOf(instancePath, root))) return [instancePath];
  const dependsOn = /^(.*\/depends_on)\/[^/]*$/.exec(instancePath);
  return keyword === "required" && params.missingProperty === "condition" && dependsOn !== null ? [dependsOn[1]!] : [];
}

/** Keywords that only sum up what others say. */
const SUMMARIES = new Set(["oneOf"]);

/**
 * Of what ajv says, what helps. A value that may have several forms fails all of them: told is what is wrong with the form it has,
 * and only if it has none, which forms there are.
 */
function telling(errors: readonly ErrorObject[], root: Node): ErrorObject[] {
  const forgiven = new Set(errors.flatMap((error) => forgivenAt(error, root)));
  let kept = errors.filter((error) => {
    const isForm = SUMMARIES.has(error.keyword) || error.keyword === "type";
    return forgivenAt(error, root).length === 0 && !(isForm && forgiven.has(error.instancePath));
  });
  const choices = errors
    .filter(({ keyword }) => SUMMARIES.has(keyword))
    .sort((a, b) => b.instancePath.length - a.instancePath.length);
  for (const choice of choices) {
    const at = choice.instancePath;
    const below = kept.filter(
      (error) => !SUMMARIES.has(error.keyword) && (error.instancePath === at || error.instancePath.startsWith(`${at}/`)),
    );
    const otherForm = (error: ErrorObject): boolean =>
      error.instancePath === at && (error.keyword === "type" || error.keyword === "enum");
    const ofItsForm = below.filter((error) => !otherForm(error));
    kept = kept.filter((error) => error !== choice);
    if (ofItsForm.length > 0) kept = kept.filter((error) => !otherForm(error));
    else if (below.length > 0) {
      const types = [...new Set(below.flatMap(({ params }) => (params.type ?? params.allowedValues ?? []) as string | string[]))];
      kept = kept.filter((error) => !otherForm(error));
      kept.push({ ...below[0]!, keyword: "type", params: { type: types } });
    }
  }
  return kept;
}

/** Whether the key or the value is at fault, the words for it, and the key below the error's path that it is about. */
function words({ keyword, params, parentSchema }: ErrorObject, node: Node | undefined): ["key" | "value", string, string?] {
  switch (keyword) {
    case "additionalProperties": {
      const key = String(params.additionalProperty);
      const near = similar(key, knownKeys(parentSchema));
      const advice =
        near.length > 0 ? `did you mean ${near.map((each) => `"${each}"`).join(" or ")}?` : `extensions begin with "x-"`;
      return ["key", `is not known here; ${advice}`, key];
    }
    case "type":
      return ["value", `is ${found(node)}, but must be ${oneOf(([] as string[]).concat(params.type).map(typeName))}`];
    case "enum":
      return [
        "value",
        `is ${found(node)}, but must be one of ${(params.allowedValues as unknown[]).map((value) => JSON.stringify(value)).join(", ")}`,
      ];
    case "required":
      return ["value", `needs "${params.missingProperty}"`];
    case "uniqueItems":
      return ["value", `has the same value twice: items ${params.j + 1} and ${params.i + 1}`];
    case "pattern":
      return ["value", `is ${found(node)}, which does not match ${params.pattern}`];
    case "minimum":
    case "maximum":
      return ["value", `is ${found(node)}, but must be ${params.comparison} ${params.limit}`];
    default:
      return ["value", `is ${found(node)}, which the compose specification does not allow here (${keyword})`];
  }
}

const knownKeys = (schema: unknown): string[] => Object.keys((schema as { properties?: object } | undefined)?.properties ?? {});

const TYPES: Readonly<Record<string, string>> = {
  object: "a mapping",
  array: "a list",
  string: "a string",
  number: "a number",
  integer: "a whole number",
  boolean: "true or false",
  null: "empty",
};
const typeName = (type: string): string => TYPES[type] ?? JSON.stringify(type);
const oneOf = (words: readonly string[]): string =>
  words.length < 2 ? (words[0] ?? "another value") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;

/** What a value is, for a message. */
export function found(node: Node | undefined): string {
  if (node === undefined || node.kind !== "scalar")
    return node === undefined ? "missing" : typeName(node.kind === "map" ? "object" : "array");
  if (node.value === null) return "empty";
  if (typeof node.value === "string") return `the string ${JSON.stringify(node.value.slice(0, 60))}`;
  return typeof node.value === "number" ? `the number ${node.text}` : node.text;
}
