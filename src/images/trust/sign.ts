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

export interface SignRequest {
  readonly digest: Digest;
  /** The name it is signed as. */
  readonly reference: string;
  readonly key: KeyObject;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** The layers of the signatures that are there already. */
const layersThere = async (repository: Repository, tag: string, signal?: AbortSignal): Promise<Record<string, unknown>[]> => {
  try {
    const { bytes, digest } = await repository.manifest(tag, signal);
    const { layers } = parseJson(Buffer.from(bytes).toString("utf8"), `${repository.name}@${digest}`);
    return Array.isArray(layers) ? layers.filter(isObject) : [];
  } catch (error) {
    if (error instanceof OnggiError && error.code === "manifest_unknown") return [];
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

/** Adds a signature; returns the digest of the manifest of signatures. Of two processes that sign at once the last one's stands. */
export async function signImage(
  repository: Repository,
  { digest, reference, key, annotations, signal }: SignRequest,
): Promise<Digest> {
  const payload = payloadOf(reference, digest, annotations);
  const signature = Buffer.from(signWith(key, Buffer.from(payload))).toString("base64");
  const tag = signatureTag(digest);
  const layer = {
    mediaType: SIMPLE_SIGNING,
    ...(await sendBytes(repository, Buffer.from(payload), signal)),
    annotations: { [SIGNATURE_ANNOTATION]: signature },
  };
  return inTurn(repository, tag, async () => {
    const layers = [...(await layersThere(repository, tag, signal)), layer];
    const config = await sendBytes(repository, Buffer.from(configOf(layers.map((each) => each.digest))), signal);
    const mediaType = mediaTypes.manifest;
    const text = JSON.stringify({ schemaVersion: 2, mediaType, config: { mediaType: mediaTypes.config, ...config }, layers });
    return repository.putManifest(tag, mediaType, Buffer.from(text), signal);
  });
}
