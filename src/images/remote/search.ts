/**
 * Repositories by a word of their name. Source: Docker's index (GET /v1/search), which Docker Hub, Quay and others have. Of a registry without
 * one the catalogue is read (GET /v2/_catalog, distribution/docs/spec/api.md), which has names alone.
 */
import { pagesOf, parseJson, wholeBody } from "./answers.ts";
import { invalidAnswer } from "./failures.ts";
import type { Call, Host } from "./host.ts";
import type { FoundRepository, SearchRequest } from "./types.ts";

/** The index of docker.io, whose images are elsewhere. */
export const HUB_INDEX = "index.docker.io";

const MAX_ANSWER = 4 << 20;

type Asked = Pick<Call, "what" | "auth" | "signal">;

/** Null where the registry has no index. Throws what its answer is worth. */
export async function searchIndex(host: Host, { term, limit }: SearchRequest, asked: Asked): Promise<FoundRepository[] | null> {
  const { what, signal } = asked;
  const url = await host.url("search", what, signal);
  url.searchParams.set("q", term);
  url.searchParams.set("n", String(limit));
  const answer = await host.call(url, { ...asked, scopes: [], method: "GET", expect: [200, 404, 405, 410] });
  if (answer.status !== 200) {
    await answer.discard();
    return null;
  }
  const { results } = (parseJson(await wholeBody(answer, what, MAX_ANSWER), what) ?? {}) as { results?: unknown };
  if (!Array.isArray(results)) throw invalidAnswer(what, "no list of results");
  return results.map((result) => foundIn(result, what));
}

function foundIn(result: unknown, what: string): FoundRepository {
  const { name, description, star_count, is_official, is_automated } = (result ?? {}) as Record<string, unknown>;
  if (typeof name !== "string" || name === "") throw invalidAnswer(what, "a result without a name");
  return {
    name,
    description: typeof description === "string" ? description : "",
    starCount: Number.isSafeInteger(star_count) ? (star_count as number) : 0,
    isOfficial: is_official === true,
    isAutomated: is_automated === true,
  };
}

/** The names with the term in them, as they are pulled by. Throws "search_unsupported" where there is no catalogue either. */
export async function searchCatalog(
  host: Host,
  domain: string,
  { term, limit }: SearchRequest,
  asked: Asked,
): Promise<FoundRepository[]> {
  const { what, signal } = asked;
  const found: FoundRepository[] = [];
  const first = await host.url("_catalog?n=1000", what, signal);
  const pages = pagesOf(host, first, { ...asked, scopes: ["registry:catalog:*"], missing: "search_unsupported" });
  for await (const page of pages) {
    const { repositories } = (page ?? {}) as { repositories?: unknown };
    if (!Array.isArray(repositories) || !repositories.every((name) => typeof name === "string"))
      throw invalidAnswer(what, "no list of repositories");
    for (const name of repositories.filter((name) => name.includes(term))) {
      found.push({ name: `${domain}/${name}`, description: "", starCount: 0, isOfficial: false, isAutomated: false });
      if (found.length >= limit) return found;
    }
  }
  return found;
}
