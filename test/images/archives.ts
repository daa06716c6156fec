/** Image archives and layers made by hand, right ones and wrong ones. */
import { createHash } from "node:crypto";
import { byteStringOf } from "../../src/archive/bytes.ts";
import { archiveEnd, encodeEntry, encodeHeader, type NewEntry } from "../../src/archive/tar-encode.ts";

export const sha256 = (data: Uint8Array | string): string => createHash("sha256").update(data).digest("hex");

/** A tar: text is a file's content, an object an entry as it is. */
export const tarOf = (members: Record<string, string | Uint8Array | Omit<NewEntry, "name">>): Buffer => {
  const parts: Buffer[] = [];
  for (const [text, value] of Object.entries(members)) {
    const name = byteStringOf(text);
    if (typeof value === "string") parts.push(encodeEntry({ type: "file", name }, Buffer.from(value)));
    else if (value instanceof Uint8Array) parts.push(encodeEntry({ type: "file", name }, value));
    else parts.push(encodeHeader({ ...value, name }));
  }
  return Buffer.concat([...parts, archiveEnd()]);
};

export const streamOf = (data: Uint8Array, chunk = 100_000): ReadableStream<Uint8Array> => {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= data.length) {
        controller.close();
        return;
      }
      controller.enqueue(data.slice(at, at + chunk));
      at += chunk;
    },
  });
};

export interface ImageParts {
  readonly config: Buffer;
  readonly layers: readonly Buffer[];
}

export const imageOf = (layers: readonly Buffer[], extra: Record<string, unknown> = {}): ImageParts => ({
  layers,
  config: Buffer.from(
    JSON.stringify({
      architecture: process.arch === "x64" ? "amd64" : process.arch,
      os: "linux",
      config: { Cmd: ["sh"] },
      rootfs: { type: "layers", diff_ids: layers.map((layer) => `sha256:${sha256(layer)}`) },
      ...extra,
    }),
  ),
});

/** As `docker save` of Docker 1.10 to 24: a folder for each layer, one that occurs again is a link, the manifest last. */
export const dockerArchive = (image: ImageParts, tags: readonly string[] | null, change: Record<string, Buffer> = {}): Buffer => {
  const members: Record<string, string | Uint8Array | Omit<NewEntry, "name">> = {};
  const places = new Map<string, string>();
  const names = image.layers.map((layer, i) => {
    const folder = sha256(`layer ${i}`);
    const name = `${folder}/layer.tar`;
    members[folder] = { type: "dir" };
    members[`${folder}/VERSION`] = "1.0";
    const before = places.get(sha256(layer));
    members[name] = before ? { type: "symlink", link: `../${before}` } : layer;
    places.set(sha256(layer), before ?? name);
    return name;
  });
  const config = `${sha256(image.config)}.json`;
  members[config] = image.config;
  members["manifest.json"] = JSON.stringify([{ Config: config, RepoTags: tags, Layers: names }]);
  members.repositories = JSON.stringify({ "legacy/name": { old: names.at(-1)?.split("/")[0] ?? "" } });
  return tarOf({ ...members, ...change });
};

interface Blobs {
  [path: string]: Uint8Array | string;
}

/** Puts a blob among `blobs` and describes it. */
export const blob = (
  blobs: Blobs,
  data: Buffer,
  mediaType: string,
  extra: Record<string, unknown> = {},
): Record<string, unknown> => {
  blobs[`blobs/sha256/${sha256(data)}`] = data;
  return { mediaType, digest: `sha256:${sha256(data)}`, size: data.length, ...extra };
};

export const media = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar",
};

export const manifestOf = (
  blobs: Blobs,
  image: ImageParts,
  compress: (layer: Buffer) => Uint8Array,
  extra: Record<string, unknown> = {},
) =>
  blob(
    blobs,
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: media.manifest,
        config: blob(blobs, image.config, media.config),
        layers: image.layers.map((layer) => blob(blobs, Buffer.from(compress(layer)), media.layer)),
      }),
    ),
    media.manifest,
    extra,
  );

export const ociArchive = (blobs: Blobs, manifests: readonly Record<string, unknown>[]): Buffer =>
  tarOf({
    ...blobs,
    "index.json": JSON.stringify({ schemaVersion: 2, manifests }),
    "oci-layout": '{"imageLayoutVersion":"1.0.0"}',
  });

export const refName = (name: string): Record<string, unknown> => ({
  annotations: { "org.opencontainers.image.ref.name": name },
});
