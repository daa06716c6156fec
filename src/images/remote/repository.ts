/** A repository of one place: a registry, or a mirror. Source: OCI distribution specification 1.1. */
import { OnggiError } from "../../lib/errors.ts";
import { type Digest, hexOf, isDigest } from "../../oci/digest.ts";
import { isTag } from "../../oci/reference.ts";
import { digestOf } from "../digest.ts";
import { pagesOf, parseJson, wholeBody } from "./answers.ts";
import { readBlob, readOf } from "./blob.ts";
import { invalidAnswer } from "./failures.ts";
import { type Call, type Host, sizeOf } from "./host.ts";
import type { Answer } from "./transport.ts";
import type { BlobRead, BlobSource, RegistryAuth, RemoteManifest, Repository } from "./types.ts";
import { cancelUpload, locationOf, upload } from "./upload.ts";

const MAX_MANIFEST = 4 << 20;
const INDEX = "application/vnd.oci.image.index.v1+json";

const accept = [
  INDEX,
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.docker.distribution.manifest.v2+json",
  "*/*",
].join(", ");

/** Empty where it is none. */
const mediaTypeOf = (answer: Answer): string => {
  const type = (answer.headers.get("content-type") ?? "").replace(/;.*$/s, "").trim();
  return /^[\w.+/-]{1,255}$/.test(type) ? type : "";
};

const notThere = (error: unknown): boolean =>
  error instanceof OnggiError && (error.code === "manifest_unknown" || error.code === "blob_unknown");

export interface Place {
  /** For errors: "registry.example:5000/team/app". */
  readonly name: string;
  readonly host: Host;
  /** Of the repository on that host. */
  readonly path: string;
  readonly auth: RegistryAuth;
  /** How often it is asked where it fails. Absent: as often as it is worth. */
  readonly tries?: number;
}

export class RemoteRepository implements Repository {
  readonly name: string;
  readonly #host: Host;
  readonly #path: string;
  readonly #auth: RegistryAuth;
  readonly #tries: number | undefined;

  constructor({ name, host, path, auth, tries }: Place) {
    this.name = name;
    this.#path = path;
    this.#host = host;
    this.#auth = auth;
    this.#tries = tries;
  }

  get host(): Host {
    return this.#host;
  }

  async manifest(tagOrDigest: string, signal?: AbortSignal): Promise<RemoteManifest> {
    const call = this.#call(`manifest ${tagOrDigest}`, "pull", signal);
    const url = await this.#host.url(`${this.#path}/manifests/${tagOrDigest}`, call.what, signal);
    const headers = { Accept: accept };
    const answer = await this.#host.call(url, { ...call, headers, method: "GET", expect: [200], missing: "manifest_unknown" });
    const bytes = await wholeBody(answer, call.what, MAX_MANIFEST);
    const digest = digestOf(bytes);
    const told = answer.headers.get("docker-content-digest");
    for (const wanted of [tagOrDigest, told]) {
      if (isDigest(wanted) && wanted !== digest)
        throw new OnggiError("digest_mismatch", `${call.what}: ${wanted} was expected, the bytes that came are ${digest}`);
    }
    return { mediaType: mediaTypeOf(answer), digest, bytes, source: this.#host.endpoint.host };
  }

  async resolve(tagOrDigest: string, signal?: AbortSignal): Promise<{ digest: Digest; mediaType: string; size: number } | null> {
    const call = this.#call(`manifest ${tagOrDigest}`, "pull", signal);
    const url = await this.#host.url(`${this.#path}/manifests/${tagOrDigest}`, call.what, signal);
    const headers = { Accept: accept };
    const answer = await this.#host.call(url, { ...call, headers, method: "HEAD", expect: [200, 404, 405] });
    await answer.discard();
    if (answer.status === 404) return null;
    const [digest, size] = [answer.headers.get("docker-content-digest"), sizeOf(answer)];
    if (answer.status === 200 && isDigest(digest) && size !== null) return { digest, size, mediaType: mediaTypeOf(answer) };
    try {
      const manifest = await this.manifest(tagOrDigest, signal);
      return { digest: manifest.digest, mediaType: manifest.mediaType, size: manifest.bytes.length };
    } catch (error) {
      if (notThere(error)) return null;
      throw error;
    }
  }

  blob(digest: Digest, size: number, signal?: AbortSignal): BlobRead {
    return readOf(this.#host.endpoint.host, this.blobFrom(digest, size, 0, signal));
  }

  /** The bytes from `from` on. */
  blobFrom(digest: Digest, size: number, from: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const call = { ...this.#call(`blob ${digest}`, "pull", signal), missing: "blob_unknown" as const };
    return readBlob(this.#host, { path: this.#path, digest, size, from }, call);
  }

  async tags(signal?: AbortSignal): Promise<string[]> {
    const call = this.#call("tags", "pull", signal);
    const found = new Set<string>();
    const first = await this.#host.url(`${this.#path}/tags/list?n=1000`, call.what, signal);
    for await (const page of pagesOf(this.#host, first, { ...call, missing: "manifest_unknown" })) {
      const tags = (page as { tags?: unknown } | null)?.tags ?? [];
      if (!Array.isArray(tags) || !tags.every(isTag)) throw invalidAnswer(call.what, "no list of tags");
      for (const tag of tags) found.add(tag);
    }
    return [...found];
  }

  async hasBlob(digest: Digest, signal?: AbortSignal): Promise<number | null> {
    const call = this.#call(`blob ${digest}`, "pull", signal);
    const url = await this.#host.url(`${this.#path}/blobs/${digest}`, call.what, signal);
    const answer = await this.#host.call(url, { ...call, method: "HEAD", expect: [200, 404] });
    await answer.discard();
    if (answer.status === 404) return null;
    const size = sizeOf(answer);
    if (size === null) throw invalidAnswer(call.what, "a blob without a size");
    return size;
  }

  async mountBlob(digest: Digest, from: string, signal?: AbortSignal): Promise<boolean> {
    const call = this.#call(`mounting blob ${digest} from ${from}`, "pull,push", signal, [`repository:${from}:pull`]);
    const url = await this.#host.url(`${this.#path}/blobs/uploads/`, call.what, signal);
    url.searchParams.set("mount", digest);
    url.searchParams.set("from", from);
    const answer = await this.#host.call(url, { ...call, method: "POST", expect: [201, 202, 400, 403, 404, 405] });
    await answer.discard();
    // 202: the registry began an upload instead.
    if (answer.status === 202) await cancelUpload(this.#host, locationOf(answer, call.what), call);
    return answer.status === 201;
  }

  upload(source: BlobSource, signal?: AbortSignal): Promise<{ digest: Digest; size: number }> {
    return upload(this.#host, this.#path, source, this.#call(`upload of ${source.digest ?? "a blob"}`, "pull,push", signal));
  }

  async putManifest(tagOrDigest: string, mediaType: string, bytes: Uint8Array, signal?: AbortSignal): Promise<Digest> {
    const call = this.#call(`manifest ${tagOrDigest}`, "pull,push", signal);
    const url = await this.#host.url(`${this.#path}/manifests/${tagOrDigest}`, call.what, signal);
    const headers = { "Content-Type": mediaType };
    const answer = await this.#host.call(url, { ...call, method: "PUT", headers, body: bytes, expect: [200, 201, 202] });
    await answer.discard();
    const digest = digestOf(bytes);
    const confirmed = answer.headers.get("docker-content-digest");
    if (isDigest(confirmed) && confirmed !== digest)
      throw new OnggiError("digest_mismatch", `${call.what}: ${digest} was sent, the registry has ${confirmed}`);
    return digest;
  }

  async deleteManifest(tagOrDigest: string, signal?: AbortSignal): Promise<void> {
    const call = this.#call(`deleting manifest ${tagOrDigest}`, "delete", signal);
    const url = await this.#host.url(`${this.#path}/manifests/${tagOrDigest}`, call.what, signal);
    const answer = await this.#host.call(url, { ...call, method: "DELETE", expect: [200, 202], missing: "manifest_unknown" });
    await answer.discard();
  }

  async referrers(digest: Digest, artifactType?: string, signal?: AbortSignal): Promise<RemoteManifest> {
    const call = this.#call(`referrers of ${digest}`, "pull", signal);
    const manifests: Record<string, unknown>[] = [];
    const first = await this.#host.url(`${this.#path}/referrers/${digest}`, call.what, signal);
    if (artifactType) first.searchParams.set("artifactType", artifactType);
    try {
      for await (const page of pagesOf(this.#host, first, { ...call, missing: "manifest_unknown" }))
        manifests.push(...entriesOf(page, call.what));
    } catch (error) {
      if (!notThere(error)) throw error;
      manifests.push(...(await this.#tagSchema(digest, signal)));
    }
    // A registry may leave the choosing to us.
    const chosen = artifactType ? manifests.filter((entry) => entry.artifactType === artifactType) : manifests;
    const bytes = new TextEncoder().encode(JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: chosen }));
    return { mediaType: INDEX, digest: digestOf(bytes), bytes, source: this.#host.endpoint.host };
  }

  /** What refers to a manifest where the registry has no referrers API: an index under the tag "sha256-<hex>". */
  async #tagSchema(digest: Digest, signal?: AbortSignal): Promise<Record<string, unknown>[]> {
    try {
      const { bytes } = await this.manifest(`sha256-${hexOf(digest)}`, signal);
      const what = `${this.name}: referrers of ${digest}`;
      return entriesOf(parseJson(bytes, what), what);
    } catch (error) {
      if (notThere(error)) return [];
      throw error;
    }
  }

  #call(
    thing: string,
    actions: string,
    signal?: AbortSignal,
    more: readonly string[] = [],
  ): Pick<Call, "what" | "scopes" | "auth" | "signal" | "tries"> {
    const scopes = [`repository:${this.#path}:${actions}`, ...more];
    const tries = this.#tries;
    return { what: `${this.name}: ${thing}`, scopes, auth: this.#auth, signal, ...(tries === undefined ? {} : { tries }) };
  }
}

/** Of an index. */
function entriesOf(document: unknown, what: string): Record<string, unknown>[] {
  const entries = (document as { manifests?: unknown } | null)?.manifests ?? [];
  if (!Array.isArray(entries) || !entries.every((entry) => typeof entry === "object" && entry !== null))
    throw invalidAnswer(what, "no index");
  return entries as Record<string, unknown>[];
}
