/**
 * What images an archive holds: docker-archive (manifest.json; `docker save`, `podman save`, `skopeo copy`) or OCI archive
 * (index.json). Every digest an archive states is checked against its content.
 * Sources: OCI image specification, image-layout.md, image-index.md, manifest.md, annotations.md; Docker image
 * specification v1.2, "Combined Image JSON + Filesystem Changeset Format".
 */
import { OnggiError } from "../lib/errors.ts";
import { type Digest, hexOf } from "../oci/digest.ts";
import { distance, type Platform, platformText } from "../oci/platform.ts";
import { canonicalName, parseReference } from "../oci/reference.ts";
import type { ArchiveContents } from "./archive-contents.ts";
import { diffIdsOf, hostPlatform, parseConfig, parseObject, platformOf } from "./image-config.ts";
import type { NewLayer } from "./layer.ts";
import { choose, type Descriptor, isIndexType, parseDescriptor } from "./manifest.ts";
import type { ImageConfig } from "./types.ts";

/** An image as found in an archive, verified. */
export interface FoundImage {
  readonly id: Digest;
  /** The configuration's exact text, and what it says. */
  readonly configText: string;
  readonly config: ImageConfig;
  readonly layers: readonly NewLayer[];
  /** Canonical names. */
  readonly names: readonly string[];
}

const invalid = (message: string): OnggiError => new OnggiError("archive_invalid", message);

const strings = (value: unknown, what: string): string[] => {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
  throw invalid(`${what} is not a list of strings`);
};

const canonical = (name: string): string => canonicalName({ ...parseReference(name), digest: null });

/** Puts configuration and layers together; every layer must have the digest that the configuration says. */
const assemble = (
  what: string,
  config: { data: Buffer; digest: string },
  layers: readonly NewLayer[],
  names: string[],
): FoundImage => {
  const configText = config.data.toString("utf8");
  if (Buffer.compare(Buffer.from(configText, "utf8"), config.data) !== 0) {
    throw new OnggiError("image_config_invalid", `${what}, configuration ${config.digest}: it is not UTF-8`);
  }
  const parsed = parseConfig(configText, `${what}, configuration ${config.digest}`);
  const diffIds = diffIdsOf(parsed);
  if (diffIds.length !== layers.length) {
    throw invalid(`${what}: its configuration names ${diffIds.length} layers, its manifest ${layers.length}`);
  }
  diffIds.forEach((diffId, i) => {
    const found = layers[i]!.diffId;
    if (found === diffId) return;
    throw new OnggiError(
      "digest_mismatch",
      `${what}, layer ${i + 1} of ${diffIds.length}: expected ${diffId}, the archive holds ${found}`,
    );
  });
  return { id: config.digest as Digest, configText, config: parsed, layers, names };
};

/** The image, if it is for the platform or none was asked for. Throws "platform_not_found". */
const forPlatform = (image: FoundImage, wanted: Platform | null, what: string): FoundImage => {
  const found = platformOf(image.config);
  if (!wanted || distance(wanted, found) !== null) return image;
  throw new OnggiError("platform_not_found", `${what} is for ${platformText(found)}, not for ${platformText(wanted)}`);
};

// docker-archive

const hexInName = /(?:^|\/)([0-9a-f]{64})(?:\.json)?$/;

/** Names of the legacy file "repositories", {"name": {"tag": "id"}}, for the image whose top layer lies in folder `id`. */
const legacyNames = (contents: ArchiveContents, layers: readonly string[]): string[] => {
  if (!contents.has("repositories")) return [];
  const top = layers.at(-1)?.split("/")[0];
  const names: string[] = [];
  const repositories = parseObject(contents.document("repositories", "the archive").data.toString("utf8"), "repositories");
  for (const [name, tags] of Object.entries(repositories)) {
    for (const [tag, id] of Object.entries((tags ?? {}) as Record<string, unknown>)) if (id === top) names.push(`${name}:${tag}`);
  }
  return names;
};

const dockerImages = (contents: ArchiveContents, platform: Platform | null): FoundImage[] => {
  const text = contents.document("manifest.json", "the archive").data.toString("utf8");
  const { list } = parseObject(`{"list":${text}}`, "manifest.json");
  if (!Array.isArray(list)) throw invalid("manifest.json is not a list");
  return list.map((item: Record<string, unknown> | null, i) => {
    const tags = strings(item?.RepoTags, "RepoTags in manifest.json");
    const what = `image ${tags[0] ?? `${i + 1} of the archive`}`;
    const configName = item?.Config;
    if (typeof configName !== "string") throw invalid(`${what}: manifest.json names no configuration`);
    const config = contents.document(configName, what);
    const stated = hexInName.exec(configName)?.[1];
    if (stated && stated !== hexOf(config.digest)) {
      throw new OnggiError(
        "digest_mismatch",
        `${what}: its configuration is named sha256:${stated}, its digest is ${config.digest}`,
      );
    }
    const layerNames = strings(item?.Layers, "Layers in manifest.json");
    const layers = layerNames.map((name, n) => contents.layer(name, `${what}, layer ${n + 1} of ${layerNames.length}`));
    const names = tags.length > 0 ? tags : legacyNames(contents, layerNames);
    return forPlatform(assemble(what, config, layers, names.map(canonical)), platform, what);
  });
};

// OCI archive

const descriptors = (value: unknown, what: string): Descriptor[] => {
  if (!Array.isArray(value)) throw invalid(`${what} lists no manifests`);
  return value.map((item) => parseDescriptor(item, what));
};

const blobPath = (digest: Digest): string => `blobs/sha256/${hexOf(digest)}`;

/** A document by its descriptor. Throws "digest_mismatch". */
const blob = (contents: ArchiveContents, { digest, size }: Descriptor, what: string): { data: Buffer; digest: string } => {
  const found = contents.document(blobPath(digest), what);
  if (found.digest !== digest || found.data.length !== size) {
    throw new OnggiError(
      "digest_mismatch",
      `${what}: expected ${digest} of ${size} bytes, the archive holds ${found.digest} of ${found.data.length}`,
    );
  }
  return found;
};

/** The best of several for the platform, or where none is asked for for this machine. */
const chosenOf = (candidates: readonly Descriptor[], platform: Platform | null, what: string): Descriptor =>
  choose(candidates, platform ?? hostPlatform(), what, platform !== null);

const manifestOf = (contents: ArchiveContents, start: Descriptor, platform: Platform | null, what: string): Descriptor => {
  let at = start;
  for (let depth = 0; isIndexType(at.mediaType); depth++) {
    if (depth > 8) throw invalid(`${what}: its indexes are nested too deeply`);
    const index = parseObject(blob(contents, at, what).data.toString("utf8"), `${what}, index ${at.digest}`);
    at = chosenOf(descriptors(index.manifests, what), platform, what);
  }
  return at;
};

/**
 * The name a descriptor carries: BuildKit's and Docker's full name, else ref.name, which is a full name when skopeo or podman
 * wrote it. A bare "latest" is a tag without a name.
 */
const nameOf = ({ annotations }: Descriptor): string | null => {
  const full = annotations["io.containerd.image.name"];
  if (typeof full === "string" && full !== "") return canonical(full);
  const reference = annotations["org.opencontainers.image.ref.name"];
  return typeof reference === "string" && reference !== "" && reference !== "latest" ? canonical(reference) : null;
};

const ociImages = (contents: ArchiveContents, platform: Platform | null): FoundImage[] => {
  const index = parseObject(contents.document("index.json", "the archive").data.toString("utf8"), "index.json");
  const groups = new Map<string, { name: string | null; candidates: Descriptor[] }>();
  descriptors(index.manifests, "index.json").forEach((item) => {
    const name = nameOf(item);
    // Manifests without a name are one image each, unless they differ by platform only.
    const key = name ?? (item.platform ? "by platform" : item.digest);
    const group = groups.get(key);
    if (group) group.candidates.push(item);
    else groups.set(key, { name, candidates: [item] });
  });
  const images = new Map<string, FoundImage>();
  for (const { name, candidates } of groups.values()) {
    const what = `image ${name ?? candidates[0]!.digest}`;
    const manifestDescriptor = manifestOf(contents, chosenOf(candidates, platform, what), platform, what);
    const manifest = parseObject(blob(contents, manifestDescriptor, what).data.toString("utf8"), `${what}, manifest`);
    const config = blob(contents, parseDescriptor(manifest.config, what), `${what}, configuration`);
    const list = Array.isArray(manifest.layers) ? manifest.layers : [];
    const layers = list.map((item: unknown, i) => {
      const where = `${what}, layer ${i + 1} of ${list.length}`;
      const { digest, size } = parseDescriptor(item, where);
      const layer = contents.layer(blobPath(digest), where);
      if (layer.blob.digest === digest && layer.blob.size === size) return layer;
      const found = `${layer.blob.digest} of ${layer.blob.size}`;
      throw new OnggiError("digest_mismatch", `${where}: expected ${digest} of ${size} bytes, the archive holds ${found}`);
    });
    const names = name ? [name] : [];
    const same = images.get(config.digest);
    const image = assemble(what, config, layers, [...(same?.names ?? []), ...names]);
    images.set(config.digest, forPlatform(image, platform, what));
  }
  return [...images.values()];
};

/**
 * The images of an archive, verified; for the platform, or where none is asked for the best for this machine. Throws "archive_invalid", "digest_mismatch", "image_config_invalid",
 * "platform_not_found".
 */
export const findImages = (contents: ArchiveContents, platform: Platform | null): FoundImage[] => {
  // Docker 25 and later write both; manifest.json names just what was saved for this machine.
  if (contents.has("manifest.json") && !(platform && contents.has("index.json"))) return dockerImages(contents, platform);
  if (contents.has("index.json")) return ociImages(contents, platform);
  throw invalid(
    'the archive has neither manifest.json nor index.json: it is no image archive. A root file system is imported with "onggi import"',
  );
};
