/**
 * Artifacts that refer to an image: an SBOM, a signature, anything in files. Sources: OCI image specification 1.1, manifest.md
 * ("Guidelines for Artifact Usage"); OCI distribution specification 1.1, "Listing Referrers", "Pushing Manifests with Subject",
 * "Referrers Tag Schema". Files carry their names as ORAS writes them.
 */
import { closeSync, createReadStream, existsSync, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { basename, join } from "node:path";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { printable } from "../lib/printable.ts";
import { type Digest, hexOf } from "../oci/digest.ts";
import { checkedBlob, sendBytes } from "./copy.ts";
import { digestOf, finishHash, newHash } from "./digest.ts";
import { inTurn } from "./in-turn.ts";
import { isObject, mediaTypes, parseDescriptor, parseJson } from "./manifest.ts";
import type { Repository } from "./remote/types.ts";
import type { AttachedFile, AttachFile, Referrer } from "./types.ts";

const EMPTY_TYPE = "application/vnd.oci.empty.v1+json";
const EMPTY = Buffer.from("{}");
const TITLE = "org.opencontainers.image.title";
const CREATED = "org.opencontainers.image.created";
const MAX_REFERRERS = 1000;
const MAX_DEPTH = 8;
const MAX_FILES = 1000;
/** Bytes of a file's name. */
const MAX_NAME = 255;
/** Tries at an index that others change too. */
const MAX_TRIES = 5;

type Entry = Readonly<Record<string, unknown>>;

const missing = (error: unknown): boolean => error instanceof OnggiError && error.code === "manifest_unknown";
const stringOf = (value: unknown): string => (typeof value === "string" ? value : "");
const stringsOf = (value: unknown): Record<string, string> =>
  isObject(value)
    ? Object.fromEntries(Object.entries(value).filter((pair): pair is [string, string] => typeof pair[1] === "string"))
    : {};

const entriesOf = (bytes: Uint8Array, what: string): Entry[] => {
  const { manifests } = parseJson(Buffer.from(bytes).toString("utf8"), what);
  return Array.isArray(manifests) ? manifests.filter(isObject) : [];
};

/** What refers to a manifest, and what to that. `artifactType` chooses among the first. Throws what the registry's client throws. */
export async function referrersOf(
  repository: Repository,
  digest: Digest,
  artifactType: string | undefined,
  signal?: AbortSignal,
): Promise<Referrer[]> {
  let count = 0;
  const below = async (subject: Digest, type: string | undefined, above: readonly string[]): Promise<Referrer[]> => {
    const { bytes } = await repository.referrers(subject, type, signal);
    const found: Referrer[] = [];
    for (const entry of entriesOf(bytes, `${repository.name}: referrers of ${subject}`)) {
      const { digest: own, mediaType, size } = parseDescriptor(entry, `${repository.name}: referrers of ${subject}`);
      if (++count > MAX_REFERRERS)
        throw new OnggiError("referrers_too_many", `${repository.name}@${digest} has more than ${MAX_REFERRERS} referrers`);
      // a digest cannot name what names it, but a registry can say so
      const line = [...above, own];
      const referrers = above.includes(own) || line.length >= MAX_DEPTH ? [] : await below(own, undefined, line);
      const { annotations } = entry;
      found.push({
        digest: own,
        mediaType,
        artifactType: stringOf(entry.artifactType),
        size,
        annotations: stringsOf(annotations),
        referrers,
      });
    }
    return found;
  };
  return below(digest, artifactType, [digest]);
}

/** Sends a file; its digest is known before, so that what is there is not sent. Throws "file_unreadable". */
const sendFile = async (
  repository: Repository,
  path: string,
  signal?: AbortSignal,
): Promise<{ digest: Digest; size: number }> => {
  const hash = newHash();
  let size = 0;
  try {
    if (!statSync(path).isFile()) throw new Error("it is no file");
    for await (const chunk of createReadStream(path) as AsyncIterable<Uint8Array>) {
      hash.update(chunk);
      size += chunk.length;
    }
  } catch (error) {
    throw new OnggiError("file_unreadable", `${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  const digest = finishHash(hash);
  const open = () => createReadStream(path) as AsyncIterable<Uint8Array>;
  await inTurn(repository, digest, async () => {
    if ((await repository.hasBlob(digest, signal)) === null) await repository.upload({ open, digest, size }, signal);
  });
  return { digest, size };
};

export interface AttachRequest {
  readonly subject: { readonly mediaType: string; readonly digest: Digest; readonly size: number };
  readonly artifactType: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly files: readonly AttachFile[];
}

/** Stores files as an artifact that refers to a manifest, and has it listed there. */
export async function attach(
  repository: Repository,
  { subject, artifactType, annotations, files }: AttachRequest,
  signal?: AbortSignal,
): Promise<{ digest: Digest; size: number }> {
  const layers: Entry[] = [];
  for (const { path, mediaType } of files)
    layers.push({ mediaType, ...(await sendFile(repository, path, signal)), annotations: { [TITLE]: basename(path) } });
  const empty = { mediaType: EMPTY_TYPE, ...(await sendBytes(repository, EMPTY, signal)) };
  const said = { [CREATED]: new Date().toISOString().replace(/\.\d+/, ""), ...annotations };
  const manifest = {
    ...{ schemaVersion: 2, mediaType: mediaTypes.manifest, artifactType, config: { ...empty, data: EMPTY.toString("base64") } },
    // an artifact without files has the empty one: a manifest needs a layer
    ...{ layers: layers.length > 0 ? layers : [empty], subject, annotations: said },
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  const digest = await repository.putManifest(digestOf(bytes), mediaTypes.manifest, bytes, signal);
  const entry = { mediaType: mediaTypes.manifest, digest, size: bytes.length, artifactType, annotations: said };
  await inTurn(repository, schemaTag(subject.digest), () => list(repository, subject.digest, entry, signal));
  return { digest, size: bytes.length };
}

const schemaTag = (subject: Digest): string => `sha256-${hexOf(subject)}`;
const isEntry = (digest: unknown) => (entry: Entry) => entry.digest === digest;

/** The tag schema's index for a manifest; null where there is none. */
const schemaIndex = async (repository: Repository, subject: Digest, signal?: AbortSignal) => {
  try {
    const { digest, bytes } = await repository.manifest(schemaTag(subject), signal);
    return { digest, entries: entriesOf(bytes, `${repository.name}:${schemaTag(subject)}`) };
  } catch (error) {
    if (missing(error)) return null;
    throw error;
  }
};

const putIndex = (
  repository: Repository,
  subject: Digest,
  manifests: readonly Entry[],
  signal?: AbortSignal,
): Promise<Digest> => {
  const text = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.index, manifests });
  return repository.putManifest(schemaTag(subject), mediaTypes.index, Buffer.from(text), signal);
};

/**
 * A registry that knows subjects lists the artifact by itself. In the index of one that does not the entry is looked for again after it
 * was written: another process that wrote at the same moment may have overwritten it. Throws "referrers_contended".
 */
const list = async (repository: Repository, subject: Digest, entry: Entry, signal?: AbortSignal): Promise<void> => {
  for (let attempt = 0; attempt <= MAX_TRIES; attempt++) {
    const { bytes } = await repository.referrers(subject, undefined, signal);
    if (entriesOf(bytes, `${repository.name}: referrers of ${subject}`).some(isEntry(entry.digest))) return;
    if (attempt === MAX_TRIES) break;
    const before = await schemaIndex(repository, subject, signal);
    await putIndex(
      repository,
      subject,
      [...(before?.entries ?? []).filter((each) => !isEntry(entry.digest)(each)), entry],
      signal,
    );
  }
  const tag = `${repository.name}:${schemaTag(subject)}`;
  throw new OnggiError("referrers_contended", `${tag} was overwritten by others ${MAX_TRIES} times; attach it again`);
};

/**
 * Deletes an artifact, and its entry where the registry keeps none by itself. `deleted` is false where the registry does not delete and
 * it is only no longer listed. Throws "not_attached" for what refers to nothing.
 */
export async function detach(repository: Repository, digest: Digest, signal?: AbortSignal): Promise<{ deleted: boolean }> {
  const { bytes } = await repository.manifest(digest, signal);
  const what = `${repository.name}@${digest}`;
  const { subject } = parseJson(Buffer.from(bytes).toString("utf8"), what);
  if (!isObject(subject)) throw new OnggiError("not_attached", `${what} refers to no image: it has no subject`);
  const { digest: of } = parseDescriptor(subject, `${what}, subject`);
  const unlisted = await inTurn(repository, schemaTag(of), () => unlist(repository, of, digest, signal));
  if (unlisted) return { deleted: await deletes(repository, digest, signal) };
  await repository.deleteManifest(digest, signal);
  return { deleted: true };
}

/** Takes an entry out of the tag schema's index; false where it has none. An index without entries is deleted where that can be. */
const unlist = async (repository: Repository, subject: Digest, digest: Digest, signal?: AbortSignal): Promise<boolean> => {
  const index = await schemaIndex(repository, subject, signal);
  if (!index?.entries.some(isEntry(digest))) return false;
  const left = index.entries.filter((entry) => !isEntry(digest)(entry));
  if (left.length > 0 || !(await deletes(repository, index.digest, signal))) await putIndex(repository, subject, left, signal);
  return true;
};

const deletes = async (repository: Repository, digest: Digest, signal?: AbortSignal): Promise<boolean> => {
  try {
    await repository.deleteManifest(digest, signal);
    return true;
  } catch (error) {
    if (missing(error)) return true;
    // "405 Method Not Allowed": many registries do not
    if (error instanceof OnggiError && error.code === "registry_error") return false;
    throw error;
  }
};

/** The files of an artifact. A name is no path: one that could lead elsewhere is replaced by the digest. */
export async function filesOf(repository: Repository, digestOrTag: string, signal?: AbortSignal): Promise<AttachedFile[]> {
  const { bytes, digest } = await repository.manifest(digestOrTag, signal);
  const what = `${repository.name}@${digest}`;
  const { layers } = parseJson(Buffer.from(bytes).toString("utf8"), what);
  if (!Array.isArray(layers) || layers.length > MAX_FILES)
    throw new OnggiError("manifest_invalid", `${what} is no artifact with at most ${MAX_FILES} files`);
  const files = layers.map((layer, position) => {
    const descriptor = parseDescriptor(layer, `${what}, layers[${position}]`);
    const title = stringOf(descriptor.annotations[TITLE]);
    const plain =
      /^(?!\.{1,2}$)[^/]{1,255}$/.test(title) && printable(title, MAX_NAME) === title && Buffer.byteLength(title) <= MAX_NAME;
    const name = plain ? title : `sha256-${hexOf(descriptor.digest)}`;
    return { name, digest: descriptor.digest, size: descriptor.size, mediaType: descriptor.mediaType };
  });
  return files.filter(({ mediaType }) => mediaType !== EMPTY_TYPE);
}

let temporaries = 0;

/** Writes a file into a directory: there whole under its name, or not at all. Throws "target_exists", "digest_mismatch". */
export async function saveFile(
  repository: Repository,
  file: AttachedFile,
  directory: string,
  signal?: AbortSignal,
): Promise<string> {
  const target = join(directory, file.name);
  const refuse = (): void => {
    if (existsSync(target)) throw new OnggiError("target_exists", `${target} is there; remove it, or name another directory`);
  };
  refuse();
  const beside = join(directory, `.onggi-${process.pid}-${++temporaries}`);
  const fd = openSync(beside, "wx", 0o644);
  try {
    for await (const chunk of checkedBlob(repository, { digest: file.digest as Digest, size: file.size }, signal))
      for (let done = 0; done < chunk.length; ) done += writeSync(fd, chunk, done);
    refuse();
    renameSync(beside, target);
    return target;
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}
