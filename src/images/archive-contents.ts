/**
 * Takes an archive's members in as they come. What an archive holds is only known at its end (skopeo, podman and Docker write
 * the manifest last), so every member that looks like a layer goes into the store's temporary area right away, small files are
 * kept in memory, and links are remembered.
 */

import { display } from "../archive/bytes.ts";
import { BLOCK, checksumFits, isZeroBlock } from "../archive/tar-fields.ts";
import type { TarEntry } from "../archive/tar-types.ts";
import { OnggiError } from "../lib/errors.ts";
import { ArchiveReader } from "./archive-reader.ts";
import type { ContentStore } from "./content.ts";
import { digestOf } from "./digest.ts";
import { LayerInvalid } from "./errors.ts";
import { type LayerOptions, type NewLayer, takeLayer } from "./layer.ts";
import { type Chunks, compressionOf, peek } from "./stream.ts";
import type { Progress } from "./types.ts";

const MAX_DOCUMENT = 4 << 20;
const MAX_DOCUMENTS = 128 << 20;
const MAX_MEMBERS = 100_000;
/** Layers whose flush to disk may be under way while the next comes in. */
const MAX_FLUSHING = 4;

type Member =
  | { readonly kind: "document"; readonly data: Buffer }
  | { readonly kind: "layer"; readonly layer: NewLayer }
  /** Looked like a layer and is none; only matters if a manifest names it as one. */
  | { readonly kind: "broken"; readonly error: OnggiError }
  | { readonly kind: "link"; readonly target: string };

/** Path of a link's target inside the archive. */
const targetOf = (entry: TarEntry): string => {
  if (entry.type === "link") return entry.link;
  const parts = entry.link.startsWith("/") ? [] : entry.name.split("/").slice(0, -1);
  for (const part of entry.link.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return parts.join("/");
};

const looksLikeLayer = (head: Uint8Array): boolean => {
  if (compressionOf(head) !== "none") return true;
  return head.length >= BLOCK && (isZeroBlock(head, 0) || checksumFits(head, 0));
};

export class ArchiveContents {
  readonly #members = new Map<string, Member>();

  /** Everything of an archive. Throws "archive_invalid" and what takeLayer throws; then nothing is left in the store. */
  static async read(
    store: ContentStore,
    source: Chunks,
    options: LayerOptions & { readonly progress?: Progress | undefined },
  ): Promise<ArchiveContents> {
    const contents = new ArchiveContents();
    const reader = new ArchiveReader(source);
    try {
      await contents.#take(store, reader, options);
      return contents;
    } catch (error) {
      await contents.drop();
      throw error;
    } finally {
      await reader.close();
    }
  }

  async #take(
    store: ContentStore,
    reader: ArchiveReader,
    options: LayerOptions & { readonly progress?: Progress | undefined },
  ): Promise<void> {
    let documents = 0;
    const flushing: Promise<void>[] = [];
    for (let entry = await reader.next(); entry; entry = await reader.next()) {
      if (this.#members.size > MAX_MEMBERS)
        throw new OnggiError("archive_invalid", `the archive has more than ${MAX_MEMBERS} members`);
      if (entry.type === "symlink" || entry.type === "link") {
        this.#put(entry.name, { kind: "link", target: targetOf(entry) });
      } else if (entry.type === "file") {
        const { head, whole } = await peek(reader.body(entry), BLOCK);
        if (looksLikeLayer(head)) {
          const member = await this.#takeLayer(store, entry, whole, options);
          this.#put(entry.name, member);
          if (member.kind === "layer") flushing.push(member.layer.ingest.finish().catch(() => {}));
          if (flushing.length > MAX_FLUSHING) await flushing.shift();
        } else if (entry.size <= MAX_DOCUMENT) {
          documents += entry.size;
          if (documents > MAX_DOCUMENTS)
            throw new OnggiError("archive_invalid", `the archive has more than ${MAX_DOCUMENTS} bytes of documents`);
          const parts: Uint8Array[] = [];
          for await (const chunk of whole) parts.push(chunk);
          this.#put(entry.name, { kind: "document", data: Buffer.concat(parts) });
        }
      }
    }
  }

  async #takeLayer(
    store: ContentStore,
    entry: TarEntry,
    body: Chunks,
    options: LayerOptions & { readonly progress?: Progress | undefined },
  ): Promise<Member> {
    let current = 0;
    let told = 0;
    const id = display(entry.name);
    const tell = (message: string): void => options.progress?.({ id, current, total: entry.stored, message });
    tell("Loading layer");
    const onBytes = (bytes: number): void => {
      current += bytes;
      if (current - told < 4 << 20) return;
      told = current;
      tell("Loading layer");
    };
    try {
      const layer = await takeLayer(store, body, { ...options, onBytes });
      tell("Layer loaded");
      return { kind: "layer", layer };
    } catch (error) {
      const mistaken = error instanceof LayerInvalid || (error instanceof OnggiError && error.code === "compressed_data_invalid");
      if (!mistaken) throw error;
      return { kind: "broken", error };
    }
  }

  #put(name: string, member: Member): void {
    const before = this.#members.get(name);
    if (before?.kind === "layer") void before.layer.ingest.drop();
    this.#members.set(name, member);
  }

  #find(name: string): Member | null {
    let at = name.replace(/^(?:\.?\/)+/, "");
    for (let followed = 0; followed < 16; followed++) {
      const member = this.#members.get(at);
      if (member?.kind !== "link") return member ?? null;
      at = member.target;
    }
    return null;
  }

  has(name: string): boolean {
    return this.#find(name) !== null;
  }

  /** A small file's bytes and their digest. Throws "archive_invalid". */
  document(name: string, what: string): { data: Buffer; digest: string } {
    const member = this.#find(name);
    if (member?.kind !== "document")
      throw new OnggiError("archive_invalid", `${what}: the archive has no file "${display(name)}"`);
    return { data: member.data, digest: digestOf(member.data) };
  }

  /** Throws "archive_invalid", or what made the layer unusable. */
  layer(name: string, what: string): NewLayer {
    const member = this.#find(name);
    if (member?.kind === "layer") return member.layer;
    if (member?.kind === "broken")
      throw new OnggiError(member.error.code, `${what}: ${member.error.message}`, { cause: member.error });
    throw new OnggiError("archive_invalid", `${what}: the archive has no layer "${display(name)}"`);
  }

  /** Removes every layer that was not kept. */
  async drop(): Promise<void> {
    for (const member of this.#members.values()) if (member.kind === "layer") await member.layer.ingest.drop();
  }
}
