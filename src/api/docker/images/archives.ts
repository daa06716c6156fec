/** Images as archives, out and in. */
import type { Engine } from "../../../engine/index.ts";
import { begun, produced, streamOf } from "../../../lib/streams.ts";
import type { HttpAnswer } from "../../http/types.ts";
import { ApiError } from "../errors.ts";
import { operation } from "../operation.ts";
import * as q from "../query.ts";
import { platform } from "./names.ts";
import { progressAnswer, stepsTo } from "./progress.ts";

const TAR = "application/x-tar";

/** What is wrong with the names is told by a status; later the tar breaks off. */
const save = async (
  engine: Engine,
  names: readonly string[],
  asked: string | undefined,
  signal: AbortSignal,
): Promise<HttpAnswer> => {
  const only = asked === undefined ? {} : { platform: asked };
  const archive = produced<Uint8Array>(
    (write) => engine.images.save(names, { format: "docker-archive", write, signal, ...only }),
    signal,
  );
  return { status: 200, headers: { "Content-Type": TAR }, body: await begun(archive) };
};

const only = platform("of names with several images those for this", { since: "1.48" });
const answers = { 200: { description: "a docker-archive, which is an OCI layout too", content: TAR }, 404: "no such image" };

export const get = operation({
  id: "ImageGet",
  tag: "Image",
  summary: "an image as an archive; of a name without a tag all its tags",
  needs: "admin",
  method: "GET",
  path: "/images/{name...}/get",
  query: { platform: only },
  answers,
  run: ({ engine, path, query, signal }) => save(engine, [path.name], query.platform, signal),
});

export const getAll = operation({
  id: "ImageGetAll",
  tag: "Image",
  summary: "several images as one archive, each layer once",
  needs: "admin",
  method: "GET",
  path: "/images/get",
  query: { names: q.strings("names or ids"), platform: only },
  answers,
  run: ({ engine, query, signal }) => {
    if (query.names.length === 0) throw new ApiError(400, "no names: there is nothing to save");
    return save(engine, query.names, query.platform, signal);
  },
});

export const load = operation({
  id: "ImageLoad",
  tag: "Image",
  summary: "images out of an archive: docker-archive or OCI, plain or compressed",
  needs: "admin",
  method: "POST",
  path: "/images/load",
  query: {
    quiet: q.bool("no progress"),
    platform: platform("of an index the image for this", { since: "1.48" }),
  },
  takes: TAR,
  answers: { 200: { description: "how it goes, a JSON object a line", content: "application/json" }, 400: "no such archive" },
  run: ({ engine, query, request }) =>
    progressAnswer(async (tell) => {
      const images = await engine.images.store.load(streamOf(request.body), {
        signal: request.signal,
        ...(query.quiet ? {} : { progress: stepsTo(tell) }),
        ...(query.platform === undefined ? {} : { platform: query.platform }),
      });
      for (const image of images) {
        engine.images.arrived(image, "load");
        for (const name of image.names) tell({ stream: `Loaded image: ${name}\n` });
        if (image.names.length === 0) tell({ stream: `Loaded image ID: ${image.id}\n` });
      }
    }),
});
