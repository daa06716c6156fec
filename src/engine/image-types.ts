/** Values that cross the engine's boundary: images, and what is done with registries. Types only. */

import type { RegistryAuth } from "../images/remote/types.ts";
import type {
  AttachedFile,
  AttachFile,
  LayerWaste,
  ListAnnotation,
  ListDescriptor,
  ListPlatform,
  Referrer,
} from "../images/types.ts";

export interface ImageSummary {
  /** Configuration digest, "sha256:...". */
  id: string;
  /** "busybox:latest". */
  names: string[];
  /** "busybox@sha256:...". */
  repoDigests: string[];
  /** Unix seconds. */
  created: number;
  /** "linux/arm64". */
  platform: string;
  /** Bytes of all layers, uncompressed. */
  size: number;
  labels: Record<string, string>;
}

/** Where an image is mounted for people to look at. */
export interface MountedPath {
  path: string;
  /** The image's. */
  id: string;
  names: string[];
}

/** One line of `history`, newest first. */
export interface HistoryEntry {
  /** The image's id on the first line, "<missing>" on the others. */
  id: string;
  /** Unix seconds; 0 when it does not say. */
  created: number;
  createdBy: string;
  /** Bytes of the layer, uncompressed; 0 for a line that made none. */
  size: number;
  comment: string;
  /** Names of the image on the first line. */
  tags: string[];
}

/** An image's layers, lowest first. */
export interface ImageTree {
  id: string;
  names: string[];
  size: number;
  layers: {
    diffId: string;
    size: number;
    createdBy: string;
    /** Other images that have it, by name, or by id where there is none. */
    sharedWith: string[];
    /** Absent where only the layers of all images were asked for. */
    waste?: LayerWaste;
  }[];
}

export interface PullRequest {
  /** Name with tag or digest; latest where it has neither. */
  image: string;
  allTags?: boolean;
  /** "linux/arm64"; absent: this machine's. */
  platform?: string;
  /** Who asks, by registry ("docker.io") and by mirror's host. */
  auths?: Record<string, RegistryAuth>;
}

/** One name that was pulled. */
export interface PulledName {
  /** As short as it can be: "busybox:latest". */
  name: string;
  /** What the registry calls it. */
  digest: string;
  /** The image's. */
  id: string;
  /** The name meant that image before. */
  upToDate: boolean;
  /** The host that said what the name means: the registry's, or a mirror's. */
  source: string;
}

export interface PushRequest {
  /** A name the store has; with `allTags` a repository. */
  image: string;
  allTags?: boolean;
  /** Of a name with several images the one for this; absent: the best for this machine. */
  platform?: string;
  /** By registry: for the one the image goes to, and for those its layers may be taken from. */
  auths?: Record<string, RegistryAuth>;
}

/** One name that was pushed, with digest and bytes of its manifest. */
export interface PushedName {
  name: string;
  digest: string;
  size: number;
}

export interface LoginRequest {
  /** "docker.io", "registry.example:5000". */
  server: string;
  auth: RegistryAuth;
}

/** Repositories of a registry by a word. */
export interface ImageSearchRequest {
  /** "[domain/]term". */
  term: string;
  /** How many the registry is asked for, 1 to 100; by default 25. */
  limit?: number;
  /** is-official, is-automated, stars. */
  filters?: Readonly<Record<string, readonly string[]>>;
  /** By registry. */
  auths?: Readonly<Record<string, RegistryAuth>>;
}

/** What a registry has under a name. */
export interface DistributionInfo {
  readonly descriptor: { readonly mediaType: string; readonly digest: string; readonly size: number };
  readonly platforms: readonly { readonly os: string; readonly architecture: string; readonly variant?: string }[];
}

/** How registries are spoken to. */
export interface RegistryRequest {
  /** By registry. */
  auths?: Record<string, RegistryAuth>;
  /** Registries that nothing is configured of may be insecure. */
  insecure?: boolean;
}

export interface ManifestCreateRequest extends RegistryRequest {
  list: string;
  images: string[];
  amend?: boolean;
}

export interface ManifestAnnotateRequest extends ListAnnotation {
  list: string;
  image: string;
}

export interface ManifestInspectRequest extends RegistryRequest {
  /** Then `manifest` is one of its members. */
  list?: string;
  manifest: string;
  verbose?: boolean;
}

/** One manifest, word for word. */
export interface ManifestDocument {
  ref: string;
  descriptor: ListDescriptor & { readonly platform?: ListPlatform };
  text: string;
}

export interface ManifestPushRequest extends RegistryRequest {
  list: string;
  purge?: boolean;
}

export interface PushedManifest extends PushedName {
  mediaType: string;
  members: { name: string; digest: string }[];
}

export interface SignRequest extends RegistryRequest {
  /** Name in a registry. */
  image: string;
  /** PEM. */
  key: string;
  /** For errors. */
  keyName: string;
  password?: string;
  /** What it is signed as; absent: its repository. */
  identity?: string;
  annotations?: Record<string, string>;
  /** Also each manifest that an index names. */
  recursive?: boolean;
}

export interface VerifyRequest extends RegistryRequest {
  image: string;
  /** PEM; any of them. */
  keys: { name: string; text: string }[];
  identity?: "repository" | "exact" | "any";
}

/** `name` is the image by its digest, `digest` the manifest that is signed: that or, of an index, this machine's. */
export interface VerifiedImage {
  name: string;
  digest: string;
  key: string;
  /** The name it is signed as. */
  reference: string | null;
}

export interface ReferrersRequest extends RegistryRequest {
  image: string;
  artifactType?: string;
  /** Of an index: what refers to that platform's manifest. */
  platform?: string;
}

/** `name`: the manifest that is referred to, by its digest. */
export interface ReferrersResult {
  name: string;
  referrers: Referrer[];
}

export interface AttachRequest extends RegistryRequest {
  image: string;
  platform?: string;
  artifactType: string;
  annotations?: Record<string, string>;
  files: AttachFile[];
}

export interface DetachRequest extends RegistryRequest {
  /** The artifact, by its digest. */
  image: string;
}

export interface FetchRequest extends RegistryRequest {
  /** An artifact; with a type an image that artifacts refer to. */
  image: string;
  artifactType?: string;
  platform?: string;
  /** Absolute; absent: the one file is given as STDOUT frames. */
  directory?: string;
}

export interface FetchedFile extends AttachedFile {
  path: string | null;
}

/** One statement of in-toto about an image. */
export interface Attestation {
  readonly descriptor: {
    readonly mediaType: string;
    readonly digest: string;
    readonly size: number;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly predicateType: string;
  /** As it was written, where it was asked for. */
  readonly statement?: unknown;
}
