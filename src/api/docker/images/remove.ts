/** Names of images, and their end. */
import type { Engine } from "../../../engine/index.ts";
import type { Image } from "../../../engine/types.ts";
import { OnggiError } from "../../../lib/errors.ts";
import { familiarName, parseReference } from "../../../oci/reference.ts";
import { ApiError } from "../errors.ts";
import { json, operation } from "../operation.ts";
import * as q from "../query.ts";
import { nameOf, platforms } from "./names.ts";

export const tag = operation({
  id: "ImageTag",
  tag: "Image",
  summary: "give an image a name more",
  needs: "admin",
  method: "POST",
  path: "/images/{name...}/tag",
  query: { repo: q.string("the name without its tag"), tag: q.string("absent: latest") },
  answers: { 201: "named", 400: "no such name can be", 404: "no such image" },
  run: ({ engine, path, query }) => {
    const name = nameOf(query.repo, query.tag);
    if (name === undefined) throw new ApiError(400, "invalid reference format: repo is missing");
    engine.images.tag(path.name, name);
    return { status: 201 };
  },
});

const short = (id: string): string => id.replace(/^sha256:/, "").slice(0, 12);

/** Whether a reference is one of the image's names, by tag or by digest, rather than its id. */
function isName(image: Image, reference: string): boolean {
  try {
    return [...image.names, ...image.repoDigests].includes(familiarName(parseReference(reference)));
  } catch {
    return false;
  }
}

/** Why an image cannot be removed, in Docker's words; undefined where it is another reason. `force`: it was asked for. */
function conflict(engine: Engine, image: Image, reference: string, force: boolean): string | undefined {
  const users = engine.list({ all: true }).filter(({ imageId }) => imageId === image.id);
  const [any] = users;
  if (isName(image, reference)) {
    if (!any || force) return undefined;
    const using = `container ${short(any.id)} is using its referenced image ${short(image.id)}`;
    return `conflict: unable to remove repository reference "${reference}" (must force) - ${using}`;
  }
  const unable = `conflict: unable to delete ${short(image.id)}`;
  const running = users.find(({ state }) => state === "running" || state === "paused" || state === "restarting");
  if (running) return `${unable} (cannot be forced) - image is being used by running container ${short(running.id)}`;
  if (force) return undefined;
  if (image.names.length > 1) return `${unable} (must be forced) - image is referenced in multiple repositories`;
  return any && `${unable} (must be forced) - image is being used by stopped container ${short(any.id)}`;
}

/** What went: names, digests that registries call it by, the image and its layers. */
const gone = (untagged: readonly string[], deleted: readonly string[]): object[] => [
  ...untagged.map((name) => ({ Untagged: name })),
  ...deleted.map((id) => ({ Deleted: id })),
];

export const remove = operation({
  id: "ImageDelete",
  tag: "Image",
  summary: "remove a name of an image, and the image with its last name",
  needs: "operate",
  method: "DELETE",
  path: "/images/{name...}",
  query: {
    force: q.bool("with all its names, even if stopped containers use it"),
    noprune: q.bool("as without: an image has no parents here that could go with it"),
    platforms: platforms("only those platforms' images of a name", { since: "1.50" }),
  },
  answers: { 200: "what went", 404: "no such image", 409: "something needs it" },
  run: async ({ engine, path, query }) => {
    const { force } = query;
    const went: object[] = [];
    for (const platform of query.platforms.length > 0 ? query.platforms : [undefined]) {
      const image = engine.images.store.get(path.name, platform);
      const why = conflict(engine, image, path.name, force);
      if (why !== undefined && force) throw new ApiError(409, why);
      try {
        const { untagged, deleted } = await engine.images.remove(path.name, force, platform);
        went.push(...gone(untagged, deleted));
      } catch (error) {
        if (error instanceof OnggiError && error.code === "image_in_use" && why !== undefined) throw new ApiError(409, why);
        throw error;
      }
    }
    return json(200, went);
  },
});

export const prune = operation({
  id: "ImagePrune",
  tag: "Image",
  summary: "remove images that nothing needs and that have no name",
  needs: "operate",
  method: "POST",
  path: "/images/prune",
  query: { filters: q.filters(["dangling", "label", "label!", "until"]) },
  answers: { 200: "what went, and the bytes of it" },
  run: async ({ engine, query }) => {
    const { dangling = ["true"], ...filters } = query.filters;
    const asked = new Set(dangling.map((value) => /^(0|f|false)$/i.test(value)));
    if (asked.size !== 1 || !dangling.every((value) => /^([01tf]|true|false)$/i.test(value)))
      throw new ApiError(400, `invalid filter 'dangling=[${dangling.join(" ")}]'`);
    const { untagged, deleted, reclaimed } = await engine.images.prune(asked.has(true), filters);
    const went = gone(untagged, deleted);
    return json(200, { ImagesDeleted: went.length > 0 ? went : null, SpaceReclaimed: reclaimed });
  },
});
