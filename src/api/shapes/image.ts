import type { Image } from "../../engine/types.ts";

/** Docker Engine API v1.41, ImageInspect. */
export function dockerImage(image: Image): object {
  const { config } = image;
  return {
    Id: image.id,
    RepoTags: image.names,
    RepoDigests: image.repoDigests,
    Comment: config.history?.at(-1)?.comment ?? "",
    Created: config.created ?? "",
    Author: config.author ?? "",
    Config: config.config,
    Architecture: config.architecture,
    ...(config.variant === undefined ? {} : { Variant: config.variant }),
    Os: config.os,
    Size: image.size,
    RootFS: { Type: "layers", Layers: config.rootfs.diff_ids },
  };
}
