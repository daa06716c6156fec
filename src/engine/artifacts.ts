/** `image referrers`, `attach`, `detach`, `fetch`: what registries keep beside an image. */
import { attach as attachFiles, detach as detachOne, filesOf, referrersOf, saveFile } from "../images/artifacts.ts";
import { checkedBlob } from "../images/copy.ts";
import { choose, isIndexType, parseDocument } from "../images/manifest.ts";
import type { Repository, RepositoryOptions } from "../images/remote/types.ts";
import type { AttachedFile } from "../images/types.ts";
import { OnggiError } from "../lib/errors.ts";
import { type Digest, parseDigest } from "../oci/digest.ts";
import { parsePlatform } from "../oci/platform.ts";
import { parseReference } from "../oci/reference.ts";
import type { Context } from "./context.ts";
import type {
  AttachRequest,
  DetachRequest,
  FetchedFile,
  FetchRequest,
  PushedName,
  ReferrersRequest,
  ReferrersResult,
  RegistryRequest,
} from "./types.ts";

const repositoryOf = (
  { registries }: Context,
  { image, auths = {}, insecure }: RegistryRequest & { image: string },
  options: RepositoryOptions = {},
) => {
  const reference = parseReference(image);
  const repository = (insecure ? registries.insecure : registries).repository(reference, auths[reference.domain], options);
  return { repository, asked: reference.digest ?? reference.tag ?? "latest" };
};

/** Whoever writes asks no mirror what there is. */
const own: RepositoryOptions = { mirrors: false };

/** The manifest that a name means; with a platform, that of an index. */
async function subjectOf(repository: Repository, asked: string, image: string, platform?: string, signal?: AbortSignal) {
  const { mediaType, digest, bytes } = await repository.manifest(asked, signal);
  if (platform === undefined) return { mediaType, digest, size: bytes.length };
  if (!isIndexType(mediaType))
    throw new OnggiError("platform_not_found", `${image} is no index: it has one manifest, whatever the platform`);
  const document = parseDocument(Buffer.from(bytes).toString("utf8"), mediaType, `${repository.name}@${digest}`);
  const chosen = choose("index" in document ? document.index : [], parsePlatform(platform), image, true);
  return { mediaType: chosen.mediaType, digest: chosen.digest, size: chosen.size };
}

async function referrers(context: Context, request: ReferrersRequest, signal: AbortSignal): Promise<ReferrersResult> {
  const { repository, asked } = repositoryOf(context, request);
  const { digest } = await subjectOf(repository, asked, request.image, request.platform, signal);
  return { name: `${repository.name}@${digest}`, referrers: await referrersOf(repository, digest, request.artifactType, signal) };
}

async function attach(context: Context, request: AttachRequest, signal: AbortSignal): Promise<PushedName> {
  const { repository, asked } = repositoryOf(context, request, own);
  const subject = await subjectOf(repository, asked, request.image, request.platform, signal);
  const { artifactType, annotations = {}, files } = request;
  const { digest, size } = await attachFiles(repository, { subject, artifactType, annotations, files }, signal);
  return { name: `${repository.name}@${digest}`, digest, size };
}

async function detach(context: Context, request: DetachRequest, signal: AbortSignal): Promise<{ deleted: boolean }> {
  const { repository } = repositoryOf(context, request, own);
  return detachOne(repository, parseDigest(parseReference(request.image).digest, request.image), signal);
}

/** Files of an artifact, or with a type of all artifacts of that type which refer to the image; into a directory, or given to `write`. */
async function fetch(
  context: Context,
  request: FetchRequest,
  { signal, write }: { readonly signal: AbortSignal; readonly write: (chunk: Uint8Array) => Promise<void> },
): Promise<FetchedFile[]> {
  const { image, artifactType, directory } = request;
  const { repository, asked } = repositoryOf(context, request);
  const artifacts: string[] = [];
  if (artifactType === undefined) artifacts.push(asked);
  else {
    const { digest } = await subjectOf(repository, asked, image, request.platform, signal);
    for (const each of await referrersOf(repository, digest, artifactType, signal)) artifacts.push(each.digest);
  }
  const files: AttachedFile[] = [];
  for (const artifact of artifacts) files.push(...(await filesOf(repository, artifact, signal)));
  if (files.length === 0)
    throw new OnggiError("file_not_found", `${image} has no files${artifactType ? ` of type ${artifactType}` : ""}`);
  if (directory === undefined) {
    const [file, ...more] = files;
    if (more.length > 0) {
      const names = files.map(({ name }) => name).join(", ");
      throw new OnggiError("usage", `${image} has ${files.length} files (${names}): name a directory with --output`);
    }
    const blob = { digest: file!.digest as Digest, size: file!.size };
    for await (const chunk of checkedBlob(repository, blob, signal)) await write(chunk);
    return [{ ...file!, path: null }];
  }
  const fetched: FetchedFile[] = [];
  for (const file of files) fetched.push({ ...file, path: await saveFile(repository, file, directory, signal) });
  return fetched;
}

/** The use cases of artifacts, for one engine. */
export const artifactsOf = (context: Context) => ({
  referrers: (request: ReferrersRequest, signal: AbortSignal) => referrers(context, request, signal),
  attach: (request: AttachRequest, signal: AbortSignal) => attach(context, request, signal),
  detach: (request: DetachRequest, signal: AbortSignal) => detach(context, request, signal),
  fetch: (request: FetchRequest, options: Parameters<typeof fetch>[2]) => fetch(context, request, options),
});
