/** Signing an image as cosign does: the signature joins those under the manifest's tag. Source: cosign/specs/SIGNATURE_SPEC.md. */
import type { KeyObject } from "node:crypto";
import { OnggiError } from "../../lib/errors.ts";
import type { Digest } from "../../oci/digest.ts";
import { sendBytes } from "../copy.ts";
import { inTurn } from "../in-turn.ts";
import { isObject, mediaTypes, parseJson } from "../manifest.ts";
import type { Repository } from "../remote/types.ts";
import { SIGNATURE_ANNOTATION, SIMPLE_SIGNING, signatureTag } from "./find.ts";
import { signWith } from "./keys.ts";
import { payloadOf } from "./payload.ts";

/** Tries at a tag that others change too. */
const MAX_TRIES = 5;

export interface SignRequest {
  readonly digest: Digest;
  /** The name it is signed as. */
  readonly reference: string;
  readonly key: KeyObject;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** The signatures that are there already, and the digest of their manifest; null where there are none. */
const signaturesThere = async (repository: Repository, tag: string, signal?: AbortSignal) => {
  try {
    const { bytes, digest } = await repository.manifest(tag, signal);
    const { layers } = parseJson(Buffer.from(bytes).toString("utf8"), `${repository.name}@${digest}`);
    return { digest, layers: Array.isArray(layers) ? layers.filter(isObject) : [] };
  } catch (error) {
    if (error instanceof OnggiError && error.code === "manifest_unknown") return null;
    throw error;
  }
};

/** A configuration that says nothing: clients know this one to be an image's. */
const configOf = (diffIds: readonly unknown[]): string =>
  JSON.stringify({
    ...{ architecture: "", created: "0001-01-01T00:00:00Z", os: "", config: {} },
    history: diffIds.map(() => ({ created: "0001-01-01T00:00:00Z" })),
    rootfs: { type: "layers", diff_ids: diffIds },
  });

/**
 * Adds a signature; returns the digest of the manifest of signatures. It is looked for after it was written: another process that
 * signed at the same moment may have overwritten it. Throws "signature_contended", and what the registry's client throws.
 */
export async function signImage(
  repository: Repository,
  { digest, reference, key, annotations, signal }: SignRequest,
): Promise<Digest> {
  const payload = Buffer.from(payloadOf(reference, digest, annotations));
  const signature = Buffer.from(signWith(key, payload)).toString("base64");
  const tag = signatureTag(digest);
  const blob = await sendBytes(repository, payload, signal);
  const layer = { mediaType: SIMPLE_SIGNING, ...blob, annotations: { [SIGNATURE_ANNOTATION]: signature } };
  const isOurs = ({ annotations: said }: Record<string, unknown>): boolean =>
    isObject(said) && said[SIGNATURE_ANNOTATION] === signature;
  return inTurn(repository, tag, async () => {
    for (let attempt = 0; attempt <= MAX_TRIES; attempt++) {
      const there = await signaturesThere(repository, tag, signal);
      if (there?.layers.some(isOurs)) return there.digest;
      if (attempt === MAX_TRIES) break;
      const layers = [...(there?.layers ?? []), layer];
      const config = await sendBytes(repository, Buffer.from(configOf(layers.map((each) => each.digest))), signal);
      const mediaType = mediaTypes.manifest;
      const text = JSON.stringify({ schemaVersion: 2, mediaType, config: { mediaType: mediaTypes.config, ...config }, layers });
      await repository.putManifest(tag, mediaType, Buffer.from(text), signal);
    }
    const what = `${repository.name}:${tag}`;
    throw new OnggiError("signature_contended", `${what} was overwritten by others ${MAX_TRIES} times; sign it again`);
  });
}
