import type { Engine } from "../../../engine/index.ts";
import type { Image } from "../../../engine/types.ts";
import { json, operation } from "../operation.ts";
import * as q from "../query.ts";
import { isAtLeast } from "../versions.ts";
import { manifestSummary } from "./manifests.ts";

/** Of each image, bytes of layers that another one has too. */
function sharedSizes(engine: Engine): Map<string, number> {
  const { store } = engine.images;
  const layers = new Map(store.list().map(({ id }) => [id, new Map(store.layers(id).map(({ diffId, size }) => [diffId, size]))]));
  const users = new Map<string, number>();
  for (const own of layers.values()) for (const diffId of own.keys()) users.set(diffId, (users.get(diffId) ?? 0) + 1);
  return new Map(
    [...layers].map(([id, own]) => [id, [...own].reduce((sum, [diffId, size]) => sum + (users.get(diffId)! > 1 ? size : 0), 0)]),
  );
}

/** How many containers each image has. */
export const containersByImage = (engine: Engine): Map<string, number> =>
  new Map(
    [...Map.groupBy(engine.list({ all: true }), ({ imageId }) => imageId)].map(([id, containers]) => [id, containers.length]),
  );

export const list = operation({
  id: "ImageList",
  tag: "Image",
  summary: "images, newest first",
  needs: "read",
  method: "GET",
  path: "/images/json",
  query: {
    all: q.bool("as without: there are no intermediate images here"),
    filters: q.filters(["before", "dangling", "label", "reference", "since", "until"]),
    filter: q.string("a reference to filter by", { until: "1.25" }),
    digests: q.bool("as without: digests are always told"),
    "shared-size": q.bool("with the bytes that other images have too", false, { since: "1.42" }),
    manifests: q.bool("with the manifest of each", false, { since: "1.47" }),
  },
  answers: { 200: "images" },
  run: ({ engine, query, version }) => {
    const { filters, filter, manifests } = query;
    const asked = filter !== undefined && !filters.reference ? { ...filters, reference: [filter] } : filters;
    const shared = query["shared-size"] ? sharedSizes(engine) : undefined;
    const containers = isAtLeast(version, "1.51") || manifests ? containersByImage(engine) : undefined;
    const images = new Map<string, Image>(manifests ? engine.images.store.list().map((image) => [image.id, image]) : []);
    const nameless = !isAtLeast(version, "1.43");
    return json(
      200,
      engine.images.list(asked).map(({ id, names, repoDigests, created, size, labels }) => {
        const none = nameless && names.length === 0 && repoDigests.length === 0;
        const image = images.get(id);
        return {
          Id: id,
          ParentId: "",
          RepoTags: none ? ["<none>:<none>"] : names,
          RepoDigests: none ? ["<none>@<none>"] : repoDigests,
          Created: created,
          Size: size,
          SharedSize: shared?.get(id) ?? -1,
          ...(isAtLeast(version, "1.44") ? {} : { VirtualSize: size }),
          Labels: Object.keys(labels).length > 0 ? labels : null,
          Containers: isAtLeast(version, "1.51") ? (containers?.get(id) ?? 0) : -1,
          ...(image ? { Manifests: [manifestSummary(engine, image)] } : {}),
        };
      }),
    );
  },
});
