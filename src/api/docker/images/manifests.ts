/** An image here is one platform's: where clients ask for the manifests behind a name, each image tells of its own. */
import type { Engine } from "../../../engine/index.ts";
import type { Image } from "../../../engine/types.ts";

/** Docker's ImageManifestSummary. The manifest is that of the store: its layers are plain tars, so content is what is unpacked. */
export function manifestSummary(engine: Engine, { id, config, size }: Image): object {
  const { os, architecture, variant } = config;
  const { digest, mediaType, size: bytes } = engine.images.store.descriptor(id);
  const containers = engine.list({ all: true }).filter(({ imageId }) => imageId === id);
  return {
    ID: digest,
    Descriptor: { mediaType, digest, size: bytes, platform: { architecture, os, ...(variant ? { variant } : {}) } },
    Available: true,
    Size: { Content: size + bytes, Total: size + bytes },
    Kind: "image",
    ImageData: {
      Platform: { architecture, os, ...(variant ? { variant } : {}) },
      Containers: containers.map((one) => one.id),
      Size: { Unpacked: 0 },
    },
  };
}
