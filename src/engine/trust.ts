/** `image sign` and `image verify`: signatures of images in registries. */
import { hostPlatform } from "../images/image-config.ts";
import { choose, isIndexType, linksOf, parseDocument, parseJson } from "../images/manifest.ts";
import type { RepositoryOptions } from "../images/remote/types.ts";
import { parsePrivateKey, parsePublicKey } from "../images/trust/keys.ts";
import { signImage } from "../images/trust/sign.ts";
import { verifyImage } from "../images/trust/verify.ts";
import { OnggiError } from "../lib/errors.ts";
import type { Digest } from "../oci/digest.ts";
import { parseReference } from "../oci/reference.ts";
import type { Context } from "./context.ts";
import type { SignRequest, VerifiedImage, VerifyRequest } from "./types.ts";

const repositoryOf = (
  { registries }: Context,
  { image, auths = {}, insecure }: SignRequest | VerifyRequest,
  options: RepositoryOptions,
) => {
  const reference = parseReference(image);
  const repository = (insecure ? registries.insecure : registries).repository(reference, auths[reference.domain], options);
  return { reference, repository };
};

/** Signs what a name means in its registry now. Returns the digests that were signed. Throws what parsePrivateKey and the registry's client throw. */
async function sign(context: Context, request: SignRequest, signal: AbortSignal): Promise<{ digests: string[] }> {
  // What a mirror says a name means is not signed.
  const { reference, repository } = repositoryOf(context, request, { mirrors: false });
  const key = await parsePrivateKey(request.key, request.password, request.keyName);
  const top = await repository.manifest(reference.digest ?? reference.tag ?? "latest", signal);
  const what = `${repository.name}@${top.digest}`;
  const inner = request.recursive ? linksOf(parseJson(Buffer.from(top.bytes).toString("utf8"), what), what).manifests : [];
  const digests = [top.digest, ...inner.map(({ digest }) => digest)];
  const named = request.identity ?? repository.name;
  // throws for what is no name
  parseReference(named);
  const { annotations = {} } = request;
  for (const digest of digests) {
    const options = Object.keys(annotations).length > 0 ? { annotations } : {};
    await signImage(repository, { digest, reference: named, key, signal, ...options });
  }
  return { digests };
}

/** Whether what a name means in its registry now, or this machine's part of it, is signed by one of the keys. Throws "signature_missing". */
async function verify(context: Context, request: VerifyRequest, signal: AbortSignal): Promise<VerifiedImage> {
  const { reference, repository } = repositoryOf(context, request, {});
  const keys = request.keys.map(({ name, text }) => parsePublicKey(text, name));
  const top = await repository.manifest(reference.digest ?? reference.tag ?? "latest", signal);
  const digests: Digest[] = [top.digest];
  const text = Buffer.from(top.bytes).toString("utf8");
  if (isIndexType(top.mediaType)) {
    const document = parseDocument(text, top.mediaType, `${repository.name}@${top.digest}`);
    try {
      if ("index" in document) digests.push(choose(document.index, hostPlatform(), request.image, false).digest);
    } catch (error) {
      // the index itself may be signed all the same
      if (!(error instanceof OnggiError) || error.code !== "platform_not_found") throw error;
    }
  }
  const demand = { keys, identity: request.identity ?? "repository" };
  const { digest, key, claims } = await verifyImage(repository, reference, digests, demand, signal);
  return { name: `${repository.name}@${top.digest}`, digest, key, reference: claims.reference };
}

/** The use cases of signatures. */
export const trustOf = (context: Context) => ({
  sign: (request: SignRequest, signal: AbortSignal) => sign(context, request, signal),
  verify: (request: VerifyRequest, signal: AbortSignal) => verify(context, request, signal),
});
