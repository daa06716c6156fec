/**
 * The content store: an OCI image layout on disk, and what onggi derives from it.
 *
 *     oci-layout, index.json        the layout's own files (OCI image specification, image-layout.md)
 *     blobs/sha256/<hex>            configurations, manifests, and layers as plain tars, named by their diffID
 *     index/<image>.erofs           an image's EROFS index over its layers (see erofs.ts)
 *     trees/<image>/                an image extracted, where EROFS cannot be mounted
 *     mounts/<image>/               where an index is attached that cannot be passed as a descriptor
 *     tmp/                          what is being written
 *
 * Guarantees: a file in blobs or index is whole, its content durable before its name; what no image refers to and no
 * running operation holds is found by `garbage`.
 */
import * as fs from "node:fs";
import { join } from "node:path";
import { OnggiError } from "../lib/errors.ts";
import { type Digest, hexOf } from "../oci/digest.ts";
import { digestOf } from "./digest.ts";
import { flushDirectory, SequentialFile, writeWhole } from "./files.ts";

/** Content an operation in progress needs although no image refers to it yet. */
export class Lease {
  readonly digests = new Set<string>();
}

/** A file on its way into the store. Ends with `keep` or `drop`. */
export interface Ingest {
  readonly file: SequentialFile;
  /** No more bytes come: flushes to disk. What goes wrong is also reported by `keep`. */
  finish(): Promise<void>;
  /** Gives the content its name. True if it was there already, and the new copy is gone. */
  keep(digest: Digest, lease: Lease): Promise<boolean>;
  /** Removes it. May be called at any time, more than once. */
  drop(): Promise<void>;
}

export const paths = ["blobs/sha256", "index", "trees", "mounts", "tmp"] as const;

export class ContentStore {
  readonly root: string;
  readonly #leases = new Set<Lease>();
  #temporary = 0;

  constructor(root: string) {
    this.root = root;
    for (const path of paths) fs.mkdirSync(join(root, path), { recursive: true, mode: 0o711 });
    const marker = join(root, "oci-layout");
    if (!fs.existsSync(marker)) {
      const beside = `${marker}.new`;
      fs.writeFileSync(beside, '{"imageLayoutVersion":"1.0.0"}', { flush: true });
      fs.renameSync(beside, marker);
    }
    // Nobody else writes here: what lies in the temporary area was left by a process that died.
    for (const name of fs.readdirSync(join(root, "tmp"))) fs.rmSync(join(root, "tmp", name), { recursive: true, force: true });
  }

  blobPath(digest: string): string {
    return join(this.root, "blobs/sha256", hexOf(digest));
  }

  indexPath(imageId: string): string {
    return join(this.root, "index", `${hexOf(imageId)}.erofs`);
  }

  treePath(imageId: string): string {
    return join(this.root, "trees", hexOf(imageId));
  }

  /** Every place where an image is, or was, attached. */
  mountPaths(): string[] {
    return fs.readdirSync(join(this.root, "mounts")).map((name) => join(this.root, "mounts", name));
  }

  mountPath(imageId: string): string {
    return join(this.root, "mounts", hexOf(imageId));
  }

  temporaryPath(): string {
    return join(this.root, "tmp", `${process.pid}-${++this.#temporary}`);
  }

  hasBlob(digest: string): boolean {
    return fs.existsSync(this.blobPath(digest));
  }

  /** Bytes; null for one that is not there. */
  blobSize(digest: string): number | null {
    return fs.statSync(this.blobPath(digest), { throwIfNoEntry: false })?.size ?? null;
  }

  /** A blob that has to be there. Throws "store_damaged". */
  blob(digest: string): { path: string; size: number } {
    const size = this.blobSize(digest);
    if (size !== null) return { path: this.blobPath(digest), size };
    throw new OnggiError("store_damaged", `${digest} is missing in the image store; "onggi system check" says more`);
  }

  /** Runs an operation whose content is safe from `garbage` until it ends. */
  async leased<T>(operation: (lease: Lease) => Promise<T>): Promise<T> {
    const lease = new Lease();
    this.#leases.add(lease);
    try {
      return await operation(lease);
    } finally {
      this.#leases.delete(lease);
    }
  }

  ingest(): Ingest {
    const file = new SequentialFile(this.temporaryPath());
    let finished: Promise<void> | null = null;
    let gone = false;
    const finish = (): Promise<void> => {
      if (!finished) {
        finished = file.finish();
        // Whoever keeps or drops it is told; nobody else waits for it.
        finished.catch(() => {});
      }
      return finished;
    };
    const drop = async (): Promise<void> => {
      if (gone) return;
      gone = true;
      fs.rmSync(file.path, { force: true });
      await finished?.catch(() => {});
      await file.close();
    };
    return {
      file,
      finish,
      drop,
      keep: async (digest, lease) => {
        lease.digests.add(digest);
        if (this.hasBlob(digest)) {
          await drop();
          return true;
        }
        await finish();
        fs.renameSync(file.path, this.blobPath(digest));
        gone = true;
        return false;
      },
    };
  }

  /** Stores a small blob. */
  async putBlob(data: Uint8Array | string, lease: Lease): Promise<Digest> {
    const digest = digestOf(data);
    lease.digests.add(digest);
    if (!this.hasBlob(digest)) await writeWhole(this.blobPath(digest), this.temporaryPath(), data);
    return digest;
  }

  /** Makes the names of what was kept durable. */
  async flushNames(): Promise<void> {
    await Promise.all(["blobs/sha256", "index"].map((path) => flushDirectory(join(this.root, path))));
  }

  /** Whether an operation in progress needs the content. */
  isLeased(digest: string): boolean {
    for (const lease of this.#leases) if (lease.digests.has(digest)) return true;
    return false;
  }

  /** Paths below the root that neither an image nor an operation in progress needs. */
  garbage(needed: { blobs: ReadonlySet<string>; images: ReadonlySet<string> }): string[] {
    const found: string[] = [];
    const look = (folder: string, digestOfName: (name: string) => string, keep: ReadonlySet<string>): void => {
      for (const name of fs.readdirSync(join(this.root, folder))) {
        const digest = digestOfName(name);
        if (!keep.has(digest) && !this.isLeased(digest)) found.push(`${folder}/${name}`);
      }
    };
    look("blobs/sha256", (name) => `sha256:${name}`, needed.blobs);
    look("index", (name) => `sha256:${name.replace(/\.erofs$/, "")}`, needed.images);
    look("trees", (name) => `sha256:${name}`, needed.images);
    look("mounts", (name) => `sha256:${name}`, needed.images);
    return found;
  }
}
