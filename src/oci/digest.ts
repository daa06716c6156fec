/** Content addresses: "sha256:" and 64 hexadecimal digits. Source: OCI image specification, descriptor.md. */
import { OnggiError } from "../lib/errors.ts";
import { printable } from "../lib/printable.ts";

export type Digest = `sha256:${string}`;

const pattern = /^sha256:[0-9a-f]{64}$/;

export const isDigest = (text: unknown): text is Digest => typeof text === "string" && pattern.test(text);

/** Throws "digest_invalid": other algorithms than SHA-256 are not supported. */
export const parseDigest = (text: unknown, what: string): Digest => {
  if (isDigest(text)) return text;
  throw new OnggiError("digest_invalid", `${what}: ${printable(JSON.stringify(text) ?? "nothing", 100)} is not a sha256 digest`);
};

/** The 64 digits alone, which is also the file name in a content store. */
export const hexOf = (digest: string): string => digest.slice("sha256:".length);
