/** `POST /images/create`: an image comes, from a registry or out of a tar. */
import { applyChanges, type Engine } from "../../../engine/index.ts";
import { OnggiError } from "../../../lib/errors.ts";
import { streamOf } from "../../../lib/streams.ts";
import { familiarName, type Reference } from "../../../oci/reference.ts";
import type { HttpAnswer, HttpRequest } from "../../http/types.ts";
import { ApiError } from "../errors.ts";
import { operation } from "../operation.ts";
import * as q from "../query.ts";
import { credentialsIn } from "./credentials.ts";
import { joined, nameOf } from "./names.ts";
import { progressAnswer, stepsTo } from "./progress.ts";

/** Words that clients know. A 401 would make them ask for a password, where there may be nobody to ask. */
function refusal(error: unknown, name: string): unknown {
  if (!(error instanceof OnggiError)) return error;
  if (error.code === "registry_unauthorized") {
    const repository = name.replace(/(@sha256)?:[^:/]*$/, "");
    const either = "repository does not exist or may require 'docker login'";
    return new ApiError(404, `pull access denied for ${repository}, ${either}: ${error.message}`);
  }
  if (error.code === "manifest_unknown")
    return new ApiError(404, `manifest for ${name} not found: manifest unknown: ${error.message}`);
  return error;
}

function pull(engine: Engine, reference: Reference, platform: string | undefined, request: HttpRequest): Promise<HttpAnswer> {
  const auth = credentialsIn(request);
  const allTags = reference.tag === null && reference.digest === null;
  const { domain, path } = reference;
  const name = allTags ? familiarName({ ...reference, tag: "x" }).slice(0, -2) : familiarName(reference);
  const asked = {
    image: name,
    ...(allTags ? { allTags } : {}),
    ...(platform === undefined ? {} : { platform }),
    ...(auth ? { auths: { [domain]: auth } } : {}),
  };
  return progressAnswer(async (tell) => {
    let begins = true;
    const begin = (): void => {
      if (begins) tell({ status: `Pulling from ${path}`, ...(allTags ? {} : { id: reference.tag ?? reference.digest! }) });
      begins = false;
    };
    const step = stepsTo(tell);
    const told = {
      signal: request.signal,
      progress: (...given: Parameters<typeof step>) => {
        begin();
        step(...given);
      },
    };
    const pulled = await engine.images.pull(asked, told).catch((error: unknown) => {
      throw refusal(error, name);
    });
    begin();
    for (const { digest } of pulled) tell({ status: `Digest: ${digest}` });
    const isNew = pulled.some(({ upToDate }) => !upToDate);
    tell({ status: `Status: ${isNew ? "Downloaded newer image for" : "Image is up to date for"} ${name}` });
  });
}

interface Import {
  readonly name: string | undefined;
  readonly message: string | undefined;
  readonly platform: string | undefined;
  readonly changes: readonly string[];
}

function importTar(engine: Engine, { name, message, platform, changes }: Import, request: HttpRequest): Promise<HttpAnswer> {
  const config = applyChanges(changes);
  return progressAnswer(async (tell) => {
    const image = await engine.images.store.importRootfs(streamOf(request.body), {
      ...(name === undefined ? {} : { name }),
      ...(message === undefined ? {} : { message }),
      ...(platform === undefined ? {} : { platform }),
      config,
      signal: request.signal,
    });
    engine.images.arrived(image, "import");
    tell({ status: image.id });
  });
}

export const create = operation({
  id: "ImageCreate",
  tag: "Image",
  summary: "bring an image from a registry, or make one of a tar of files",
  needs: "admin",
  method: "POST",
  path: "/images/create",
  query: {
    fromImage: q.string("its name in a registry"),
    tag: q.string("tag or digest; absent with fromImage: every tag there is"),
    platform: q.string("linux/arm64; absent: this machine's", { since: "1.32" }),
    fromSrc: q.string('"-": the body is a tar, plain or compressed'),
    repo: q.string("of fromSrc: the name it gets"),
    message: q.string("of fromSrc: the comment in its history"),
    changes: q.strings("of fromSrc: instructions of a Dockerfile"),
  },
  takes: "application/octet-stream",
  answers: {
    200: { description: "how it goes, a JSON object a line", content: "application/json" },
    404: "no such image there",
    500: "the registry cannot be reached",
  },
  run: ({ engine, query, request }) => {
    const { fromImage, fromSrc, tag, repo, platform, message, changes } = query;
    if (fromImage !== undefined) return pull(engine, joined(fromImage, tag), platform, request);
    if (fromSrc === undefined) throw new ApiError(400, "one of fromImage and fromSrc is needed");
    if (fromSrc !== "-")
      throw new ApiError(
        400,
        `cannot import ${fromSrc}: onggi fetches no tars; fetch it, and send it as the body with fromSrc=-`,
      );
    return importTar(engine, { name: nameOf(repo, tag), message, platform, changes }, request);
  },
});
