import type { ImageConfig } from "../../../engine/types.ts";
import { healthcheck } from "../containers/config.ts";
import { ApiError } from "../errors.ts";
import { json, operation } from "../operation.ts";
import * as q from "../query.ts";
import { anything, list, map, type Of, object, text, words } from "../schema.ts";
import { nameOf } from "./names.ts";

/** What of Docker's container configuration an image has. */
const imageConfig = object({
  User: text(),
  Env: list(text()),
  Entrypoint: words(),
  Cmd: words(),
  WorkingDir: text(),
  Labels: map(text()),
  StopSignal: text(),
  ExposedPorts: map(anything()),
  Volumes: map(anything()),
  Healthcheck: healthcheck,
  Shell: list(text()),
  OnBuild: list(text()),
});

const keys = (given: Record<string, unknown>): Record<string, object> =>
  Object.fromEntries(Object.keys(given).map((key) => [key, {}]));

/** Go's clients send every field: what is empty says nothing. */
const given = ({ ExposedPorts, Volumes, ...config }: Of<typeof imageConfig>): ImageConfig["config"] =>
  Object.fromEntries(
    Object.entries({
      ...config,
      ...(ExposedPorts ? { ExposedPorts: keys(ExposedPorts) } : {}),
      ...(Volumes ? { Volumes: keys(Volumes) } : {}),
    }).filter(([, value]) => (typeof value === "object" ? Object.keys(value).length > 0 : value !== "")),
  );

export const commit = operation({
  id: "ImageCommit",
  tag: "Image",
  summary: "make an image of a container",
  needs: "admin",
  method: "POST",
  path: "/commit",
  query: {
    container: q.string("name or id"),
    repo: q.string("the name it gets"),
    tag: q.string("absent: latest"),
    comment: q.string("for its history"),
    author: q.string("NAME <ADDRESS>"),
    pause: q.bool("freeze the container meanwhile", true),
    changes: q.strings("instructions of a Dockerfile, each by itself or on lines of one value"),
  },
  body: imageConfig,
  bodyOptional: true,
  answers: { 201: "the image's id", 404: "no such container" },
  run: async ({ engine, query, body }) => {
    const { container, repo, tag, comment, author, pause, changes } = query;
    if (container === undefined) throw new ApiError(400, "container is missing: name or id of what is to become an image");
    const { id } = await engine.commit(container, {
      name: nameOf(repo, tag),
      author,
      message: comment,
      pause,
      config: given(body),
      changes: changes.flatMap((text) => text.split("\n")).filter((line) => line.trim() !== ""),
    });
    return json(201, { Id: id });
  },
});
