import { credentialsOf } from "../credentials/credentials.ts";
import { follow } from "./channel.ts";
import { imageDetails } from "./details.ts";
import { isOnggiError } from "./errors.ts";
import { type ArchiveData, sendInput } from "./files.ts";
import { type Filters, filtersOf } from "./filters.ts";
import type { Link } from "./link.ts";
import type { Cancellable, PullPolicy, RegistryCredentials } from "./options.ts";
import { callOutput, type Output } from "./output.ts";
import type { ImageDetails, ImageSummary, Progress, Pruned } from "./values.ts";

export interface PullOptions extends Cancellable {
  /** "linux/arm64"; by default this machine's. */
  readonly platform?: string | undefined;
  /** By registry; by default those that `docker login` or `onggi login` has kept. */
  readonly credentials?: Readonly<Record<string, RegistryCredentials>> | undefined;
}

export interface PulledImage {
  /** "busybox:latest" */
  readonly name: string;
  readonly digest: string;
  readonly id: string;
  /** The name meant that image before. */
  readonly upToDate: boolean;
}

export interface PushedImage {
  readonly name: string;
  readonly digest: string;
  readonly size: number;
}

/**
 * What takes its time: a promise of the result, and an iterable of its steps for who wants to show them.
 *
 *     const { id } = (await engine.images.pull("debian"))[0];
 *     for await (const step of engine.images.pull("debian")) console.log(step.message, step.current, step.total);
 */
export interface Operation<T> extends Promise<T>, AsyncIterable<Progress> {}

/** The images of an engine. */
export class Images {
  readonly #link: Link;

  private constructor(link: Link) {
    this.#link = link;
  }

  /** @internal */
  static of(link: Link): Images {
    return new Images(link);
  }

  async list({ filters, signal }: Cancellable & { filters?: Filters } = {}): Promise<readonly ImageSummary[]> {
    const { images } = await this.#link.call("images", filters ? { filters: filtersOf(filters) } : {}, {}, signal);
    return images;
  }

  /** By name, id or unique prefix of an id. Throws `image_not_found`. */
  async inspect(image: string, { platform, signal }: Cancellable & { platform?: string } = {}): Promise<ImageDetails> {
    const request = { image, ...(platform === undefined ? {} : { platform }) };
    return imageDetails(await this.#link.call("imageInspect", request, {}, signal));
  }

  /** Brings an image from its registry. */
  pull(image: string, { platform, credentials, signal }: PullOptions = {}): Operation<readonly PulledImage[]> {
    return operation(signal, async (progress, cut) => {
      const { hosts } = await this.#link.call("mirrors", { image }, {}, cut);
      const auths = credentials ? { ...credentials } : await credentialsOf(process, [image], hosts);
      const request = { image, auths, ...(platform === undefined ? {} : { platform }) };
      return (await this.#link.call("pull", request, { progress }, cut)).images;
    });
  }

  /** Sends an image to the registry that its name says. */
  push(image: string, { platform, credentials, signal }: PullOptions = {}): Operation<readonly PushedImage[]> {
    return operation(signal, async (progress, cut) => {
      const auths = credentials ? { ...credentials } : await credentialsOf(process, [image]);
      const request = { image, auths, ...(platform === undefined ? {} : { platform }) };
      return (await this.#link.call("push", request, { progress }, cut)).images;
    });
  }

  async tag(image: string, name: string, { signal }: Cancellable = {}): Promise<void> {
    await this.#link.call("imageTag", { image, name }, {}, signal);
  }

  /** Removes a name and, with its last one, the image. */
  async remove(
    image: string,
    { force = false, platform, signal }: Cancellable & { force?: boolean; platform?: string } = {},
  ): Promise<{ readonly untagged: readonly string[]; readonly deleted: readonly string[] }> {
    return this.#link.call("imageRemove", { image, force, ...(platform === undefined ? {} : { platform }) }, {}, signal);
  }

  /** What an archive has: of `docker save`, or an OCI layout in a tar; compressed or not. */
  async load(archive: ArchiveData, { signal }: Cancellable = {}): Promise<readonly ImageDetails[]> {
    const { images } = await sendInput(archive, signal, (opened, cut) => this.#link.call("load", {}, { opened }, cut));
    return images.map(imageDetails);
  }

  /** Images as an archive. */
  save(images: string | readonly string[], { format = "docker-archive", platform, signal }: SaveOptions = {}): Output {
    const names = typeof images === "string" ? [images] : [...images];
    const request = { images: names, format, ...(platform === undefined ? {} : { platform }) };
    return callOutput((stdout, cut) => this.#link.call("save", request, { stdout }, cut), signal);
  }

  /** Removes images without a name; with `all` those that no container has. */
  async prune({ all = false, filters, signal }: Cancellable & { all?: boolean; filters?: Filters } = {}): Promise<Pruned> {
    return this.#link.call("imagePrune", { all, ...(filters ? { filters: filtersOf(filters) } : {}) }, {}, signal);
  }

  /** @internal Makes something of an image: brought before where the policy says so, or where it turns out not to be there. */
  async with<T>(image: string, { pull = "missing", ...options }: PullPolicy & Cancellable, make: () => Promise<T>): Promise<T> {
    if (pull === "always") await this.pull(image, options);
    if (pull !== "missing") return make();
    try {
      return await make();
    } catch (error) {
      if (!isOnggiError(error, "image_not_found")) throw error;
    }
    await this.pull(image, options);
    return make();
  }
}

export interface SaveOptions extends Cancellable {
  readonly format?: "docker-archive" | "oci-archive";
  readonly platform?: string;
}

function operation<T>(
  signal: AbortSignal | undefined,
  run: (progress: (step: unknown) => Promise<void> | undefined, cut: AbortSignal) => Promise<T>,
): Operation<T> {
  let watcher: ((step: Progress) => Promise<void> | undefined) | undefined;
  const never = new AbortController().signal;
  // begun at once, whether it is awaited or watched
  const result = run((step) => watcher?.(step as Progress), signal ?? never);
  result.catch(() => {});
  return Object.assign(result, {
    [Symbol.asyncIterator]: () =>
      follow<Progress>(async (push) => {
        watcher = push;
        await result;
      }),
  });
}
