/** `manifest`: indexes for several platforms, put together here and pushed; and what registries have under a name. */
import { isIndexType, isObject, parseDescriptor, parseJson } from "../images/manifest.ts";
import type { Repository } from "../images/remote/types.ts";
import type { ListMember, ManifestList, Progress } from "../images/types.ts";
import { OnggiError } from "../lib/errors.ts";
import { canonicalName, familiarName, parseReference } from "../oci/reference.ts";
import type { Context } from "./context.ts";
import { tellOfTransfer } from "./image-events.ts";
import type {
  ManifestAnnotateRequest,
  ManifestCreateRequest,
  ManifestDocument,
  ManifestInspectRequest,
  ManifestPushRequest,
  PushedManifest,
  RegistryRequest,
} from "./types.ts";

const MAX_DOCUMENTS = 200;

const optionsOf = ({ registries }: Context, { insecure, auths = {} }: RegistryRequest, signal: AbortSignal) => ({
  registries: insecure ? registries.insecure : registries,
  authOf: (domain: string) => auths[domain],
  signal,
});

/** Makes a list, or adds to it. Throws what ManifestLists.create throws. */
const create = (context: Context, request: ManifestCreateRequest, signal: AbortSignal): Promise<string> =>
  context.images.lists.create(request.list, request.images, {
    ...optionsOf(context, request, signal),
    amend: request.amend ?? false,
  });

const annotate = ({ images }: Context, { list, image, ...annotation }: ManifestAnnotateRequest): void =>
  images.lists.annotate(list, image, annotation);

/** Sends a list. Throws what ManifestLists.push throws. */
async function push(
  context: Context,
  request: ManifestPushRequest,
  { signal, progress }: { readonly signal: AbortSignal; readonly progress: Progress },
): Promise<PushedManifest> {
  const { images } = context;
  const name = familiarName(parseReference(request.list));
  const options = { ...optionsOf(context, request, signal), progress, purge: request.purge ?? false };
  const { digest, mediaType, size, members } = await images.lists.push(request.list, options);
  tellOfTransfer(context, "push", name);
  return {
    name,
    digest,
    mediaType,
    size,
    members: members.map((member) => ({ name: member.name, digest: member.descriptor!.digest })),
  };
}

/**
 * A list of this store, one of its members, or what a registry has under a name: the exact text, and with `verbose` each manifest
 * that an index names. Throws "manifest_list_not_found", "manifest_list_member_not_found", and what the registry's client throws.
 */
async function inspect(
  context: Context,
  request: ManifestInspectRequest,
  signal: AbortSignal,
): Promise<{ text: string; documents: ManifestDocument[] }> {
  const { images } = context;
  const { list, manifest, verbose } = request;
  const { registries, authOf } = optionsOf(context, request, signal);
  const repositoryOf = (name: string): Repository => {
    const reference = parseReference(name);
    return registries.repository(reference, authOf(reference.domain));
  };
  const ofMember = async (member: ListMember): Promise<ManifestDocument> => {
    const { descriptor, repository, image, name, platform } = member;
    if (repository === null && descriptor === null)
      throw new OnggiError(
        "manifest_unknown",
        `${name} is the image ${image} of this store; its manifest is made when the list is pushed`,
      );
    // what was pushed from here is where the list is
    const where = repository ?? repositoryName(list ?? manifest);
    const { bytes } = await repositoryOf(where).manifest(descriptor!.digest, signal);
    return documentOf(`${where}@${descriptor!.digest}`, { ...descriptor!, ...(platform ? { platform } : {}) }, bytes);
  };
  if (list !== undefined) {
    const document = await ofMember(images.lists.member(list, manifest));
    return { text: document.text, documents: [document] };
  }
  const own = ownList(images.lists.all(), manifest);
  if (own) {
    const { text } = images.lists.get(manifest);
    const documents: ManifestDocument[] = [];
    for (const member of verbose ? own.members : []) documents.push(await ofMember(member));
    return { text, documents };
  }
  const reference = parseReference(manifest);
  const repository = repositoryOf(manifest);
  const top = await repository.manifest(reference.digest ?? reference.tag ?? "latest", signal);
  const text = Buffer.from(top.bytes).toString("utf8");
  const value = parseJson(text, `${repository.name}@${top.digest}`);
  const type = typeof value.mediaType === "string" ? value.mediaType : top.mediaType;
  if (!isIndexType(type)) {
    const descriptor = { mediaType: type, digest: top.digest, size: top.bytes.length };
    return { text, documents: [documentOf(canonicalName(reference), descriptor, top.bytes)] };
  }
  const entries = Array.isArray(value.manifests) && verbose ? value.manifests.filter(isObject) : [];
  const documents: ManifestDocument[] = [];
  for (const entry of entries.slice(0, MAX_DOCUMENTS)) {
    const { digest } = parseDescriptor(entry, `${repository.name}@${top.digest}`);
    const { bytes } = await repository.manifest(digest, signal);
    documents.push(documentOf(`${repository.name}@${digest}`, entry as unknown as ManifestDocument["descriptor"], bytes));
  }
  return { text, documents };
}

const documentOf = (ref: string, descriptor: ManifestDocument["descriptor"], bytes: Uint8Array): ManifestDocument => ({
  ref,
  descriptor,
  text: Buffer.from(bytes).toString("utf8"),
});

const repositoryName = (name: string): string => {
  const { domain, path } = parseReference(name);
  return `${domain}/${path}`;
};

/** A digest names no list of ours. */
const ownList = (lists: readonly ManifestList[], name: string): ManifestList | undefined => {
  const reference = parseReference(name);
  return reference.digest ? undefined : lists.find((list) => list.name === familiarName(reference));
};

/** The use cases of `manifest`, for one engine. */
export const manifestsOf = (context: Context) => ({
  create: (request: ManifestCreateRequest, signal: AbortSignal) => create(context, request, signal),
  annotate: (request: ManifestAnnotateRequest) => annotate(context, request),
  inspect: (request: ManifestInspectRequest, signal: AbortSignal) => inspect(context, request, signal),
  push: (request: ManifestPushRequest, options: Parameters<typeof push>[2]) => push(context, request, options),
});
