/** Computing content addresses. */
import type { Digest } from "../oci/digest.ts";

export const newHash = (): Bun.CryptoHasher => new Bun.CryptoHasher("sha256");

export const finishHash = (hash: Bun.CryptoHasher): Digest => `sha256:${hash.digest("hex")}`;

export const digestOf = (data: Uint8Array | string): Digest => finishHash(newHash().update(data));
