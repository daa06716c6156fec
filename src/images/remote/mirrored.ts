/**
 * A repository and its mirrors. What is read is asked of one after the other, until one has it; that one of them fails, or gives what
 * is not what was asked for, matters only where all do. What is written goes to the one that takes it.
 */
import { messageOf, OnggiError } from "../../lib/errors.ts";
import { printable } from "../../lib/printable.ts";
import { type Digest, isDigest } from "../../oci/digest.ts";
import type { RemoteRepository } from "./repository.ts";
import type { BlobRead, BlobSource, RemoteManifest, Repository } from "./types.ts";

export interface Mirror {
  readonly repository: RemoteRepository;
  readonly resolves: boolean;
  readonly pulls: boolean;
  readonly pushes: boolean;
  /** The registry itself. */
  readonly own: boolean;
}

/** A mirror that was not reached is left alone for so long, in milliseconds. */
const REST_MS = 60_000;

/** Told of every source that failed where another one was left. */
export type Note = (message: string) => void;

interface Failure {
  readonly own: boolean;
  readonly error: unknown;
  readonly words: string;
}

export class MirroredRepository implements Repository {
  readonly name: string;
  /** In the order they are asked. */
  readonly #mirrors: readonly Mirror[];
  readonly #note: Note;
  /** Who gave something else for a blob. */
  readonly #wrong = new Map<Digest, Map<RemoteRepository, Failure>>();

  constructor(name: string, mirrors: readonly Mirror[], note: Note) {
    this.name = name;
    this.#mirrors = mirrors;
    this.#note = note;
  }

  manifest(tagOrDigest: string, signal?: AbortSignal): Promise<RemoteManifest> {
    return this.#first(`manifest ${tagOrDigest}`, this.#readers(tagOrDigest), signal, async ({ repository, own }) => {
      const manifest = await repository.manifest(tagOrDigest, signal);
      if (!own && !isDocument(manifest))
        throw new OnggiError("registry_answer_invalid", `${repository.name}: manifest ${tagOrDigest}: it is none`);
      return manifest;
    });
  }

  async resolve(tagOrDigest: string, signal?: AbortSignal): Promise<{ digest: Digest; mediaType: string; size: number } | null> {
    const what = `manifest ${tagOrDigest}`;
    const missing = (name: string) => new OnggiError("manifest_unknown", `${name}: ${what}: there is none`);
    try {
      return await this.#first(what, this.#readers(tagOrDigest), signal, async ({ repository }) => {
        const found = await repository.resolve(tagOrDigest, signal);
        if (!found) throw missing(repository.name);
        return found;
      });
    } catch (error) {
      if (error instanceof OnggiError && error.code === "manifest_unknown") return null;
      throw error;
    }
  }

  blob(digest: Digest, size: number, signal?: AbortSignal): BlobRead {
    const senders = new Set<RemoteRepository>();
    const sources: string[] = [];
    const sending = (repository: RemoteRepository): void => {
      if (senders.has(repository)) return;
      senders.add(repository);
      sources.push(repository.host.endpoint.host);
    };
    return {
      sources,
      wrong: (why) => this.#isWrong(digest, senders, why),
      [Symbol.asyncIterator]: () => this.#chunks(digest, size, sending, signal),
    };
  }

  async *#chunks(
    digest: Digest,
    size: number,
    sending: (repository: RemoteRepository) => void,
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const failures = [...(this.#wrong.get(digest)?.values() ?? [])];
    const known = this.#wrong.get(digest);
    const left = this.#mirrors.filter(({ pulls, repository }) => pulls && !known?.has(repository));
    let at = 0;
    for (const [position, mirror] of left.entries()) {
      const { repository } = mirror;
      const resting = restOf(mirror);
      if (resting) {
        failures.push(resting);
        continue;
      }
      try {
        for await (const chunk of repository.blobFrom(digest, size, at, signal)) {
          sending(repository);
          at += chunk.length;
          yield chunk;
        }
        return;
      } catch (error) {
        signal?.throwIfAborted();
        failures.push(this.#failed(mirror, error, position + 1 < left.length));
      }
    }
    throw this.#all(`blob ${digest}`, failures);
  }

  /** Who alone is asked in the end is never left out: what it gives is the last word. */
  #isWrong(digest: Digest, senders: ReadonlySet<RemoteRepository>, why: string): boolean {
    const known = this.#wrong.get(digest) ?? new Map<RemoteRepository, Failure>();
    const before = known.size;
    for (const mirror of this.#mirrors) {
      const { repository, own } = mirror;
      if (own || !senders.has(repository)) continue;
      const error = new OnggiError("digest_mismatch", `${repository.name}: blob ${digest}: ${printable(why, 300)}`);
      known.set(repository, this.#failed(mirror, error, true));
    }
    this.#wrong.set(digest, known);
    return known.size > before && this.#mirrors.some(({ pulls, repository }) => pulls && !known.has(repository));
  }

  /** Only the registry itself has the whole list; mirrors are asked where it cannot be. */
  tags(signal?: AbortSignal): Promise<string[]> {
    return this.#first("tags", this.#listers(), signal, ({ repository }) => repository.tags(signal));
  }

  referrers(digest: Digest, artifactType?: string, signal?: AbortSignal): Promise<RemoteManifest> {
    const ask = ({ repository }: Mirror) => repository.referrers(digest, artifactType, signal);
    return this.#first(`referrers of ${digest}`, this.#listers(), signal, ask);
  }

  async hasBlob(digest: Digest, signal?: AbortSignal): Promise<number | null> {
    return this.#written().hasBlob(digest, signal);
  }

  async mountBlob(digest: Digest, from: string, signal?: AbortSignal): Promise<boolean> {
    return this.#written().mountBlob(digest, from, signal);
  }

  async upload(source: BlobSource, signal?: AbortSignal): Promise<{ digest: Digest; size: number }> {
    return this.#written().upload(source, signal);
  }

  async putManifest(tagOrDigest: string, mediaType: string, bytes: Uint8Array, signal?: AbortSignal): Promise<Digest> {
    return this.#written().putManifest(tagOrDigest, mediaType, bytes, signal);
  }

  async deleteManifest(tagOrDigest: string, signal?: AbortSignal): Promise<void> {
    return this.#written().deleteManifest(tagOrDigest, signal);
  }

  /** Who takes what is written. Throws "registry_config_invalid" where nobody may. */
  #written(): RemoteRepository {
    const found = this.#mirrors.find(({ pushes }) => pushes);
    if (found) return found.repository;
    throw new OnggiError("registry_config_invalid", `${this.name}: its hosts.toml has no host with the capability "push"`);
  }

  #readers(tagOrDigest: string): Mirror[] {
    return this.#mirrors.filter(({ pulls, resolves }) => (isDigest(tagOrDigest) ? pulls : resolves));
  }

  #listers(): Mirror[] {
    const resolving = this.#mirrors.filter(({ resolves }) => resolves);
    return [...resolving.filter(({ own }) => own), ...resolving.filter(({ own }) => !own)];
  }

  async #first<T>(
    what: string,
    mirrors: readonly Mirror[],
    signal: AbortSignal | undefined,
    ask: (mirror: Mirror) => Promise<T>,
  ): Promise<T> {
    const failures: Failure[] = [];
    for (const [position, mirror] of mirrors.entries()) {
      const resting = restOf(mirror);
      if (resting) {
        failures.push(resting);
        continue;
      }
      try {
        return await ask(mirror);
      } catch (error) {
        signal?.throwIfAborted();
        failures.push(this.#failed(mirror, error, position + 1 < mirrors.length));
      }
    }
    throw this.#all(what, failures);
  }

  #failed({ own }: Mirror, error: unknown, othersLeft: boolean): Failure {
    const words = messageOf(error).slice(0, 600);
    if (othersLeft) this.#note(`${words}; the next source is asked`);
    return { own, error, words };
  }

  /** All of it in one error, with the code of what the registry itself said, else the last one's. */
  #all(what: string, failures: readonly Failure[]): unknown {
    const last = failures.findLast(({ own }) => own) ?? failures.at(-1);
    if (!last) return new OnggiError("registry_config_invalid", `${this.name}: ${what}: no source may be asked for it`);
    if (failures.length === 1 || !(last.error instanceof OnggiError)) return last.error;
    const each = failures.map(({ words }, position) => `(${position + 1}) ${words}`).join("; ");
    const { code } = last.error;
    return new OnggiError(code, `${this.name}: ${what}: none of ${failures.length} sources: ${each}`, { cause: last.error });
  }
}

/** Why a mirror is not asked now; null where it is. */
const restOf = ({ repository, own }: Mirror): Failure | null => {
  const { silent } = repository.host;
  const ago = silent ? Date.now() - silent.since : REST_MS;
  if (own || !silent || ago >= REST_MS) return null;
  const words = `${repository.name}: not asked, it was not reached ${Math.ceil(ago / 1000)} s ago`;
  return { own, error: silent.error, words };
};

/** A page that says "welcome" with status 200 is no manifest, and what is sent as something else than it is would be refused. */
const isDocument = ({ bytes, mediaType }: RemoteManifest): boolean => {
  let value: { schemaVersion?: unknown; mediaType?: unknown } | null;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes)) as typeof value;
  } catch {
    return false;
  }
  if (typeof value !== "object" || value?.schemaVersion !== 2) return false;
  return value.mediaType === undefined ? mediaType === "" || mediaType.endsWith("json") : value.mediaType === mediaType;
};
