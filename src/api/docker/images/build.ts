/** What builds images. There is no builder; that is said in a way that clients show. */
import { ApiError } from "../errors.ts";
import { json, operation } from "../operation.ts";
import * as q from "../query.ts";

const none = (): never => {
  throw new ApiError(
    501,
    "onggi does not build images: build with buildah, podman or a BuildKit of its own, and load or pull what it makes",
  );
};

const answers = { 501: "there is no builder" } as const;

export const build = operation({
  ...{
    id: "ImageBuild",
    needs: "admin",
    tag: "Image",
    summary: "not served: there is no builder",
    method: "POST",
    path: "/build",
  },
  takes: "application/x-tar",
  answers,
  differs: "501: there is no builder",
  run: none,
});

export const session = operation({
  ...{
    id: "Session",
    needs: "admin",
    tag: "Image",
    summary: "not served: there is no builder",
    method: "POST",
    path: "/session",
  },
  answers,
  differs: "501: there is no builder",
  run: none,
});

export const buildPrune = operation({
  id: "BuildPrune",
  tag: "Image",
  summary: "nothing: without a builder there is no cache of one (system prune asks for this)",
  needs: "operate",
  method: "POST",
  path: "/build/prune",
  differs: "nothing is pruned: there is no builder",
  since: "1.31",
  query: { filters: q.filters(["until"]) },
  answers: { 200: "nothing went" },
  run: () => json(200, { CachesDeleted: null, SpaceReclaimed: 0 }),
});
