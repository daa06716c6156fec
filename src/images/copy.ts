/**
 * Manifests and blobs from one repository into another, as they are: what is there is not sent, what the same registry has is
 * mounted, anything else is streamed and its digest checked on the way. Source: OCI distribution specification 1.1.
 */
import { OnggiError } from "../lib/errors.ts";
import { Limiter } from "../lib/limiter.ts";
import type { Digest } from "../oci/digest.ts";
import { parseReference } from "../oci/reference.ts";
import { digestOf, finishHash, newHash } from "./digest.ts";
import { inTurn } from "./in-turn.ts";
import { type Blob, linksOf, parseJson } from "./manifest.ts";
import type { BlobRead, Repository } from "./remote/types.ts";

/** Blobs that are sent at a time. */
const PARALLEL = 5;
const MAX_DEPTH = 8;

class OtherBytes extends OnggiError {
  /** Somebody is left who may have the right ones. */
  readonly again: boolean;

  constructor(source: Repository, { digest }: Blob, read: BlobRead) {
    super("digest_mismatch", `${source.name}: ${digest} has other bytes`);
    this.again = read.wrong(this.message);
  }
}

/** A blob's bytes. Throws "digest_mismatch" after the last where they are others. */
export async function* checkedBlob(source: Repository, blob: Blob, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const hash = newHash();
  const read = source.blob(blob.digest, blob.size, signal);
  for await (const chunk of read) {
    hash.update(chunk);
    yield chunk;
  }
  if (finishHash(hash) !== blob.digest) throw new OtherBytes(source, blob, read);
}

/** What is done with a checked blob is done again where a mirror gave other bytes, until nobody is left. */
async function fromAnybody<T>(use: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await use();
    } catch (error) {
      if (!(error instanceof OtherBytes && error.again)) throw error;
    }
  }
}

/** A blob in memory; for those whose size was looked at. Throws "digest_mismatch". */
export function blobBytes(source: Repository, blob: Blob, signal?: AbortSignal): Promise<Buffer> {
  return fromAnybody(async () => {
    const parts: Uint8Array[] = [];
    for await (const chunk of checkedBlob(source, blob, signal)) parts.push(chunk);
    return Buffer.concat(parts);
  });
}

/** Sends bytes, unless the repository has them. Two who send the same at once would have docker-registry write over what it reads. */
export async function sendBytes(
  target: Repository,
  bytes: Uint8Array,
  signal?: AbortSignal,
): Promise<{ digest: Digest; size: number }> {
  const blob = { digest: digestOf(bytes), size: bytes.length };
  async function* open(): AsyncGenerator<Uint8Array> {
    yield bytes;
  }
  await inTurn(target, blob.digest, async () => {
    if ((await target.hasBlob(blob.digest, signal)) === null) await target.upload({ open, ...blob }, signal);
  });
  return blob;
}

export interface CopyOptions {
  readonly signal?: AbortSignal | undefined;
  readonly tell?: (digest: Digest, message: string) => void;
}

async function copyBlob(source: Repository, target: Repository, blob: Blob, { signal, tell }: CopyOptions): Promise<void> {
  const { digest, size } = blob;
  if ((await target.hasBlob(digest, signal)) !== null) return;
  const [from, to] = [parseReference(source.name), parseReference(target.name)];
  if (from.domain === to.domain && (await target.mountBlob(digest, from.path, signal))) {
    tell?.(digest, `Mounted from ${from.path}`);
    return;
  }
  await fromAnybody(() => target.upload({ open: () => checkedBlob(source, blob, signal), digest, size }, signal));
  tell?.(digest, "Copied");
}

/**
 * Brings a manifest or index with all it names into `target`, under its digest and as the same bytes. Blobs go before what names
 * them. Layers that are to be fetched from elsewhere ("urls") stay there. Throws what Repository throws, "manifest_invalid".
 */
export async function copyManifest(
  source: Repository,
  target: Repository,
  digest: Digest,
  options: CopyOptions = {},
  depth = 0,
): Promise<void> {
  const { signal, tell } = options;
  if (source.name === target.name || (await target.resolve(digest, signal)) !== null) return;
  if (depth > MAX_DEPTH)
    throw new OnggiError("manifest_invalid", `${source.name}@${digest}: its indexes are nested more than ${MAX_DEPTH} deep`);
  const { bytes, mediaType } = await source.manifest(digest, signal);
  const what = `${source.name}@${digest}`;
  const { manifests, blobs } = linksOf(parseJson(Buffer.from(bytes).toString("utf8"), what), what);
  for (const { digest: inner } of manifests) await copyManifest(source, target, inner, options, depth + 1);
  const limiter = new Limiter(PARALLEL);
  const stop = new AbortController();
  const both = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const copies = blobs.map((blob) => limiter.run(() => copyBlob(source, target, blob, { ...options, signal: both })));
  try {
    await Promise.all(copies);
  } catch (error) {
    stop.abort(error);
    await Promise.allSettled(copies);
    throw error;
  }
  await target.putManifest(digest, mediaType, bytes, signal);
  tell?.(digest, "Manifest copied");
}
