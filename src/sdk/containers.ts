import type { ContainerRequest } from "../api/control/types.ts";
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
import { type Readiness, readinessOf } from "./wait.ts";

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
    const request = containerRequest(image, command, options);
    return making(options.signal, () => this.#create(request, options), undo);
  }

  /**
   * Makes a container and starts it; brings the image where it is missing. Resolves when it runs, or when it is ready if `waitFor` says
   * what for. Where that fails, or `signal` is aborted, nothing is left of it.
   */
  async run(image: string, command: readonly string[] = [], options: RunOptions = {}): Promise<Container> {
    const { signal, waitFor, timeout = 60_000 } = options;
    milliseconds(timeout, "timeout");
    if (waitFor) readinessOf(waitFor);
    const request = containerRequest(image, command, options);
    const make = async (): Promise<Container> => {
      const container = await (options.files ? this.#create(request, options) : this.#run(request, options));
      return orUndone(container, async () => {
        if (options.files) await container.start({ signal });
        if (waitFor) await container.waitFor(waitFor, { timeout, signal });
      });
    };
    return making(signal, make, undo);
  }

  async #create(request: ContainerRequest, options: ContainerOptions): Promise<Container> {
    const { keep = false, files, signal } = options;
    const asked = { ...request, ...(await this.#link.lease(keep)) };
    const make = () => this.#link.call("create", { container: asked });
    const { id } = await this.#images.with(request.image, options, make);
    const container = Container.of(this.#link, id, keep);
    return orUndone(container, async () => {
      if (files) await container.files.put(files, { signal });
    });
  }

  async #run(request: ContainerRequest, options: ContainerOptions): Promise<Container> {
    const { keep = false } = options;
    const asked = { ...request, ...(await this.#link.lease(keep)) };
    const attach = { stdin: false, stdout: false, stderr: false };
    let made: string | undefined;
    const item = (told: { id: string } | { trace: unknown }): void => {
      if ("id" in told) made = told.id;
    };
    const make = () => this.#link.call("run", { container: asked, detach: true, attach }, { item });
    try {
      const { id } = await this.#images.with(request.image, options, make);
      return Container.of(this.#link, id, keep);
    } catch (error) {
      if (made !== undefined) await undo(Container.of(this.#link, made, keep));
      throw error;
    }
  }

  /** Removes those that do not run. */
  async prune({ filters, signal }: Cancellable & { filters?: Filters } = {}): Promise<Pruned> {
    return this.#link.call("containerPrune", filters ? { filters: filtersOf(filters) } : {}, {}, signal);
  }
}

async function undo(container: Container): Promise<void> {
  try {
    await container.remove({ force: true });
  } catch (error) {
    // what went wrong before is what the caller is to hear
    if (!isOnggiError(error)) throw error;
  }
}

/** The container with what is to be done with it; it goes where that fails. */
async function orUndone(container: Container, work: () => Promise<void>): Promise<Container> {
  try {
    await work();
    return container;
  } catch (error) {
    await undo(container);
    throw error;
  }
}
