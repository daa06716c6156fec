/** Images by the names that clients give. */
import { canonicalName, familiarName, parseReference, type Reference } from "../../../oci/reference.ts";
import { ApiError } from "../errors.ts";
import type { Parameter, Span } from "../query.ts";

/** A name in two parts, as Docker's queries have it: a tag or a digest may stand in the second. Throws "reference_invalid". */
export function joined(name: string, tag: string | undefined): Reference {
  const reference = parseReference(name);
  if (tag === undefined) return reference;
  return parseReference(
    `${canonicalName({ ...reference, tag: "x", digest: null }).slice(0, -2)}${tag.includes(":") ? "@" : ":"}${tag}`,
  );
}

/** As clients see it: "busybox:latest". Undefined where there is no name. */
export const nameOf = (repo: string | undefined, tag: string | undefined): string | undefined =>
  repo === undefined ? undefined : familiarName(joined(repo, tag));

const isWord = (value: unknown): value is string => typeof value === "string" && value !== "";

/** {"os": "linux", "architecture": "arm", "variant": "v7"} as "linux/arm/v7". */
function platformIn(text: string, name: string): string {
  const bad = (): never => {
    throw new ApiError(
      400,
      `invalid value for ${name}: ${JSON.stringify(text.slice(0, 200))} is no JSON object of os and architecture`,
    );
  };
  let value: { os?: unknown; architecture?: unknown; variant?: unknown } | null;
  try {
    value = JSON.parse(text);
  } catch {
    return bad();
  }
  if (typeof value !== "object" || value === null || !isWord(value.os) || !isWord(value.architecture)) return bad();
  return [value.os, value.architecture, ...(isWord(value.variant) ? [value.variant] : [])].join("/");
}

/** A platform as JSON. */
export const platform = (description: string, span: Span): Parameter<string | undefined> => ({
  document: { type: "string" },
  description: `${description}: {"os": "linux", "architecture": "arm64"}`,
  ...span,
  read: ([value], name) => (value ? platformIn(value, name) : undefined),
});

/** Several. */
export const platforms = (description: string, span: Span): Parameter<readonly string[]> => ({
  document: { type: "array", items: { type: "string" } },
  description: `${description}: {"os": "linux", "architecture": "arm64"}`,
  ...span,
  read: (values, name) => values.map((value) => platformIn(value, name)),
});
