/** `search`: repositories of a registry by a word. Source: docker-search(1). */
import type { FoundRepository, RegistryAuth } from "../images/remote/types.ts";
import { OnggiError } from "../lib/errors.ts";
import { parseSearchTerm } from "../oci/reference.ts";
import type { Context } from "./context.ts";
import { invalidValue, isTrue } from "./filters.ts";
import type { ImageSearchRequest } from "./types.ts";

const DEFAULT_LIMIT = 25;
const MAX_LIMIT = 100;

/**
 * Throws "invalid_search" for a term or a limit that is none, "invalid_filter", "search_unsupported", and what the registry's client throws.
 */
export async function searchImages(
  { registries }: Context,
  { term, limit = DEFAULT_LIMIT, filters = {}, auths = {} }: ImageSearchRequest,
  signal: AbortSignal,
): Promise<FoundRepository[]> {
  const isWanted = searchTest(filters);
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT)
    throw new OnggiError("invalid_search", `limit ${limit} is outside the range of [1, ${MAX_LIMIT}]`);
  const asked = parseSearchTerm(term);
  const auth: RegistryAuth | undefined = auths[asked.domain];
  return (await registries.search(asked.domain, { term: asked.term, limit }, auth, signal)).filter(isWanted);
}

type Test = (found: FoundRepository) => boolean;

const tests: Readonly<Record<string, (value: string) => Test>> = {
  "is-official": (value) => {
    const wanted = isTrue("is-official", value);
    return ({ isOfficial }) => isOfficial === wanted;
  },
  // Docker Hub builds nothing any more: what says that it is automated is none
  "is-automated": (value) => {
    const wanted = isTrue("is-automated", value);
    return () => !wanted;
  },
  stars: (value) => {
    if (!/^\d{1,9}$/.test(value)) throw invalidValue("stars", value, "how many it has at least");
    return ({ starCount }) => starCount >= Number(value);
  },
};

function searchTest(filters: NonNullable<ImageSearchRequest["filters"]>): Test {
  const all = Object.entries(filters).flatMap(([key, values]) => {
    const test = Object.hasOwn(tests, key) ? tests[key] : undefined;
    if (!test) throw new OnggiError("invalid_filter", `no such filter: ${key}; one of ${Object.keys(tests).join(", ")}`);
    return values.map(test);
  });
  return (found) => all.every((test) => test(found));
}
