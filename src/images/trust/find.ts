/**
 * The signatures that a repository has for a manifest: under the tag "sha256-HEX.sig" as cosign keeps them, then among what refers
 * to the manifest. Nothing here is trusted: sizes and counts are limited, what cannot be read is passed over with a reason.
 * Source: cosign/specs/SIGNATURE_SPEC.md; cosign/specs/BUNDLE_SPEC.md.
 */
import { messageOf, OnggiError } from "../../lib/errors.ts";
import { type Digest, hexOf } from "../../oci/digest.ts";
import { blobBytes } from "../copy.ts";
import { isObject, parseDescriptor } from "../manifest.ts";
import type { RemoteManifest, Repository } from "../remote/types.ts";
import { bundleSignatures, type Signature, simpleSignature } from "./payload.ts";

export const SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json";
export const SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature";
const COSIGN_ARTIFACT = "application/vnd.dev.cosign.artifact.sig.v1+json";
const BUNDLE = /^application\/vnd\.dev\.sigstore\.bundle(?:\.v0\.[0-9]+)?\+json(?:;version=0\.[0-9]+)?$/;
/** What cosign 3 writes into the tag schema's index in place of the artifact's own type. */
const EMPTY = "application/vnd.oci.empty.v1+json";

const MAX_SIGNATURES = 100;
const MAX_REFERRERS = 200;
const MAX_PAYLOAD = 64 << 10;
const MAX_BUNDLE = 1 << 20;

/** The tag of a manifest's signatures. */
export const signatureTag = (digest: Digest): string => `sha256-${hexOf(digest)}.sig`;

/** A signature that may be of use, or why something that looked like one is of none. */
export type Found = { readonly signature: Signature } | { readonly unfit: string };

const notThere = (error: unknown): boolean =>
  error instanceof OnggiError && (error.code === "manifest_unknown" || error.code === "blob_unknown");

/** What is wrong with the content of a signature is no reason to fail; that the registry cannot be reached is. */
const contentCodes: ReadonlySet<string> = new Set([
  "signature_invalid",
  "manifest_invalid",
  "digest_invalid",
  "digest_mismatch",
  "registry_answer_invalid",
]);
const unfit = (error: unknown): Found => {
  if (error instanceof OnggiError && (contentCodes.has(error.code) || notThere(error))) return { unfit: messageOf(error) };
  throw error;
};

const layersOf = ({ bytes }: RemoteManifest): Record<string, unknown>[] => {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch {
    return [];
  }
  const layers = isObject(value) && Array.isArray(value.layers) ? value.layers.filter(isObject) : [];
  return layers;
};

/** The bytes of a layer, if it is no larger than it may be. */
async function bytesOf(
  repository: Repository,
  layer: Record<string, unknown>,
  limit: number,
  signal?: AbortSignal,
): Promise<Buffer> {
  const blob = parseDescriptor(layer, `${repository.name}: a signature`);
  if (blob.size > limit) throw new OnggiError("signature_invalid", `a signature of ${blob.size} bytes; the limit is ${limit}`);
  return blobBytes(repository, blob, signal);
}

async function* signaturesOf(repository: Repository, manifest: RemoteManifest, signal?: AbortSignal): AsyncGenerator<Found> {
  const layers = layersOf(manifest);
  if (layers.length > MAX_SIGNATURES) {
    yield { unfit: `${repository.name}@${manifest.digest} has ${layers.length} signatures; the limit is ${MAX_SIGNATURES}` };
    return;
  }
  for (const layer of layers) {
    const { mediaType, annotations } = layer;
    try {
      if (mediaType === SIMPLE_SIGNING) {
        const signature = isObject(annotations) ? annotations[SIGNATURE_ANNOTATION] : undefined;
        if (typeof signature !== "string") throw new OnggiError("signature_invalid", "a payload without a signature");
        yield { signature: simpleSignature(await bytesOf(repository, layer, MAX_PAYLOAD, signal), signature) };
      } else if (BUNDLE.test(String(mediaType))) {
        for (const signature of bundleSignatures(await bytesOf(repository, layer, MAX_BUNDLE, signal))) yield { signature };
      }
    } catch (error) {
      yield unfit(error);
    }
  }
}

async function optional(find: () => Promise<RemoteManifest>): Promise<RemoteManifest | null> {
  try {
    return await find();
  } catch (error) {
    if (notThere(error)) return null;
    throw error;
  }
}

/** Every signature of a manifest, those under its tag first. Throws what the registry's client throws. */
export async function* findSignatures(repository: Repository, digest: Digest, signal?: AbortSignal): AsyncGenerator<Found> {
  let tagged: RemoteManifest | null = null;
  try {
    tagged = await optional(() => repository.manifest(signatureTag(digest), signal));
  } catch (error) {
    yield unfit(error);
  }
  if (tagged) yield* signaturesOf(repository, tagged, signal);
  let entries: Record<string, unknown>[] = [];
  try {
    const { bytes } = await repository.referrers(digest, undefined, signal);
    const index: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
    entries = isObject(index) && Array.isArray(index.manifests) ? index.manifests.filter(isObject) : [];
  } catch (error) {
    yield unfit(error);
  }
  const likely = entries.filter(({ artifactType }) => isSignatureType(artifactType)).slice(0, MAX_REFERRERS);
  for (const entry of likely) {
    try {
      const { digest: own } = parseDescriptor(entry, `${repository.name}: a referrer`);
      yield* signaturesOf(repository, await repository.manifest(own, signal), signal);
    } catch (error) {
      yield unfit(error);
    }
  }
}

const isSignatureType = (type: unknown): boolean =>
  type === undefined || type === EMPTY || type === COSIGN_ARTIFACT || BUNDLE.test(String(type));
