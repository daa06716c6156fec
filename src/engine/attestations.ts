/**
 * What is attested of an image: statements of in-toto, which builders put beside an image in its index. The store keeps none of them: they are
 * read where the image came from. Source: BuildKit, docs/attestations/attestation-storage.md.
 */
import { choose, isObject, parseDescriptor, parseDocument, parseJson } from "../images/manifest.ts";
import { smallBlob } from "../images/pull.ts";
import type { RegistryAuth, Repository } from "../images/remote/types.ts";
import { OnggiError } from "../lib/errors.ts";
import { parsePlatform } from "../oci/platform.ts";
import { parseReference } from "../oci/reference.ts";
import type { Context } from "./context.ts";
import type { Attestation } from "./types.ts";

const KIND = "vnd.docker.reference.type";
const SUBJECT = "vnd.docker.reference.digest";
const PREDICATE = "in-toto.io/predicate-type";

/** Manifests of them that are looked at, and statements of one. */
const MOST = 100;

export interface AttestationRequest {
  readonly image: string;
  readonly platform?: string | undefined;
  /** Only those of these predicate types; empty: all. */
  readonly types: readonly string[];
  /** With the statements themselves. */
  readonly statements: boolean;
  readonly auth?: RegistryAuth | undefined;
}

/** None for an image that came from no registry. Throws "image_not_found", "manifest_invalid" and what the registry's client throws. */
export async function attestationsOf(context: Context, request: AttestationRequest, signal: AbortSignal): Promise<Attestation[]> {
  const { repoDigests, config } = context.images.get(request.image, request.platform);
  const platform = [config.os, config.architecture, ...(config.variant ? [config.variant] : [])].join("/");
  const found = new Map<string, Attestation>();
  for (const name of repoDigests) {
    const reference = parseReference(name);
    const repository = context.registries.repository(reference, request.auth);
    const { mediaType, bytes } = await repository.manifest(reference.digest!, signal);
    const document = parseDocument(Buffer.from(bytes).toString("utf8"), mediaType, name);
    if (!("index" in document)) continue;
    const { digest: subject } = choose(document.index, parsePlatform(platform), name, true);
    const manifests = document.index.filter(
      ({ annotations }) => annotations[KIND] === "attestation-manifest" && annotations[SUBJECT] === subject,
    );
    for (const { digest } of manifests.slice(0, MOST))
      for (const one of await statementsOf(repository, digest, request, signal)) found.set(one.descriptor.digest, one);
  }
  return [...found.values()];
}

async function statementsOf(
  repository: Repository,
  digest: string,
  { types, statements }: AttestationRequest,
  signal: AbortSignal,
): Promise<Attestation[]> {
  const where = `${repository.name}@${digest}`;
  const { bytes } = await repository.manifest(digest, signal);
  const { layers } = parseJson(Buffer.from(bytes).toString("utf8"), where);
  const found: Attestation[] = [];
  for (const layer of (Array.isArray(layers) ? layers.filter(isObject) : []).slice(0, MOST)) {
    const descriptor = parseDescriptor(layer, where);
    const type = descriptor.annotations[PREDICATE];
    if (typeof type !== "string" || (types.length > 0 && !types.includes(type))) continue;
    const { mediaType, digest: own, size } = descriptor;
    const annotations = Object.fromEntries(Object.entries(descriptor.annotations).map(([key, value]) => [key, String(value)]));
    const statement = statements ? { statement: jsonOf(await smallBlob(repository, descriptor, where, signal), where) } : {};
    found.push({ descriptor: { mediaType, digest: own, size, annotations }, predicateType: type, ...statement });
  }
  return found;
}

function jsonOf(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new OnggiError("manifest_invalid", `${where}: a statement is not JSON`);
  }
}
