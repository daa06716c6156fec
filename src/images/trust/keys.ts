/**
 * Keys for signatures as cosign has them: ECDSA on P-256 and RSA (PKCS #1 1.5) over SHA-256, and Ed25519. Public keys are PEM
 * "PUBLIC KEY" (RFC 7468), private ones any unencrypted PEM or cosign's own: scrypt and NaCl's secretbox around PKCS #8. Sources:
 * sigstore's cosign/specs/SIGNATURE_SPEC.md; secure-systems-lab's encrypted package.
 */
import { createPrivateKey, createPublicKey, type KeyObject, scrypt, sign, verify } from "node:crypto";
import { messageOf, OnggiError } from "../../lib/errors.ts";

export interface PublicKey {
  /** Where it is from, for people. */
  readonly name: string;
  readonly key: KeyObject;
}

const CURVE = "prime256v1";
const MIN_RSA_BITS = 2048;
/** Bytes that scrypt may take: cosign's parameters take 64 MiB. */
const MAX_SCRYPT_MEMORY = 512 << 20;

const invalid = (name: string, why: string, cause?: unknown): OnggiError =>
  new OnggiError("key_invalid", `${name}: ${why}`, cause === undefined ? {} : { cause });

/** Throws "key_invalid" for a kind of key that signatures are not made with here. */
const checkKind = (key: KeyObject, name: string): KeyObject => {
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  const kind = key.asymmetricKeyType;
  if (kind === "ed25519") return key;
  if (kind === "ec" && namedCurve === CURVE) return key;
  if (kind === "rsa" && (modulusLength ?? 0) >= MIN_RSA_BITS) return key;
  const found = kind === "ec" ? `EC on ${namedCurve}` : kind === "rsa" ? `RSA of ${modulusLength} bits` : String(kind);
  throw invalid(name, `a key of kind ${found}; there are EC on P-256, RSA of at least ${MIN_RSA_BITS} bits, and Ed25519`);
};

/** Throws "key_invalid". */
export const parsePublicKey = (pem: string, name: string): PublicKey => {
  if (!/^-----BEGIN PUBLIC KEY-----\s*$/m.test(pem)) throw invalid(name, 'it is no public key: there is no "BEGIN PUBLIC KEY"');
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch (error) {
    throw invalid(name, `it is no public key: ${messageOf(error)}`, error);
  }
  return { name, key: checkKind(key, name) };
};

const hashOf = ({ asymmetricKeyType }: KeyObject): string | null => (asymmetricKeyType === "ed25519" ? null : "sha256");

/** Whether the signature of these bytes is the key's. False for any bytes that are no signature. */
export const isSignedBy = ({ key }: PublicKey, data: Uint8Array, signature: Uint8Array): boolean => {
  try {
    return verify(hashOf(key), data, key, signature);
  } catch {
    return false;
  }
};

export const signWith = (key: KeyObject, data: Uint8Array): Uint8Array => sign(hashOf(key), data, key);

/** The private key of a PEM text. Throws "key_invalid"; "key_password" where it is encrypted and the password does not open it. */
export const parsePrivateKey = async (pem: string, password: string | undefined, name: string): Promise<KeyObject> => {
  const sealed = /^-----BEGIN ENCRYPTED (?:SIGSTORE|COSIGN) PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+)-----END /m.exec(pem);
  try {
    if (!sealed) return checkKind(createPrivateKey(pem), name);
    const der = await opened(Buffer.from(sealed[1]!, "base64").toString("utf8"), password, name);
    return checkKind(createPrivateKey({ key: Buffer.from(der), format: "der", type: "pkcs8" }), name);
  } catch (error) {
    if (error instanceof OnggiError) throw error;
    throw invalid(name, `it is no private key that can be read: ${messageOf(error)}`, error);
  }
};

interface Sealed {
  kdf: { name: "scrypt"; params: { N: number; r: number; p: number }; salt: string };
  cipher: { name: "nacl/secretbox"; nonce: string };
  ciphertext: string;
}

const derive = (password: string, { params: { N, r, p }, salt }: Sealed["kdf"]): Promise<Uint8Array> =>
  new Promise((resolve, reject) =>
    scrypt(password, Buffer.from(salt, "base64"), 32, { N, r, p, maxmem: MAX_SCRYPT_MEMORY }, (error, key) =>
      error ? reject(error) : resolve(key),
    ),
  );

const opened = async (text: string, password: string | undefined, name: string): Promise<Uint8Array> => {
  if (password === undefined)
    throw new OnggiError(
      "key_password",
      `${name} is encrypted, and no password was given; COSIGN_PASSWORD is where it is looked for`,
    );
  const value = JSON.parse(text) as Sealed;
  if (value.kdf?.name !== "scrypt" || value.cipher?.name !== "nacl/secretbox")
    throw invalid(name, "it is encrypted in another way than scrypt and nacl/secretbox");
  const key = await derive(password, value.kdf);
  const { xsalsa20poly1305 } = await import("@noble/ciphers/salsa.js");
  try {
    return xsalsa20poly1305(key, Buffer.from(value.cipher.nonce, "base64")).decrypt(Buffer.from(value.ciphertext, "base64"));
  } catch (error) {
    throw new OnggiError("key_password", `${name}: the password does not open it`, { cause: error });
  }
};
