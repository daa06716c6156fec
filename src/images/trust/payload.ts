/**
 * What a signature says, once it is known to be the key's. Two forms: cosign's payload ("simple signing", containers-signature(5)) and
 * a DSSE envelope with an in-toto statement, as sigstore's bundles have it. Pure. Sources: cosign/specs/SIGNATURE_SPEC.md; DSSE
 * protocol.md; in-toto Statement v1; sigstore's protobuf-specs, sigstore_bundle.proto.
 */
import { OnggiError } from "../../lib/errors.ts";
import { type Digest, isDigest } from "../../oci/digest.ts";
import { isObject } from "../manifest.ts";

export interface Claims {
  /** Digests of the manifests that are signed. */
  readonly digests: readonly Digest[];
  /** The name the image was signed as; null where that is not said. */
  readonly reference: string | null;
}

/** What is signed, the signature, and what it says: to be asked after the signature has been verified. */
export interface Signature {
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  /** Throws "signature_invalid". */
  claims(): Claims;
}

const TYPE = "cosign container image signature";
const STATEMENT_TYPES = ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];
const SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1";
const IN_TOTO = "application/vnd.in-toto+json";

const invalid = (why: string): OnggiError => new OnggiError("signature_invalid", why);

const parse = (bytes: Uint8Array, what: string): Record<string, unknown> => {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw invalid(`${what} is not JSON`);
  }
  if (!isObject(value)) throw invalid(`${what} is not a JSON object`);
  return value;
};

const objectOf = (value: unknown): Record<string, unknown> => (isObject(value) ? value : {});

/** The payload that says: this digest, known by that name. `reference` is "registry.example/team/app", mostly without a tag. */
export const payloadOf = (reference: string, digest: Digest, annotations?: Readonly<Record<string, string>>): string => {
  const image = { "docker-manifest-digest": digest };
  const critical = { identity: { "docker-reference": reference }, image, type: TYPE };
  return JSON.stringify({ critical, optional: annotations ?? null });
};

/** A payload and its signature, in base64. */
export const simpleSignature = (payload: Uint8Array, signature: string): Signature => ({
  signed: payload,
  signature: Buffer.from(signature, "base64"),
  claims: () => {
    const { identity, image, type } = objectOf(parse(payload, "the payload").critical);
    if (type !== TYPE) throw invalid("the payload is of another type");
    const digest = objectOf(image)["docker-manifest-digest"];
    const reference = objectOf(identity)["docker-reference"];
    if (!isDigest(digest)) throw invalid("the payload names no digest");
    if (typeof reference !== "string") throw invalid("the payload names no image");
    return { digests: [digest], reference };
  },
});

/** What DSSE signs: type and payload with their lengths. */
const encoded = (type: string, payload: Uint8Array): Uint8Array =>
  Buffer.concat([Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `), payload]);

/**
 * The signatures of a bundle by a key. What a transparency log adds is not looked at. Throws "signature_invalid" for what is no bundle,
 * or one of a certificate.
 */
export const bundleSignatures = (bytes: Uint8Array): Signature[] => {
  const { verificationMaterial, dsseEnvelope } = parse(bytes, "the bundle");
  if (objectOf(verificationMaterial).publicKey === undefined) throw invalid("the bundle is not by a key");
  const { payload, payloadType, signatures } = objectOf(dsseEnvelope);
  if (typeof payload !== "string" || payloadType !== IN_TOTO || !Array.isArray(signatures))
    throw invalid("the bundle has no in-toto statement");
  const statement = Buffer.from(payload, "base64");
  return signatures.filter(isObject).flatMap(({ sig }) => {
    if (typeof sig !== "string") return [];
    const signed = encoded(IN_TOTO, statement);
    return [{ signed, signature: Buffer.from(sig, "base64"), claims: () => claimsOfStatement(statement) }];
  });
};

const claimsOfStatement = (bytes: Uint8Array): Claims => {
  const { _type, subject, predicateType } = parse(bytes, "the statement");
  if (!STATEMENT_TYPES.includes(String(_type))) throw invalid("the statement is of another type");
  // any other says something about the image, and not that it may be run
  if (predicateType !== SIGN_PREDICATE) throw invalid("the statement is no signature of an image");
  const digests = (Array.isArray(subject) ? subject : [])
    .map((each) => `sha256:${objectOf(objectOf(each).digest).sha256}`)
    .filter(isDigest);
  if (digests.length === 0) throw invalid("the statement names no digest");
  return { digests, reference: null };
};
