/**
 * Whether a store is whole. Every blob is hashed, every index is built again from its layers' headers and compared byte for
 * byte, and the database's records are compared with the configurations, whose digests are the images' ids. Repair makes
 * derived files again, writes small documents from the database, and lets go of what only a registry or archive can bring back.
 *
 * The store may be in use meanwhile: a file that is changed, added or removed while it is looked at is no problem.
 */
import * as fs from "node:fs";
import { join } from "node:path";
import { messageOf } from "../lib/errors.ts";
import { hexOf } from "../oci/digest.ts";
import type { ContentStore } from "./content.ts";
import type { ImageRecord } from "./database.ts";
import { digestOf, finishHash, newHash } from "./digest.ts";
import { diffIdsOf, manifestFor, parseConfig } from "./image-config.ts";
import { type IndexLayer, indexOf } from "./image-index.ts";
import type { Progress, StoreProblem } from "./types.ts";
import { isSealed } from "./verity.ts";

/** What the check sees of a store. */
export interface Checked {
  readonly content: ContentStore;
  /** The images of this moment. */
  images(): readonly { readonly record: ImageRecord; readonly names: readonly string[]; readonly documents: readonly string[] }[];
  /** What SQLite says of its file: "ok", or what is wrong. */
  databaseState(): readonly string[];
  /** The text index.json should have. */
  layoutIndex(): string;
  /** Paths of what neither an image nor an operation needs. */
  garbage(): readonly string[];
}

export interface CheckOptions {
  /** Looks at names, sizes and the digests of indexes only. */
  readonly quick: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
}

type Finding = Omit<StoreProblem, "repaired">;

const CHUNK = 4 << 20;

const readAt = (fd: number, buffer: Buffer, position: number): Promise<number> =>
  new Promise((resolve, reject) =>
    fs.read(fd, buffer, 0, buffer.length, position, (error, bytes) => (error ? reject(error) : resolve(bytes))),
  );

/** A file's digest, read by one thread while another hashes; null for a file that is gone. */
const digestOfFile = async (path: string, onBytes: (bytes: number) => void, signal?: AbortSignal): Promise<string | null> => {
  let fd: number;
  try {
    fd = fs.openSync(path, "r");
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return null;
    throw error;
  }
  let ahead: Promise<number> = Promise.resolve(0);
  try {
    const hash = newHash();
    let [current, next] = [Buffer.allocUnsafeSlow(CHUNK), Buffer.allocUnsafeSlow(CHUNK)];
    let position = 0;
    let bytes = await readAt(fd, current, 0);
    while (bytes > 0) {
      signal?.throwIfAborted();
      position += bytes;
      ahead = readAt(fd, next, position);
      hash.update(current.subarray(0, bytes));
      onBytes(bytes);
      bytes = await ahead;
      [current, next] = [next, current];
    }
    return finishHash(hash);
  } finally {
    await ahead.catch(() => {});
    fs.closeSync(fd);
  }
};

const sizeOf = (path: string): number | null => fs.statSync(path, { throwIfNoEntry: false })?.size ?? null;

/** Whether two stretches of files are equal; the rest of an index behind its metadata is copied from layers, or zeros. */
const sameAt = (fd: number, position: number, expected: Uint8Array): boolean => {
  const found = Buffer.allocUnsafe(expected.length);
  let bytes = 0;
  while (bytes < found.length) {
    const count = fs.readSync(fd, found, bytes, found.length - bytes, position + bytes);
    if (count === 0) return false;
    bytes += count;
  }
  return found.equals(expected);
};

const readRange = (fd: number, from: number, length: number): Buffer => {
  const buffer = Buffer.alloc(length);
  let bytes = 0;
  while (bytes < length) {
    const count = fs.readSync(fd, buffer, bytes, length - bytes, from + bytes);
    if (count === 0) break;
    bytes += count;
  }
  return buffer;
};

/** Why an index is not the one that was written; null if it is, or if nobody knows. */
const sealProblem = (path: string): string | null =>
  sizeOf(path) === null ? "is missing" : isSealed(path) === false ? "is not as it was written" : null;

/** Why an index is not the one its layers give; null if it is. */
const indexProblem = (content: ContentStore, id: string, layers: readonly IndexLayer[]): string | null => {
  const path = content.indexPath(id);
  const size = sizeOf(path);
  if (size === null) return "is missing";
  const wanted = indexOf(content, id, layers);
  const whole = Math.max(wanted.size, wanted.bytes.length, ...wanted.copies.map(({ to, length }) => to + length));
  if (size !== whole) return `has ${size} bytes instead of ${whole}`;
  const fd = fs.openSync(path, "r");
  try {
    if (!sameAt(fd, 0, wanted.bytes)) return "differs from what its layers give";
    // What lies behind the metadata: pieces of layers, and zeros between them.
    let at = wanted.bytes.length;
    const zeros = (end: number): boolean => {
      for (; at < end; at += Math.min(CHUNK, end - at)) {
        if (!sameAt(fd, at, Buffer.alloc(Math.min(CHUNK, end - at)))) return false;
      }
      return true;
    };
    for (const { layer, from, length, to } of wanted.copies.toSorted((a, b) => a.to - b.to)) {
      if (!zeros(to)) return "differs from what its layers give";
      const source = fs.openSync(content.blobPath(layers[layer]!.diffId), "r");
      try {
        for (let done = 0; done < length; done += CHUNK) {
          const piece = readRange(source, from + done, Math.min(CHUNK, length - done));
          if (!sameAt(fd, to + done, piece)) return "differs from what its layers give";
        }
      } finally {
        fs.closeSync(source);
      }
      at = to + length;
    }
    return zeros(size) ? null : "differs from what its layers give";
  } finally {
    fs.closeSync(fd);
  }
};

type Report = (problem: Omit<Finding, "image" | "layer"> & Partial<Finding>) => void;
type CheckedImage = ReturnType<Checked["images"]>[number];

const AGAIN = "load or pull the image again; --repair removes its record, or keeps it while containers need it";
const WRONG = "does not have the digest it is named by";

/** Everything that is wrong with a store. Throws the signal's reason, and what the file system says when it cannot be read. */
export const checkStore = async (store: Checked, options: CheckOptions): Promise<{ problems: Finding[]; bytes: number }> => {
  const problems: Finding[] = [];
  const report: Report = (problem) => void problems.push({ image: null, layer: null, ...problem });
  for (const message of store.databaseState()) {
    const advice = "restore images.db from a copy, or remove the image store and pull the images again";
    if (message !== "ok") report({ kind: "database", path: "images.db", message, advice });
  }
  const images = store.images();
  const needed = new Set(images.flatMap(({ record, documents }) => [record.id, record.manifest, ...record.layers, ...documents]));
  const { damaged, bytes } = options.quick ? { damaged: new Set<string>(), bytes: 0 } : await hashBlobs(store, needed, options);
  const still = new Set(store.images().map(({ record }) => record.id));
  for (const image of images) {
    options.signal?.throwIfAborted();
    if (still.has(image.record.id)) checkImage(store.content, image, damaged, options.quick, report);
    await Bun.sleep(0);
  }
  checkLayout(store, report);
  for (const digest of damaged) {
    if (needed.has(digest)) continue;
    const advice = "--repair removes it";
    report({
      kind: "layer",
      layer: digest,
      path: `blobs/sha256/${hexOf(digest)}`,
      message: `kept for a pull, it ${WRONG}`,
      advice,
    });
  }
  for (const path of store.garbage()) {
    report({ kind: "orphan", path, message: "no image and no operation needs it", advice: "--repair removes it" });
  }
  return { problems, bytes };
};

/**
 * Which blobs have another digest than their name: those that images need, and those that are kept for pulls and other operations.
 * What nobody needs is garbage, and told as such.
 */
const hashBlobs = async (
  { content, garbage }: Checked,
  needed: ReadonlySet<string>,
  { signal, progress }: CheckOptions,
): Promise<{ damaged: Set<string>; bytes: number }> => {
  const unneeded = new Set(garbage());
  const kept = fs.readdirSync(join(content.root, "blobs/sha256")).filter((name) => !unneeded.has(`blobs/sha256/${name}`));
  const wanted = new Set([...needed, ...kept.map((name) => `sha256:${name}`)]);
  const total = [...wanted].reduce((sum, digest) => sum + (sizeOf(content.blobPath(digest)) ?? 0), 0);
  const damaged = new Set<string>();
  let bytes = 0;
  for (const digest of wanted) {
    const onBytes = (count: number): void => {
      bytes += count;
      progress?.({ id: digest, current: bytes, total, message: "Checking" });
    };
    let found: string | null;
    try {
      found = await digestOfFile(content.blobPath(digest), onBytes, signal);
    } catch (error) {
      signal?.throwIfAborted();
      // A disk that cannot read it: what it says is as good as a wrong digest.
      found = messageOf(error);
    }
    if (found !== null && found !== digest) damaged.add(digest);
  }
  return { damaged, bytes };
};

const checkImage = (
  content: ContentStore,
  { record, names, documents }: CheckedImage,
  damaged: ReadonlySet<string>,
  quick: boolean,
  report: Report,
): void => {
  const { id } = record;
  const recorded = recordProblem(record);
  if (recorded) {
    report({ kind: "record", image: id, path: "images.db", message: `image ${names[0] ?? id}: ${recorded}`, advice: AGAIN });
    return;
  }
  const state = (digest: string): string | null =>
    damaged.has(digest) ? WRONG : sizeOf(content.blobPath(digest)) === null ? "is missing" : null;
  const blob = (kind: Finding["kind"], digest: string, what: string, advice: string): boolean => {
    const wrong = state(digest);
    const layer = kind === "layer" ? digest : null;
    if (wrong) report({ kind, image: id, layer, path: `blobs/sha256/${hexOf(digest)}`, message: `${what} ${wrong}`, advice });
    return wrong === null;
  };
  const good = record.layers.filter((digest, i) => blob("layer", digest, `layer ${i + 1} of ${record.layers.length}`, AGAIN));
  blob("configuration", id, "its configuration", "--repair writes it again");
  blob("manifest", record.manifest, "its manifest", "--repair writes it again");
  for (const digest of documents) {
    blob("document", digest, "what its registry said of it", "--repair forgets it; a pull brings it again");
  }
  if (good.length === record.layers.length) checkDerived(content, record, quick, report);
};

/** Why a record does not agree with its configuration, whose digest is the image's id; null if it does. */
const recordProblem = (record: ImageRecord): string | null => {
  try {
    if (digestOf(record.config) !== record.id) return "its recorded configuration has another digest";
    const config = parseConfig(record.config, `image ${record.id}`);
    return diffIdsOf(config).join() === record.layers.join() ? null : "its recorded layers are not those of its configuration";
  } catch (error) {
    return messageOf(error);
  }
};

/** What follows from an image's configuration and layers, which are whole: size, manifest, index. */
const checkDerived = (content: ContentStore, record: ImageRecord, quick: boolean, report: Report): void => {
  const { id } = record;
  const layers = record.layers.map((diffId) => ({ diffId, size: sizeOf(content.blobPath(diffId)) ?? 0 }));
  const size = layers.reduce((sum, layer) => sum + layer.size, 0);
  const sizes = layers.map((layer) => ({ digest: layer.diffId, size: layer.size }));
  const manifest = manifestFor({ digest: id, size: Buffer.byteLength(record.config) }, sizes);
  if (size !== record.size || digestOf(manifest.text) !== record.manifest) {
    const message = `its record says ${record.size} bytes and manifest ${record.manifest}, its layers give ${size} and ${digestOf(manifest.text)}`;
    report({ kind: "record", image: id, path: "images.db", message, advice: AGAIN });
  }
  let wrong: string | null;
  try {
    wrong = quick ? sealProblem(content.indexPath(id)) : indexProblem(content, id, layers);
  } catch (error) {
    wrong = `cannot be compared: ${messageOf(error)}`;
  }
  const path = `index/${hexOf(id)}.erofs`;
  if (wrong) report({ kind: "index", image: id, path, message: `its index ${wrong}`, advice: "--repair builds it again" });
};

const checkLayout = (store: Checked, report: Report): void => {
  for (const [name, wanted] of [
    ["index.json", store.layoutIndex()],
    ["oci-layout", LAYOUT],
  ] as const) {
    const path = join(store.content.root, name);
    if (fs.existsSync(path) && fs.readFileSync(path, "utf8") === wanted) continue;
    report({ kind: "layout", path: name, message: "it is not what the database says", advice: "--repair writes it again" });
  }
};

/** Content of the file that marks an OCI image layout. */
export const LAYOUT = '{"imageLayoutVersion":"1.0.0"}';
