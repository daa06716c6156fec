import { Container } from "./container.ts";
import { containerRequest } from "./container-request.ts";
import { publishedPort } from "./details.ts";
import { isOnggiError } from "./errors.ts";
import { type Filters, filtersOf } from "./filters.ts";
import type { Images } from "./images.ts";
import { type Link, making } from "./link.ts";
import type { Cancellable, ContainerOptions, Duration } from "./options.ts";
import { milliseconds } from "./units.ts";
import type { ContainerSummary, Pruned } from "./values.ts";
import type { Readiness } from "./wait.ts";

export interface ListOptions extends Cancellable {
  /** Also those that do not run. */
  readonly all?: boolean;
  readonly filters?: Filters;
  /** The newest so many. */
  readonly limit?: number;
}

export interface RunOptions extends ContainerOptions {
  /** When it is ready: `port(80)`, `log(/ready/)`, `health()` and so on; several: all of them. Absent: once it runs. */
  readonly waitFor?: Readiness | readonly Readiness[];
  /** How long it may take to be ready; a minute by default. */
  readonly timeout?: Duration;
}

/** The containers of an engine. */
export class Containers {
  readonly #link: Link;
  readonly #images: Images;

  private constructor(link: Link, images: Images) {
    this.#link = link;
    this.#images = images;
  }

  /** @internal */
  static of(link: Link, images: Images): Containers {
    return new Containers(link, images);
  }

  /** By name, id or unique prefix of an id. Throws `container_not_found`. It stays when its object's scope ends. */
  async get(reference: string, { signal }: Cancellable = {}): Promise<Container> {
    const { id } = await this.#link.call("inspect", { container: reference }, {}, signal);
    return Container.of(this.#link, id, true);
  }

  async list({ all, filters, limit, signal }: ListOptions = {}): Promise<ContainerSummary[]> {
    const request = {
      ...(all ? { all } : {}),
      ...(filters ? { filters: filtersOf(filters) } : {}),
      ...(limit === undefined ? {} : { limit }),
    };
    const { containers } = await this.#link.call("list", request, {}, signal);
    return containers.map((one) => ({ ...one, ports: one.ports.map(publishedPort) }));
  }

  /** Makes a container that does not run yet. */
  async create(image: string, command: readonly string[] = [], options: ContainerOptions = {}): Promise<Container> {
    const { keep = false, signal } = options;
    const request = containerRequest(image, command, { ...options, ...(await this.#link.lease(keep)) });
    const make = () => this.#link.call("create", { container: request });
    const { id } = await making(
      signal,
      () => this.#images.with(image, options, make),
      (made) => this.#undo(made.id),
    );
    return Container.of(this.#link, id, keep);
  }

  /**
   * Makes a container and starts it; brings the image where it is missing. Resolves when it runs, or when it is ready if `waitFor` says
   * what for. Where that fails, or `signal` is aborted, nothing is left of it.
   */
  async run(image: string, command: readonly string[] = [], options: RunOptions = {}): Promise<Container> {
    const { keep = false, signal, waitFor, timeout = 60_000 } = options;
    milliseconds(timeout, "timeout");
    const request = containerRequest(image, command, { ...options, ...(await this.#link.lease(keep)) });
    const attach = { stdin: false, stdout: false, stderr: false };
    let made: string | undefined;
    const item = (told: { id: string } | { trace: unknown }): void => {
      if ("id" in told) made = told.id;
    };
    const make = () => this.#link.call("run", { container: request, detach: true, attach }, { item });
    try {
      const { id } = await this.#images.with(image, options, make);
      signal?.throwIfAborted();
      const container = Container.of(this.#link, id, keep);
      if (waitFor) await container.waitFor(waitFor, { timeout, signal });
      return container;
    } catch (error) {
      if (made !== undefined) await this.#undo(made);
      throw error;
    }
  }

  /** Removes those that do not run. */
  async prune({ filters, signal }: Cancellable & { filters?: Filters } = {}): Promise<Pruned> {
    return this.#link.call("containerPrune", filters ? { filters: filtersOf(filters) } : {}, {}, signal);
  }

  async #undo(id: string): Promise<void> {
    try {
      await this.#link.call("remove", { container: id, force: true, volumes: true });
    } catch (error) {
      // what went wrong before is what the caller is to hear
      if (!isOnggiError(error)) throw error;
    }
  }
}
