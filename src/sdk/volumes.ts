import { isOnggiError } from "./errors.ts";
import { type ArchiveData, Files, sendInput } from "./files.ts";
import { type Filters, filtersOf } from "./filters.ts";
import { type Link, making } from "./link.ts";
import type { Cancellable } from "./options.ts";
import { callOutput, type Output } from "./output.ts";
import type { Pruned, VolumeDetails } from "./values.ts";

export interface VolumeOptions extends Cancellable {
  readonly driver?: string;
  /** The driver's, as `onggi volume create -o` has them: { size: "64m" }. */
  readonly options?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** True: it stays when this process ends, and when its object's scope does. */
  readonly keep?: boolean;
}

/** Files that outlive containers. It is removed where the scope of `await using` ends. */
export class Volume implements AsyncDisposable {
  readonly name: string;
  readonly files: Files;
  readonly #link: Link;
  readonly #keep: boolean;

  private constructor(link: Link, name: string, keep: boolean) {
    this.#link = link;
    this.name = name;
    this.#keep = keep;
    this.files = Files.of(link, { volume: name });
  }

  /** @internal */
  static of(link: Link, name: string, keep: boolean): Volume {
    return new Volume(link, name, keep);
  }

  async inspect({ signal }: Cancellable = {}): Promise<VolumeDetails> {
    return this.#link.call("volumeInspect", { volume: this.name }, {}, signal);
  }

  /** All of it, as a tar. */
  export({ signal }: Cancellable = {}): Output {
    return callOutput((stdout, cut) => this.#link.call("volumeExport", { volume: this.name }, { stdout }, cut), signal);
  }

  /** Fills it with a tar; with `merge` beside what is there. */
  async import(tar: ArchiveData, { merge = false, signal }: Cancellable & { merge?: boolean } = {}): Promise<void> {
    const request = { volume: this.name, ...(merge ? { merge } : {}) };
    await sendInput(tar, signal, (opened, cut) => this.#link.call("volumeImport", request, { opened }, cut));
  }

  /** A volume with the same files; blocks are shared where the file system can. */
  async clone({
    name,
    labels,
    keep = false,
    signal,
  }: Cancellable & { name?: string; labels?: Record<string, string>; keep?: boolean } = {}): Promise<Volume> {
    const request = {
      source: this.name,
      ...(name === undefined ? {} : { name }),
      ...(labels ? { labels } : {}),
    };
    const make = async () => {
      const { name } = await this.#link.call("volumeClone", { ...request, ...(await this.#link.lease(keep)) });
      return Volume.of(this.#link, name, keep);
    };
    return making(signal, make, (made) => made.remove());
  }

  /** Throws `volume_in_use` while a container has it. */
  async remove({ force = false, signal }: Cancellable & { force?: boolean } = {}): Promise<void> {
    await this.#link.call("volumeRemove", { volume: this.name, force }, {}, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#keep) return;
    try {
      await this.remove();
    } catch (error) {
      if (!isOnggiError(error, "volume_not_found")) throw error;
    }
  }
}

/** The volumes of an engine. */
export class Volumes {
  readonly #link: Link;

  private constructor(link: Link) {
    this.#link = link;
  }

  /** @internal */
  static of(link: Link): Volumes {
    return new Volumes(link);
  }

  /** Makes a volume, by default under a name of the engine's choice. One that is there already is given as it is, and stays. */
  async create(name?: string, { keep = false, driver, options, labels, signal }: VolumeOptions = {}): Promise<Volume> {
    const request = {
      ...(name === undefined ? {} : { name }),
      ...(driver === undefined ? {} : { driver }),
      ...(options ? { options: { ...options } } : {}),
      ...(labels ? { labels: { ...labels } } : {}),
    };
    // one that was there before is somebody else's
    const make = async () => {
      const { name: made, made: isNew } = await this.#link.call("volumeCreate", {
        ...request,
        ...(await this.#link.lease(keep)),
      });
      return Volume.of(this.#link, made, keep || !isNew);
    };
    return making(signal, make, (volume) => volume[Symbol.asyncDispose]());
  }

  /** Throws `volume_not_found`. It stays when its object's scope ends. */
  async get(name: string, { signal }: Cancellable = {}): Promise<Volume> {
    return Volume.of(this.#link, (await this.#link.call("volumeInspect", { volume: name }, {}, signal)).name, true);
  }

  async list({ filters, signal }: Cancellable & { filters?: Filters } = {}): Promise<readonly VolumeDetails[]> {
    return (await this.#link.call("volumes", filters ? { filters: filtersOf(filters) } : {}, {}, signal)).volumes;
  }

  /** Removes those without a name that no container has; with `all` those with one too. */
  async prune({ all = false, filters, signal }: Cancellable & { all?: boolean; filters?: Filters } = {}): Promise<Pruned> {
    return this.#link.call("volumePrune", { all, ...(filters ? { filters: filtersOf(filters) } : {}) }, {}, signal);
  }
}
