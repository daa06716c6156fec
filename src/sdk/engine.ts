import { type Feed, follow } from "./channel.ts";
import type { Container } from "./container.ts";
import { Containers, type RunOptions } from "./containers.ts";
import { type Filters, filtersOf } from "./filters.ts";
import { Images } from "./images.ts";
import type { LeaseReport } from "./lease.ts";
import { Link } from "./link.ts";
import { Networks } from "./networks.ts";
import type { Cancellable, ConnectOptions, Duration } from "./options.ts";
import { Snapshots } from "./snapshots.ts";
import { moment } from "./units.ts";
import type { EngineEvent, EngineInfo } from "./values.ts";
import { Volumes } from "./volumes.ts";

export interface EventOptions extends Cancellable {
  /** Also what was, from then on: the engine keeps the last 1,024. */
  readonly since?: Date | Duration;
  readonly until?: Date;
  readonly filters?: Filters;
}

/**
 * An engine. Nothing is done before its first method is called, which starts the engine if none answers.
 *
 * What is made through it belongs to this process: when the process ends, by whatever end, kill -9 too, the engine removes it, and so does
 * the end of this object's scope. `keep: true` of a container, network or volume makes it stay.
 */
export class Engine implements AsyncDisposable {
  readonly containers: Containers;
  readonly images: Images;
  readonly networks: Networks;
  readonly snapshots: Snapshots;
  readonly volumes: Volumes;
  readonly #link: Link;

  constructor({ host, context, run, root, binary, start }: ConnectOptions = {}) {
    this.#link = new Link({ host, context, run, root, binary, start });
    this.images = Images.of(this.#link);
    this.containers = Containers.of(this.#link, this.images);
    this.networks = Networks.of(this.#link);
    this.snapshots = Snapshots.of(this.#link);
    this.volumes = Volumes.of(this.#link);
  }

  /** Path of its socket; for one that ssh reaches, its address. */
  get socket(): string {
    return this.#link.socket;
  }

  /** Makes a container and starts it; see `containers.run`. */
  run(image: string, command?: readonly string[], options?: RunOptions): Promise<Container> {
    return this.containers.run(image, command, options);
  }

  /** Its version and process, if it answers. */
  async ping({ signal }: Cancellable = {}): Promise<{ readonly version: string; readonly pid: number }> {
    return this.#link.call("ping", {}, {}, signal);
  }

  async info({ signal }: Cancellable = {}): Promise<EngineInfo> {
    return this.#link.call("status", {}, {}, signal);
  }

  /**
   * What happens, as it happens, until nobody listens any more.
   *
   *     for await (const { action, attributes } of engine.events({ filters: { type: "container" } })) console.log(action, attributes.name);
   */
  events({ since, until, filters, signal }: EventOptions = {}): Feed<EngineEvent> {
    const request = {
      ...(since === undefined ? {} : { since: moment(since, "since") }),
      ...(until === undefined ? {} : { until: moment(until, "until") }),
      ...(filters ? { filters: filtersOf(filters) } : {}),
    };
    return follow<EngineEvent>((push, cut) => {
      const item = ({ timeNano, ...event }: Omit<EngineEvent, "timeNano"> & { timeNano: string }) =>
        push({ ...event, timeNano: BigInt(timeNano) });
      return this.#link.call("events", request, { item }, cut);
    }, signal);
  }

  /** Removes what was made through this object and is not kept. Resolves with what that was; undefined if there was nothing. */
  async release(): Promise<LeaseReport | undefined> {
    return this.#link.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}
