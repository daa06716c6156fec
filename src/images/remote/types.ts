/**
 * What pull and push need of a registry. Source: OCI distribution specification 1.1; Docker's token authentication
 * (distribution/docs/spec/auth).
 *
 * Errors carry one of these codes, and their messages name registry and repository:
 * "registry_unreachable" (no connection, TLS, time-out), "registry_unauthorized" (401, 403), "manifest_unknown", "blob_unknown",
 * "registry_error" (any other answer that is no success), "registry_answer_invalid" (an answer that is no sense),
 * "digest_mismatch", "registry_config_invalid".
 */
import type { Digest } from "../../oci/digest.ts";
import type { Reference } from "../../oci/reference.ts";

/** What an administrator wants of registries besides what registries.toml says. */
export interface RegistrySettings {
  /** Path of registries.toml; absent: the usual one. */
  readonly config?: string;
  /** "HOST[:PORT]", or a prefix of addresses: registries that may be insecure. */
  readonly insecure: readonly string[];
  /** "http[s]://HOST[:PORT]": asked for images of docker.io before it is. */
  readonly mirrors: readonly string[];
  /** HTTP_PROXY, HTTPS_PROXY, NO_PROXY in place of the process's. */
  readonly proxies?: Readonly<Record<string, string>>;
}

/** Who asks; all absent: nobody. The same fields as Docker's X-Registry-Auth. */
export interface RegistryAuth {
  readonly username?: string;
  readonly password?: string;
  /** OAuth2 refresh token, in place of a password. */
  readonly identityToken?: string;
  /** Sent as it is, as a bearer token. */
  readonly registryToken?: string;
}

export interface RemoteManifest {
  readonly mediaType: string;
  /** Of `bytes`, checked against what was asked for and what the registry said. */
  readonly digest: Digest;
  readonly bytes: Uint8Array;
  /** Who gave it: "registry-1.docker.io", or a mirror. */
  readonly source: string;
}

/** A blob's bytes on their way. */
export interface BlobRead extends AsyncIterable<Uint8Array> {
  /** Once all have come: who has sent bytes, in the order they did. */
  readonly sources: readonly string[];
  /**
   * Says that what came was not the blob. Whoever sent it is not asked for this blob again by the same Repository. True where
   * somebody else is left to be asked: by another `blob`.
   */
  wrong(why: string): boolean;
}

/** A blob as bytes to send, with a digest that is known before or after sending them. */
export interface BlobSource {
  /** The bytes from the start. Called again when an upload is tried again. */
  open(): AsyncIterable<Uint8Array>;
  /** Absent: computed while sending. */
  readonly digest?: Digest;
  readonly size?: number;
}

/** One repository of one registry, and of its mirrors. Everything takes a signal. */
export interface Repository {
  /** "registry.example:5000/team/app". */
  readonly name: string;
  /** By tag or digest, index or manifest, of at most 4 MiB. */
  manifest(tagOrDigest: string, signal?: AbortSignal): Promise<RemoteManifest>;
  /** The digest alone; null where there is none. */
  resolve(tagOrDigest: string, signal?: AbortSignal): Promise<{ digest: Digest; mediaType: string; size: number } | null>;
  /**
   * A blob's bytes, `size` of them or an error: a broken connection is resumed by range, with back-off. The digest is for
   * whoever takes the bytes to check, and `wrong` for who finds another one.
   */
  blob(digest: Digest, size: number, signal?: AbortSignal): BlobRead;
  /** Every tag, over all pages. */
  tags(signal?: AbortSignal): Promise<string[]>;
  /** Size of a blob the repository has; null where it has not. */
  hasBlob(digest: Digest, signal?: AbortSignal): Promise<number | null>;
  /** Takes a blob over from another repository ("team/base") of the same registry; false where the registry will not. */
  mountBlob(digest: Digest, from: string, signal?: AbortSignal): Promise<boolean>;
  /** Streams a blob up; returns what it turned out to be. */
  upload(source: BlobSource, signal?: AbortSignal): Promise<{ digest: Digest; size: number }>;
  /** Returns the manifest's digest as the registry confirmed it. */
  putManifest(tagOrDigest: string, mediaType: string, bytes: Uint8Array, signal?: AbortSignal): Promise<Digest>;
  /** Deletes a manifest by digest, or a tag where the registry can. */
  deleteManifest(tagOrDigest: string, signal?: AbortSignal): Promise<void>;
  /** An index of what refers to the manifest: the referrers API, or the tag schema where a registry has none. */
  referrers(digest: Digest, artifactType?: string, signal?: AbortSignal): Promise<RemoteManifest>;
}

/** One repository that a search has found. */
export interface FoundRepository {
  /** As the registry's index calls it; out of a catalogue with the registry before it. */
  readonly name: string;
  readonly description: string;
  readonly starCount: number;
  readonly isOfficial: boolean;
  readonly isAutomated: boolean;
}

export interface SearchRequest {
  readonly term: string;
  /** How many at most. */
  readonly limit: number;
}

export interface RepositoryOptions {
  /** False: only who takes pushes is asked, which is the registry itself, for what must not be a mirror's word. */
  readonly mirrors?: boolean;
  /** Who asks a mirror on that host. Absent: nobody; what is for the registry is not for its mirrors. */
  authOf?(host: string): RegistryAuth | undefined;
}

/** The registries of the world. Connections and tokens are shared by all callers. */
export interface Registries {
  /** The repository of a name. */
  repository(reference: Reference, auth?: RegistryAuth, options?: RepositoryOptions): Repository;
  /** The hosts of a name's mirrors, which may know who asks by credentials of their own. Throws "registry_config_invalid". */
  mirrorsOf(reference: Reference): string[];
  /** Asks a registry whether it takes these credentials; an identity token where it hands one out. */
  login(domain: string, auth: RegistryAuth, signal?: AbortSignal): Promise<{ identityToken?: string }>;
  /** Repositories of a registry by a word. Throws "search_unsupported" besides what any request throws. */
  search(domain: string, request: SearchRequest, auth?: RegistryAuth, signal?: AbortSignal): Promise<FoundRepository[]>;
  /** The same; but those of which nothing is said may be insecure, as those of this machine. */
  readonly insecure: Registries;
  close(): void;
}
