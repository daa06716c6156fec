import type { Image, ImageConfig } from "../../../engine/types.ts";
import { dockerImage } from "../../shapes/image.ts";
import { ApiError } from "../errors.ts";
import { json, operation } from "../operation.ts";
import * as q from "../query.ts";
import { isAtLeast } from "../versions.ts";
import { manifestSummary } from "./manifests.ts";
import { platform } from "./names.ts";

/** Of a container's configuration, not of an image's: told before 1.50. */
const containerFields = {
  ...{ Hostname: "", Domainname: "", Image: "" },
  ...{ AttachStdin: false, AttachStdout: false, AttachStderr: false, OpenStdin: false, StdinOnce: false, Tty: false },
};

/** Told before 1.52 even where an image does not say. */
const alwaysTold = {
  ...{ User: "", WorkingDir: "" },
  ...{ Cmd: null, Entrypoint: null, Env: null, Labels: null, OnBuild: null, Volumes: null },
};

const configShape = (config: ImageConfig["config"], version: string): object => {
  if (isAtLeast(version, "1.52")) return config;
  return { ...(isAtLeast(version, "1.50") ? {} : containerFields), ...alwaysTold, ...config };
};

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null && !Array.isArray(value);
const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

/** What Docker's builder of old left in configurations. */
const leftBehind = (config: ImageConfig): { container: string; containerConfig: object; dockerVersion: string } => {
  const { container, container_config, docker_version } = config as { [key: string]: unknown } & ImageConfig;
  return {
    container: textOf(container),
    containerConfig: { ...containerFields, ...alwaysTold, ...(isObject(container_config) ? container_config : {}) },
    dockerVersion: textOf(docker_version),
  };
};

const GO_ZERO_TIME = "0001-01-01T00:00:00Z";

function shape(image: Image, version: string): object {
  const { container, containerConfig, dockerVersion } = leftBehind(image.config);
  const known = dockerImage(image) as { Created: string; Comment: string; Author: string };
  const { Comment, Author, Created, ...rest } = known;
  const isNew = isAtLeast(version, "1.52");
  return {
    ...rest,
    ...(Created !== "" ? { Created } : isAtLeast(version, "1.44") ? {} : { Created: GO_ZERO_TIME }),
    ...(isNew && Comment === "" ? {} : { Comment }),
    ...(isNew && Author === "" ? {} : { Author }),
    ...(isNew ? {} : { Parent: "" }),
    ...(isNew && dockerVersion === "" ? {} : { DockerVersion: dockerVersion }),
    ...(isAtLeast(version, "1.45") ? {} : { Container: container, ContainerConfig: containerConfig }),
    ...(isAtLeast(version, "1.44") ? {} : { VirtualSize: image.size }),
    ...(isNew ? {} : { GraphDriver: { Data: null, Name: "onggi" } }),
    Config: configShape(image.config.config, version),
    // docker compose shows it as the time of creation
    Metadata: { LastTagTime: Created === "" ? GO_ZERO_TIME : Created },
  };
}

export const inspect = operation({
  id: "ImageInspect",
  tag: "Image",
  summary: "everything about an image",
  needs: "read",
  method: "GET",
  path: "/images/{name...}/json",
  query: {
    manifests: q.bool("with its manifest", false, { since: "1.48" }),
    platform: platform("of a name with several images the one for this", { since: "1.49" }),
  },
  answers: { 200: "the image", 404: "no such image" },
  run: ({ engine, path, query, version }) => {
    if (query.manifests && query.platform !== undefined)
      throw new ApiError(400, "conflicting options: manifests and platform options cannot both be set");
    const image = engine.images.store.get(path.name, query.platform);
    const manifests = query.manifests ? { Manifests: [manifestSummary(engine, image)] } : {};
    return json(200, { ...shape(image, version), ...manifests });
  },
});

export const history = operation({
  id: "ImageHistory",
  tag: "Image",
  summary: "what an image's layers were made by, the last first",
  needs: "read",
  method: "GET",
  path: "/images/{name...}/history",
  query: { platform: platform("of a name with several images the one for this", { since: "1.48" }) },
  answers: { 200: "the history", 404: "no such image" },
  run: ({ engine, path, query }) =>
    json(
      200,
      engine.images.history(path.name, query.platform).map(({ id, created, createdBy, tags, size, comment }) => ({
        Id: id,
        Created: created,
        CreatedBy: createdBy,
        Tags: tags.length > 0 ? tags : null,
        Size: size,
        Comment: comment,
      })),
    ),
});
