/** What builders have attested of an image. */
import { ApiError } from "../errors.ts";
import { json, operation } from "../operation.ts";
import * as q from "../query.ts";
import { credentialsIn } from "./credentials.ts";
import { platforms } from "./names.ts";

export const attestations = operation({
  id: "ImageAttestations",
  tag: "Image",
  summary: "statements of in-toto about an image, from the index it came with",
  needs: "operate",
  method: "GET",
  path: "/images/{name...}/attestations",
  query: {
    platform: platforms("of a name with several images the one for this; one at most", {}),
    type: q.strings("only those of these predicate types"),
    statement: q.bool("with the statements themselves"),
  },
  answers: { 200: "the statements, perhaps none", 404: "no such image" },
  differs: "asked of the registry that the image came from: the store keeps none",
  run: async ({ engine, path, query, request, signal }) => {
    const [platform, ...more] = query.platform;
    if (more.length > 0) throw new ApiError(400, "only one platform can be asked for");
    const asked = { image: path.name, platform, types: query.type, statements: query.statement, auth: credentialsIn(request) };
    const found = await engine.images.attestations(asked, signal);
    return json(
      200,
      found.map(({ descriptor, predicateType, ...rest }) => ({
        Descriptor: descriptor,
        PredicateType: predicateType,
        ...("statement" in rest ? { Statement: rest.statement } : {}),
      })),
    );
  },
});
