/**
 * Manifests and indexes, of OCI and of Docker's schema 2, as registries and archives have them. Sources: OCI image specification
 * 1.1, manifest.md, image-index.md, descriptor.md; distribution's spec/manifest-v2-2.md.
 */
import { OnggiError } from "../lib/errors.ts";
import { type Digest, parseDigest } from "../oci/digest.ts";
import { distance, nativeDistance, nearest, type Platform, platformText } from "../oci/platform.ts";

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly platform: Platform | null;
  readonly annotations: Readonly<Record<string, unknown>>;
}

export interface Manifest {
  readonly config: Descriptor;
  /** Lowest first. */
  readonly layers: readonly Descriptor[];
}

export const mediaTypes = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar",
  dockerIndex: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
} as const;

const indexTypes: readonly string[] = [mediaTypes.index, mediaTypes.dockerIndex];
const manifestTypes: readonly string[] = [mediaTypes.manifest, mediaTypes.dockerManifest];
const configTypes: readonly string[] = [mediaTypes.config, mediaTypes.dockerConfig];

/** zstd:chunked and estargz are zstd and gzip with an index of their own behind; they have no types of their own. */
const layerType =
  /^application\/vnd\.(?:oci\.image\.layer\.(?:nondistributable\.)?v1\.tar(?:\+gzip|\+zstd)?|docker\.image\.rootfs\.(?:foreign\.)?diff\.tar(?:\.gzip|\.zstd)?)$/;

const MAX_NUMBER = 2 ** 53 - 1;
const MAX_LAYERS = 1000;
const MAX_MANIFESTS = 5000;
/** Platforms an error names. */
const MAX_TOLD = 30;

const invalid = (what: string, why: string): OnggiError => new OnggiError("manifest_invalid", `${what}: ${why}`);

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Types and names of platforms; what is none could be anything, and is not shown to people. */
const wordOf = (value: unknown): string | undefined =>
  typeof value === "string" && /^[\w.+/-]{1,255}$/.test(value) ? value : undefined;

const platformOf = (value: unknown): Platform | null => {
  if (!isObject(value)) return null;
  const variant = wordOf(value.variant);
  return {
    os: wordOf(value.os) ?? "unknown",
    architecture: wordOf(value.architecture) ?? "unknown",
    ...(variant === undefined ? {} : { variant }),
  };
};

/** Throws "manifest_invalid" or "digest_invalid" naming `what`. */
export const parseDescriptor = (value: unknown, what: string): Descriptor => {
  if (!isObject(value)) throw invalid(what, "a descriptor is not an object");
  const { size } = value;
  if (typeof size !== "number" || !Number.isInteger(size) || size < 0 || size > MAX_NUMBER)
    throw invalid(what, "a descriptor has no size");
  return {
    mediaType: wordOf(value.mediaType) ?? "",
    digest: parseDigest(value.digest, what),
    size,
    platform: platformOf(value.platform),
    annotations: isObject(value.annotations) ? value.annotations : {},
  };
};

const listOf = (value: unknown, most: number, what: string, name: string): Descriptor[] => {
  if (!Array.isArray(value)) throw invalid(what, `"${name}" is not a list`);
  if (value.length > most) throw invalid(what, `it has ${value.length} ${name}; the limit is ${most}`);
  return value.map((item, position) => parseDescriptor(item, `${what}, ${name}[${position}]`));
};

/** A JSON object. Throws "manifest_invalid" naming `what`. */
export const parseJson = (text: string, what: string): Record<string, unknown> => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new OnggiError("manifest_invalid", `${what} is not JSON`, { cause: error });
  }
  if (!isObject(value)) throw invalid(what, "it is not a JSON object");
  return value;
};

export interface Blob {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
}

/**
 * All that a manifest or index of any kind, an artifact's too, needs in its repository: the manifests it names, and the blobs, each
 * once. Layers that have "urls" are left out: they are elsewhere. Throws "manifest_invalid", "digest_invalid".
 */
export const linksOf = (
  document: Record<string, unknown>,
  what: string,
): { readonly manifests: Blob[]; readonly blobs: Blob[] } => {
  const { manifests = [], config, layers = [] } = document;
  const own = Array.isArray(layers) ? layers.filter((layer) => !(isObject(layer) && Array.isArray(layer.urls))) : layers;
  const blobs = [
    ...(config === undefined ? [] : [parseDescriptor(config, `${what}, config`)]),
    ...listOf(own, MAX_LAYERS, what, "layers"),
  ];
  const once = (all: readonly Blob[]): Blob[] => [...new Map(all.map(({ digest, size }) => [digest, { digest, size }])).values()];
  return { manifests: once(listOf(manifests, MAX_MANIFESTS, what, "manifests")), blobs: once(blobs) };
};

/**
 * A document that a registry calls `mediaType`. What it says of itself must not contradict that (CVE-2021-41190: one text that is
 * read as an index by one and as a manifest by another). Throws "manifest_invalid", "manifest_unsupported".
 */
export const parseDocument = (
  text: string,
  mediaType: string,
  what: string,
): { readonly index: readonly Descriptor[] } | { readonly manifest: Manifest } => {
  const value = parseJson(text, what);
  if (value.schemaVersion === 1)
    throw new OnggiError(
      "manifest_unsupported",
      `${what} is of Docker's schema 1, which has not been in use since 2017; push it again`,
    );
  const own = wordOf(value.mediaType);
  const type = mediaType === "" || mediaType === "application/json" ? (own ?? guess(value)) : mediaType;
  if (own !== undefined && own !== type) throw invalid(what, `it says it is ${own}, it was said to be ${type}`);
  if (value.manifests !== undefined && (value.layers !== undefined || value.config !== undefined))
    throw invalid(what, "it is an index and a manifest at once");
  if (indexTypes.includes(type)) return { index: listOf(value.manifests, MAX_MANIFESTS, what, "manifests") };
  if (!manifestTypes.includes(type))
    throw new OnggiError("manifest_unsupported", `${what} is of type ${type || "unknown"}, which is no image manifest or index`);
  const config = parseDescriptor(value.config, `${what}, config`);
  if (!configTypes.includes(config.mediaType))
    throw new OnggiError(
      "manifest_unsupported",
      `${what} is no image: its configuration is of type ${config.mediaType || "unknown"}; an artifact cannot be run`,
    );
  const layers = listOf(value.layers, MAX_LAYERS, what, "layers");
  for (const { mediaType: layer, digest } of layers) {
    if (!layerType.test(layer))
      throw new OnggiError("manifest_unsupported", `${what}, layer ${digest}: the type ${layer || "unknown"} is not known`);
  }
  return { manifest: { config, layers } };
};

/** Early OCI documents carry no type. */
const guess = (value: Record<string, unknown>): string =>
  value.manifests === undefined ? mediaTypes.manifest : mediaTypes.index;

export const isConfigType = (mediaType: string): boolean => configTypes.includes(mediaType);

export const isIndexType = (mediaType: string): boolean => indexTypes.includes(mediaType);

/** Build records of BuildKit travel as manifests for no platform. */
const isRunnable = ({ platform, annotations }: Descriptor): boolean =>
  platform?.os !== "unknown" && annotations["vnd.docker.reference.type"] === undefined;

/**
 * The best of several for a platform; one that states none suits any. `strict`: that platform was asked for, so neither what the
 * machine runs besides nor a single one of another platform does.
 */
export const choose = (candidates: readonly Descriptor[], wanted: Platform, what: string, strict: boolean): Descriptor => {
  const runnable = candidates.filter(isRunnable);
  const far = strict ? distance : nativeDistance;
  const best = nearest(runnable, ({ platform }) => platform && far(wanted, platform));
  const chosen =
    best ?? runnable.find(({ platform }) => platform === null) ?? (!strict && runnable.length === 1 ? runnable[0] : undefined);
  if (chosen) return chosen;
  const all = runnable.map(({ platform }) => (platform ? platformText(platform) : "any"));
  const there =
    [...all.slice(0, MAX_TOLD), ...(all.length > MAX_TOLD ? [`${all.length - MAX_TOLD} more`] : [])].join(", ") || "none";
  throw new OnggiError("platform_not_found", `${what} has no image for ${platformText(wanted)}; it has: ${there}`);
};
