import { Snapshot } from "./container.ts";
import { OnggiError } from "./errors.ts";
import type { Link } from "./link.ts";
import type { Cancellable } from "./options.ts";
import type { SnapshotSummary } from "./values.ts";

/** The snapshots of an engine. */
export class Snapshots {
  readonly #link: Link;

  private constructor(link: Link) {
    this.#link = link;
  }

  /** @internal */
  static of(link: Link): Snapshots {
    return new Snapshots(link);
  }

  async list({ signal }: Cancellable = {}): Promise<readonly SnapshotSummary[]> {
    const { snapshots } = await this.#link.call("snapshots", {}, {}, signal);
    return snapshots.map(({ lease, ...shown }) => shown);
  }

  /** By name or id. Throws `snapshot_not_found`. It stays when its object's scope ends. */
  async get(reference: string, options: Cancellable = {}): Promise<Snapshot> {
    const found = (await this.list(options)).find(({ id, name }) => name === reference || id === reference);
    if (!found) throw new OnggiError("snapshot_not_found", `there is no snapshot ${JSON.stringify(reference)}`);
    return Snapshot.of(this.#link, found, true);
  }
}
