/** Values of the images noun that other parts see. */

import type { Digest } from "../oci/digest.ts";
import type { Reference } from "../oci/reference.ts";
import type { Registries, RegistryAuth, Repository } from "./remote/types.ts";
import type { Compression } from "./stream.ts";

export interface ImageConfig {
  architecture: string;
  os: string;
  variant?: string;
  created?: string;
  author?: string;
  config: {
    User?: string;
    Env?: string[];
    Entrypoint?: string[];
    Cmd?: string[];
    WorkingDir?: string;
    Labels?: Record<string, string>;
    StopSignal?: string;
    ExposedPorts?: Record<string, object>;
    Volumes?: Record<string, object>;
    Healthcheck?: object;
    Shell?: string[];
    OnBuild?: string[];
  };
  rootfs: { type: "layers"; diff_ids: string[] };
  history?: { created?: string; created_by?: string; comment?: string; empty_layer?: boolean; author?: string }[];
}

export interface Image {
  /** Digest of the configuration: "sha256:...". */
  id: string;
  names: string[];
  /** "busybox@sha256:...": what registries call it. */
  repoDigests: string[];
  config: ImageConfig;
  /** What it is for, as short as it can be: "linux/arm64", "linux/arm/v6". */
  platform: string;
  /** Uncompressed bytes of all layers. */
  size: number;
}

/** An image as a file system, mounted but attached nowhere. */
export type MountedImage =
  /** A detached EROFS mount; lives as long as the descriptor or a mount made of it. */
  | { readonly kind: "fd"; readonly fd: number }
  /** Lower directories for overlayfs, topmost first: extracted layers, or an attached loop mount. */
  | { readonly kind: "paths"; readonly lowers: readonly string[] };

/**
 * The image store. Every method leaves the store whole if it throws or the process dies inside it.
 * One store owns its directory; the engine's lock sees to that.
 */
export interface ImageStore {
  list(): Image[];
  /**
   * By name (tag defaults to latest), id or unique prefix of an id. A name may have an image for each platform: it means the one
   * for `platform`, or where none is asked for the best for this machine. Throws ImageNotFound, ImageAmbiguous, OtherPlatform.
   */
  get(reference: string, platform?: string): Image;
  /** The image's file system, mounted on first use and shared by all its containers. */
  mount(id: string): MountedImage;
  /** A root file system tar as a one-layer image. */
  importRootfs(source: ReadableStream<Uint8Array>, options: ImportOptions): Promise<Image>;
  /** A layer over an image, as a new image. */
  commit(source: ReadableStream<Uint8Array>, options: CommitImage): Promise<Image>;
  /** A docker-archive or OCI archive. Returns the images it held. */
  load(source: ReadableStream<Uint8Array>, options?: LoadOptions): Promise<Image[]>;
  /**
   * Images as an archive or layout, under the names they were asked for by: a repository without a tag gives all its tags, an id
   * none. To `path`, or as chunks where there is none ("oci-dir" needs one). Throws ImageNotFound, "out_of_disk", "target_exists".
   */
  save(references: readonly string[], options: SaveOptions): Promise<void>;
  /** Layers of an image with their sizes in bytes, lowest first. */
  layers(id: string): { diffId: string; size: number }[];
  /** Of the manifest that an image has here: an OCI one, of plain layers. */
  descriptor(id: string): { mediaType: string; digest: string; size: number };
  /**
   * Brings an image from a registry. `digest` is what the registry calls it; `upToDate`: the name meant that image before. A pull
   * that fails on the way leaves the layers that are whole for the next try. `source` is the host that said what the name means:
   * the registry's, or a mirror's.
   */
  pull(name: string, options: PullOptions): Promise<{ image: Image; digest: string; upToDate: boolean; source: string }>;
  /** Removes a name and, with its last name, the image: all its platforms', or that of one. */
  remove(reference: string, options: RemoveOptions): Promise<RemovedImages>;
  /** The name means what the reference means, for every platform, and nothing else. */
  tag(reference: string, name: string): void;
  /**
   * Sends an image to the registry its name says, and remembers what it is called there. The name needs to be one of the store's.
   * Throws ImageNotFound, and what the registry's client throws; what had arrived by then need not be sent again.
   */
  push(name: string, options: PushOptions): Promise<PushedImage>;
  readonly lists: ManifestLists;
  /** What of each layer its image does not show, lowest first. */
  waste(id: string): LayerWaste[];
  /** Verifies everything in the store; with `repair` mends it. Others may work meanwhile. */
  check(request: CheckRequest): Promise<StoreReport>;
  /** Deletes what an interrupted operation left and no image refers to. Returns what was deleted. */
  collectGarbage(): Promise<string[]>;
  close(): void;
}

export interface PushedImage {
  /** Digest, media type and bytes of the manifest. */
  digest: string;
  mediaType: string;
  size: number;
}

export type SaveFormat = "docker-archive" | "oci-archive" | "oci-dir";

export interface LoadOptions {
  /** "linux/arm64"; absent: the best for this machine. */
  platform?: string;
  signal?: AbortSignal;
  progress?: Progress;
}

export interface RemoveOptions {
  force?: boolean;
  inUse: ImagesInUse;
  platform?: string;
}

export interface RemovedImages {
  /** Names; those by digest go with a repository's last one. */
  untagged: string[];
  /** Whose these were: ids of images, in the same order. */
  untaggedFrom: string[];
  /** Ids of images, and diffIDs of layers that went with them. */
  deleted: string[];
  /** Bytes of all the files that went. */
  freed: number;
}

export interface SaveOptions {
  format: SaveFormat;
  /** Of names with several images the one for this; absent: the best for this machine. */
  platform?: string;
  /** An absolute path. */
  path?: string;
  /** Takes the archive where there is no path; it is waited for. */
  write?: (chunk: Uint8Array) => void | Promise<void>;
  signal?: AbortSignal;
}

/** Bytes of a layer that the image's file system does not show, and the largest of the files. */
export interface LayerWaste {
  bytes: number;
  files: { path: string; size: number; why: "replaced" | "deleted" }[];
}

/** Something wrong with the store. */
export interface StoreProblem {
  kind: "database" | "record" | "layer" | "configuration" | "manifest" | "document" | "index" | "layout" | "orphan";
  /** The image's id, and the layer's diffID, where it concerns one. */
  image: string | null;
  layer: string | null;
  /** Below the store. */
  path: string;
  message: string;
  advice: string;
  /** What the repair did about it; null if nothing. */
  repaired: string | null;
}

export interface StoreReport {
  problems: StoreProblem[];
  images: number;
  /** Bytes that were read and hashed. */
  bytes: number;
}

/** Says of an image's id whether a container, or whatever else outside of the store, needs it. */
export type ImagesInUse = Pick<ReadonlySet<string>, "has">;

export interface CheckRequest {
  quick?: boolean;
  repair?: boolean;
  /** Images that something needs: their records stay, whatever is missing. Asked at each decision. */
  inUse: ImagesInUse;
  signal?: AbortSignal;
  progress?: Progress;
}

/** `source`: the host, or hosts, that sent what is there now. */
export type Progress = (step: { id: string; current: number; total?: number; message: string; source?: string }) => void;

export interface ImportOptions {
  name?: string;
  config?: Partial<ImageConfig["config"]>;
  /** "linux/arm/v7", or an architecture alone; absent: this machine's. */
  platform?: string;
  message?: string;
  signal?: AbortSignal;
  progress?: Progress;
}

export interface PushOptions {
  registries: Registries;
  /** Who asks the registry of that name, be it where the image goes or where a layer came from. */
  authOf?(domain: string): RegistryAuth | undefined;
  /** Absent: any form will do, and gzip is made where there is none. */
  compression?: Compression;
  /** Of a name with several images the one for this; absent: the best for this machine. */
  platform?: string;
  /** Layers that are sent at a time; absent: five. */
  atOnce?: number;
  signal?: AbortSignal;
  progress?: Progress;
}

/** What makes a layer an image over another one. */
export interface CommitImage {
  /** Id of the image below. */
  parent: string;
  /** The whole of the new image's. */
  config: ImageConfig["config"];
  /** What the history says made the layer. */
  createdBy: string;
  name?: string;
  author?: string;
  message?: string;
}

export interface PullOptions {
  readonly registries: Registries;
  /** Who asks the registry of that name, or a mirror on that host. */
  authOf?(host: string): RegistryAuth | undefined;
  /** "linux/arm64"; absent: this machine's. */
  readonly platform?: string;
  /** Absent: whatever comes is taken. */
  readonly policy?: Policy;
  /** Layers that are fetched at a time; absent: four. */
  readonly atOnce?: number;
  readonly signal?: AbortSignal;
  readonly progress?: Progress;
}

/** Which images may come from registries. It goes by the name that is asked for, wherever that is fetched from. */
export interface Policy {
  /** Whether a name may be asked for at all. Throws "policy_refused", "policy_invalid". */
  check(reference: Reference): void;
  /**
   * Whether what was found there may be taken: `digests` are those of the index and of the platform's manifest. Signatures are
   * looked for in the repositories in turn. Throws those, "signature_missing", and what the registry's client throws.
   */
  admit(
    repositories: readonly Repository[],
    reference: Reference,
    digests: readonly Digest[],
    signal?: AbortSignal,
  ): Promise<void>;
}

/** An artifact that refers to a manifest. */
export interface Referrer {
  readonly digest: string;
  readonly mediaType: string;
  /** Empty where the registry does not say it. */
  readonly artifactType: string;
  /** Of its manifest, in bytes. */
  readonly size: number;
  readonly annotations: Readonly<Record<string, string>>;
  /** What refers to it. */
  readonly referrers: readonly Referrer[];
}

export interface AttachFile {
  /** Absolute; its last part is the name it gets. */
  readonly path: string;
  readonly mediaType: string;
}

/** A file of an artifact, in its registry. */
export interface AttachedFile {
  /** No path. */
  readonly name: string;
  readonly digest: string;
  readonly size: number;
  readonly mediaType: string;
}

/** A platform as an index says it. */
export interface ListPlatform {
  readonly architecture: string;
  readonly os: string;
  readonly "os.version"?: string;
  readonly "os.features"?: readonly string[];
  readonly variant?: string;
}

/** What an index says of a manifest besides its platform. */
export interface ListDescriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface ListMember {
  /** Canonical; an image's id where it was named by that. */
  readonly name: string;
  /** Id of an image of the store; null: a manifest in a registry. */
  readonly image: string | null;
  /** "registry.example/team/app": where the manifest is; null for an image of the store. */
  readonly repository: string | null;
  /** Null: an image of the store whose manifest its push will make. */
  readonly descriptor: ListDescriptor | null;
  readonly platform: ListPlatform | null;
}

export interface ManifestList {
  /** As short as it can be. */
  readonly name: string;
  readonly members: readonly ListMember[];
}

/** What is said of a member's platform; absent: as it was. */
export interface ListAnnotation {
  readonly os?: string;
  readonly architecture?: string;
  readonly variant?: string;
  readonly osVersion?: string;
  readonly osFeatures?: readonly string[];
}

export type ListOptions = Pick<PushOptions, "registries" | "authOf" | "signal">;

/** Indexes that are being put together. Durable when a call returns. An image that a list needs is not removed without force. */
export interface ManifestLists {
  all(): ManifestList[];
  /** Whether a list has that image. */
  needs(id: string): boolean;
  /** The list, and the index it would be pushed as. Throws "manifest_list_not_found". */
  get(list: string): ManifestList & { readonly mediaType: string; readonly text: string };
  /** One member, by name, digest or image id. Throws "manifest_list_member_not_found". */
  member(list: string, image: string): ListMember;
  /**
   * Makes a list, or with `amend` adds to it, and replaces members of the same names. An index gives all its entries. Returns its
   * short name. Throws "manifest_list_exists", and what the registry's client throws.
   */
  create(list: string, images: readonly string[], options: ListOptions & { readonly amend?: boolean }): Promise<string>;
  annotate(list: string, image: string, annotation: ListAnnotation): void;
  /**
   * Sends what the members need, then the index. Manifests from registries keep their bytes; images of the store are sent as
   * ImageStore.push sends them. With `purge` the list is removed afterwards.
   */
  push(list: string, options: PushOptions & { readonly purge?: boolean }): Promise<PushedImage & { members: ListMember[] }>;
  remove(list: string): void;
}
