/** What is asked of registries. */
import { OnggiError } from "../../../lib/errors.ts";
import { parseSearchTerm, registryOf } from "../../../oci/reference.ts";
import { ApiError } from "../errors.ts";
import { json, operation } from "../operation.ts";
import * as q from "../query.ts";
import { authConfig, authOf, credentialsIn } from "./credentials.ts";

export const auth = operation({
  id: "SystemAuth",
  tag: "System",
  summary: "whether a registry takes a name and password",
  needs: "operate",
  method: "POST",
  path: "/auth",
  body: authConfig,
  answers: { 200: "it does; with a token where it hands one out", 401: "it does not", 500: "it cannot be reached" },
  run: async ({ engine, body, signal }) => {
    const given = authOf(body);
    if (!given) throw new ApiError(400, "a name and a password, or a token, are needed to log in");
    const server = registryOf(body.serveraddress || "docker.io");
    const { identityToken = "" } = await engine.images.login({ server, auth: given }, signal).catch((error: unknown) => {
      if (!(error instanceof OnggiError && error.code === "registry_unauthorized")) throw error;
      throw new ApiError(401, `login attempt to ${server} failed with status: 401 Unauthorized`);
    });
    return json(200, { Status: "Login Succeeded", IdentityToken: identityToken });
  },
});

export const distribution = operation({
  id: "DistributionInspect",
  tag: "Distribution",
  summary: "what a registry has under a name: its digest, and for which platforms",
  needs: "operate",
  method: "GET",
  path: "/distribution/{name...}/json",
  since: "1.30",
  answers: {
    200: "descriptor and platforms",
    401: "the registry refuses",
    404: "it has nothing of that name",
    500: "it cannot be reached",
  },
  run: async ({ engine, path, request, signal }) => {
    const found = await engine.images.distribution({ image: path.name, auth: credentialsIn(request) }, signal);
    return json(200, { Descriptor: found.descriptor, Platforms: found.platforms });
  },
});

export const search = operation({
  id: "ImageSearch",
  tag: "Image",
  summary: "repositories of a registry by a word",
  needs: "operate",
  method: "GET",
  path: "/images/search",
  query: {
    term: q.string("[registry/]word"),
    limit: q.integer("how many the registry is asked for, 1 to 100; by default 25"),
    filters: q.filters(["is-automated", "is-official", "stars"]),
  },
  answers: {
    200: "the registry's index knows these; of a registry that has none, names out of its catalogue",
    400: "no such filter, no such limit; or it has neither",
    401: "the registry refuses",
    500: "it cannot be reached",
  },
  run: async ({ engine, query, request, signal }) => {
    const { term = "", limit, filters } = query;
    const auth = credentialsIn(request);
    const asked = {
      term,
      filters,
      ...(limit ? { limit } : {}),
      ...(auth ? { auths: { [parseSearchTerm(term).domain]: auth } } : {}),
    };
    const found = await engine.images.search(asked, signal);
    return json(
      200,
      found.map(({ name, description, starCount, isOfficial, isAutomated }) => ({
        star_count: starCount,
        is_official: isOfficial,
        name,
        is_automated: isAutomated,
        description,
      })),
    );
  },
});
