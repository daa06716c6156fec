/**
 * Images as an archive: what `docker save` of Docker 25 and later writes, an OCI layout with Docker's manifest.json and
 * repositories beside it, or the layout alone. Layers go out as the plain tars they are stored as.
 * The same images give the same bytes: nothing of the time or the machine is in them.
 * Sources: OCI image specification, image-layout.md, annotations.md; Docker image specification v1.2, "Combined Image JSON +
 * Filesystem Changeset Format".
 */
import * as fs from "node:fs";
import { archiveEnd, encodeEntry, encodeHeader, padding } from "../archive/tar-encode.ts";
import { OnggiError } from "../lib/errors.ts";
import { hexOf } from "../oci/digest.ts";
import type { Platform } from "../oci/platform.ts";
import { canonicalName, familiarName, parseReference } from "../oci/reference.ts";
import { copyFileRange, errno, SysError } from "../sys/index.ts";
import type { Catalog, Known } from "./catalog.ts";
import { UnnamedFile } from "./files.ts";
import type { SaveFormat } from "./types.ts";

/** An image to be saved, and the canonical names it is saved under. */
export interface SavedImage {
  readonly id: string;
  readonly manifest: string;
  /** diffIDs, lowest first. */
  readonly layers: readonly string[];
  readonly names: readonly string[];
  readonly platform: Platform;
}

/** The images asked for, each once, with the names that were asked for; of a name with several the one for the platform. */
export const imagesToSave = (catalog: Catalog, references: readonly string[], platform: Platform | null): SavedImage[] => {
  const chosen = new Map<Known, Set<string>>();
  for (const reference of references) {
    const whole = catalog.ofRepository(reference);
    for (const each of whole.length > 0 ? whole : [reference]) {
      const { known, name } = catalog.find(each, platform);
      const before = chosen.get(known) ?? new Set();
      chosen.set(known, name === null ? before : before.add(name));
    }
  }
  return [...chosen].map(([{ record, platform }, names]) => {
    const { id, manifest, layers } = record;
    return { id, manifest, layers, names: [...names].sort(), platform };
  });
};

/** Where a blob lies, and its size in bytes. */
export type BlobOf = (digest: string) => { readonly path: string; readonly size: number };

/** A stretch of an archive: bytes, or a file of the store. */
type Part = Uint8Array | { readonly path: string; readonly size: number };

const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const LAYER = "application/vnd.oci.image.layer.v1.tar";
const REF_NAME = "org.opencontainers.image.ref.name";
const FULL_NAME = "io.containerd.image.name";

const pathOf = (digest: string): string => `blobs/sha256/${hexOf(digest)}`;

/** Every blob once, in the order in which the images need them. */
const blobsOf = (images: readonly SavedImage[]): string[] => [
  ...new Set(images.flatMap(({ id, manifest, layers }) => [...layers, id, manifest])),
];

const indexJson = (images: readonly SavedImage[], blobOf: BlobOf, format: SaveFormat): string => {
  const manifests = images.flatMap(({ manifest, names, platform }) => {
    const descriptor = { mediaType: MANIFEST, digest: manifest, size: blobOf(manifest).size, platform };
    if (names.length === 0) return [descriptor];
    return names.map((name) => {
      const reference = parseReference(name);
      // Docker names the tag alone; skopeo and podman look for the whole name.
      const ref = format === "docker-archive" ? (reference.tag ?? "") : familiarName(reference);
      return { ...descriptor, annotations: { [FULL_NAME]: canonicalName(reference), [REF_NAME]: ref } };
    });
  });
  return JSON.stringify({ schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests });
};

const manifestJson = (images: readonly SavedImage[], blobOf: BlobOf): string =>
  JSON.stringify(
    images.map(({ id, layers, names }) => ({
      Config: pathOf(id),
      RepoTags: names.length === 0 ? null : names.map((name) => familiarName(parseReference(name))),
      Layers: layers.map(pathOf),
      LayerSources: Object.fromEntries(layers.map((digest) => [digest, { mediaType: LAYER, size: blobOf(digest).size, digest }])),
    })),
  );

/** The file "repositories" of old: name, tag, top layer. */
const repositoriesJson = (images: readonly SavedImage[]): string => {
  const repositories: Record<string, Record<string, string>> = {};
  for (const { layers, names } of images) {
    for (const name of names) {
      const { tag, ...rest } = parseReference(name);
      const repository = familiarName({ ...rest, tag: "latest" }).slice(0, -":latest".length);
      repositories[repository] = { ...repositories[repository], [tag ?? ""]: hexOf(layers.at(-1) ?? "sha256:") };
    }
  }
  return JSON.stringify(repositories);
};

/** The small files of the archive or layout, by name. */
const documentsOf = (images: readonly SavedImage[], blobOf: BlobOf, format: SaveFormat): Record<string, string> => ({
  "index.json": indexJson(images, blobOf, format),
  ...(format === "docker-archive" ? { "manifest.json": manifestJson(images, blobOf) } : {}),
  "oci-layout": '{"imageLayoutVersion":"1.0.0"}',
  ...(format === "docker-archive" ? { repositories: repositoriesJson(images) } : {}),
});

const partsOf = (images: readonly SavedImage[], blobOf: BlobOf, format: SaveFormat): Part[] => {
  const folders = ["blobs", "blobs/sha256"].map((name) => encodeHeader({ type: "dir", name }));
  const blobs = blobsOf(images).flatMap((digest): Part[] => {
    const { path, size } = blobOf(digest);
    return [encodeHeader({ type: "file", name: pathOf(digest), size }), { path, size }, padding(size)];
  });
  const documents = Object.entries(documentsOf(images, blobOf, format)).map(([name, text]) =>
    encodeEntry({ type: "file", name }, Buffer.from(text)),
  );
  return [...folders, ...blobs, ...documents, archiveEnd()];
};

const CHUNK = 1 << 20;
/** What the kernel copies before others get their turn. */
const STRETCH = 32 << 20;

const readAt = (fd: number, buffer: Buffer, length: number, position: number): Promise<number> =>
  new Promise((resolve, reject) =>
    fs.read(fd, buffer, 0, length, position, (error, bytes) => (error ? reject(error) : resolve(bytes))),
  );

const shorter = (path: string): Error => new Error(`${path} is shorter than it was; "onggi system check" says more`);

/** The archive's bytes; each chunk is the reader's own. */
export async function* archiveChunks(
  images: readonly SavedImage[],
  blobOf: BlobOf,
  format: SaveFormat,
): AsyncGenerator<Uint8Array> {
  for (const part of partsOf(images, blobOf, format)) {
    if (part instanceof Uint8Array) {
      if (part.length > 0) yield part;
      continue;
    }
    const fd = fs.openSync(part.path, "r");
    try {
      for (let done = 0; done < part.size; ) {
        const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK, part.size - done));
        const bytes = await readAt(fd, buffer, buffer.length, done);
        if (bytes === 0) throw shorter(part.path);
        done += bytes;
        yield buffer.subarray(0, bytes);
      }
    } finally {
      fs.closeSync(fd);
    }
  }
}

/** Errors of a file system, or a pair of them, that the kernel cannot copy on. */
const uncopyable: readonly number[] = [errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS];

/** Appends a file to another, inside the kernel where it can. */
const appendFile = async (output: number, { path, size }: { path: string; size: number }, at: number): Promise<void> => {
  const input = fs.openSync(path, "r");
  try {
    let inKernel = true;
    for (let done = 0; done < size; ) {
      let bytes = 0;
      if (inKernel) {
        try {
          bytes = copyFileRange(input, output, Math.min(STRETCH, size - done), done, at + done);
        } catch (error) {
          if (!(error instanceof SysError) || !uncopyable.includes(error.errno)) throw error;
          inKernel = false;
          continue;
        }
        await Bun.sleep(0);
      } else {
        const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK, size - done));
        bytes = await readAt(input, buffer, buffer.length, done);
        for (let written = 0; written < bytes; )
          written += fs.writeSync(output, buffer, written, bytes - written, at + done + written);
      }
      if (bytes === 0) throw shorter(path);
      done += bytes;
    }
  } finally {
    fs.closeSync(input);
  }
};

/** Writes the archive to a file, which is there whole or, if this throws, as it was before. Returns its size in bytes. */
export const writeArchive = async (
  target: string,
  images: readonly SavedImage[],
  blobOf: BlobOf,
  format: SaveFormat,
  signal?: AbortSignal,
): Promise<number> => {
  const file = new UnnamedFile(target, 0o600);
  const { fd } = file;
  try {
    let at = 0;
    for (const part of partsOf(images, blobOf, format)) {
      signal?.throwIfAborted();
      if (part instanceof Uint8Array) {
        for (let done = 0; done < part.length; ) done += fs.writeSync(fd, part, done, part.length - done, at + done);
        at += part.length;
      } else {
        await appendFile(fd, part, at);
        at += part.size;
      }
    }
    file.keep();
    return at;
  } finally {
    file.close();
  }
};

/**
 * Writes an OCI image layout into an empty directory or a new one. What is there of it after an error goes again. Throws "usage"
 * without a target, "target_exists".
 */
export const writeLayout = async (
  target: string | undefined,
  images: readonly SavedImage[],
  blobOf: BlobOf,
  signal?: AbortSignal,
): Promise<void> => {
  if (target === undefined) throw new OnggiError("usage", "an OCI layout is a directory: name it with --output");
  if (fs.existsSync(target) && (!fs.statSync(target).isDirectory() || fs.readdirSync(target).length > 0))
    throw new OnggiError("target_exists", `${target} is there and not empty; name a new directory`);
  fs.mkdirSync(`${target}/blobs/sha256`, { recursive: true });
  try {
    for (const digest of blobsOf(images)) {
      signal?.throwIfAborted();
      const { path, size } = blobOf(digest);
      const fd = fs.openSync(`${target}/${pathOf(digest)}`, "wx", 0o644);
      try {
        await appendFile(fd, { path, size }, 0);
      } finally {
        fs.closeSync(fd);
      }
    }
    for (const [name, text] of Object.entries(documentsOf(images, blobOf, "oci-dir")))
      fs.writeFileSync(`${target}/${name}`, text);
  } catch (error) {
    for (const name of ["blobs", "index.json", "oci-layout"]) fs.rmSync(`${target}/${name}`, { recursive: true, force: true });
    throw error;
  }
};
