/** Whether an image is signed by one of some keys. */
import { messageOf, OnggiError } from "../../lib/errors.ts";
import { printable } from "../../lib/printable.ts";
import type { Digest } from "../../oci/digest.ts";
import { canonicalName, parseReference, type Reference } from "../../oci/reference.ts";
import type { Repository } from "../remote/types.ts";
import { type Found, findSignatures } from "./find.ts";
import { isSignedBy, type PublicKey } from "./keys.ts";
import type { Claims } from "./payload.ts";

/**
 * What the name in a signature must be: of the same repository; the very name, tag and all (of the same repository where a digest is
 * asked for); or anything.
 */
export type Identity = "repository" | "exact" | "any";

export interface Demand {
  /** Any of them will do. */
  readonly keys: readonly PublicKey[];
  readonly identity: Identity;
  /** "upstream.example/team/app": the repository it is to be signed as, if not its own. */
  readonly signedAs?: string;
}

export interface Verified {
  /** Which manifest is signed. */
  readonly digest: Digest;
  readonly key: string;
  readonly claims: Claims;
}

/** Reasons that an error tells. */
const MAX_REASONS = 5;

/** Why a name in a signature is not good enough; null if it is. */
export const identityProblem = (
  claimed: string | null,
  asked: Reference,
  { identity, signedAs }: Omit<Demand, "keys">,
): string | null => {
  if (identity === "any") return null;
  if (claimed === null) return 'the signature does not say which image it is for; identity "any" takes such signatures';
  let found: Reference;
  try {
    found = parseReference(claimed);
  } catch {
    return `it is signed as "${printable(claimed)}", which is no image name`;
  }
  const wanted = signedAs ?? `${asked.domain}/${asked.path}`;
  if (`${found.domain}/${found.path}` !== wanted) return `it is signed as ${claimed}, not as ${wanted}`;
  if (identity === "repository" || asked.digest) return null;
  const tag = asked.tag ?? "latest";
  return found.tag === tag ? null : `it is signed as ${claimed}, not as ${wanted}:${tag}`;
};

/**
 * The first signature by one of the keys of one of the digests, which are those of an index and of a manifest it names, as the
 * image was found by. Throws "signature_missing", and what the registry's client throws.
 */
export async function verifyImage(
  repository: Repository,
  asked: Reference,
  digests: readonly Digest[],
  demand: Demand,
  signal?: AbortSignal,
): Promise<Verified> {
  const reasons: string[] = [];
  for (const digest of new Set(digests)) {
    for await (const found of findSignatures(repository, digest, signal)) {
      const result = judge(found, digest, asked, demand);
      if (typeof result !== "string") return result;
      if (reasons.length < MAX_REASONS) reasons.push(result);
    }
  }
  const what = `${canonicalName(asked)} (${[...new Set(digests)].join(", ")})`;
  const keys = demand.keys.map(({ name }) => name).join(", ");
  const why = reasons.length === 0 ? "it has no signature" : reasons.join("; ");
  throw new OnggiError("signature_missing", `${what} is not signed by ${keys}: ${why}`);
}

/** A verified signature, or why this is none. */
const judge = (found: Found, digest: Digest, asked: Reference, demand: Demand): Verified | string => {
  if ("unfit" in found) return found.unfit;
  const { signature } = found;
  const key = demand.keys.find((each) => isSignedBy(each, signature.signed, signature.signature));
  if (!key) return "a signature is by another key";
  let claims: Claims;
  try {
    claims = signature.claims();
  } catch (error) {
    return messageOf(error);
  }
  if (!claims.digests.includes(digest)) return `a signature is of another image (${claims.digests[0]})`;
  const problem = identityProblem(claims.reference, asked, demand);
  return problem ?? { digest, key: key.name, claims };
};
