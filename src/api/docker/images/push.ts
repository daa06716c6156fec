import { OnggiError } from "../../../lib/errors.ts";
import { familiarName } from "../../../oci/reference.ts";
import { ApiError } from "../errors.ts";
import { operation } from "../operation.ts";
import * as q from "../query.ts";
import { credentialsIn } from "./credentials.ts";
import { joined, platform } from "./names.ts";
import { progressAnswer, stepsTo } from "./progress.ts";

export const push = operation({
  id: "ImagePush",
  tag: "Image",
  summary: "send an image to the registry its name says",
  needs: "admin",
  method: "POST",
  path: "/images/{name...}/push",
  query: {
    tag: q.string("absent: every tag the name has here"),
    platform: platform("of a name with several images the one for this", { since: "1.46" }),
  },
  // clients of old put their credentials here; nothing of it is read
  takes: "application/json",
  answers: { 200: { description: "how it goes, a JSON object a line", content: "application/json" } },
  run: ({ engine, path, query, request }) => {
    const reference = joined(path.name, query.tag);
    const auth = credentialsIn(request);
    const allTags = reference.tag === null && reference.digest === null;
    const asked = {
      image: allTags ? path.name : familiarName(reference),
      ...(allTags ? { allTags } : {}),
      ...(query.platform === undefined ? {} : { platform: query.platform }),
      ...(auth ? { auths: { [reference.domain]: auth } } : {}),
    };
    return progressAnswer(async (tell) => {
      tell({ status: `The push refers to repository [${reference.domain}/${reference.path}]` });
      const pushed = await engine.images
        .push(asked, { signal: request.signal, progress: stepsTo(tell) })
        .catch((error: unknown) => {
          if (!(error instanceof OnggiError && error.code === "image_not_found")) throw error;
          throw new ApiError(404, `An image does not exist locally with the tag: ${asked.image}`);
        });
      for (const { name, digest, size } of pushed) {
        const tag = name.slice(name.lastIndexOf(":") + 1);
        tell({ status: `${tag}: digest: ${digest} size: ${size}` });
        tell({ progressDetail: {}, aux: { Tag: tag, Digest: digest, Size: size } });
      }
    });
  },
});
