/** A container as it is found: its record, its first process, its cgroup, and the state they add up to. */
import { existsSync } from "node:fs";
import { OnggiError } from "../lib/errors.ts";
import type { CgroupManager } from "../runtime/cgroups/index.ts";
import { ContainerDirectory, type ContainerRecord, START_FIFO } from "./directory.ts";
import type { Host } from "./host.ts";
import { isAlive, type ProcessIdentity } from "./process.ts";
import type { State, Status } from "./types.ts";

export class Container {
  readonly record: ContainerRecord;
  readonly directory: ContainerDirectory;
  private readonly host: Host;

  constructor(host: Host, directory: ContainerDirectory, record: ContainerRecord) {
    this.host = host;
    this.directory = directory;
    this.record = record;
  }

  static open(host: Host, id: string, lock: "wait" | "none"): Container {
    const directory = ContainerDirectory.at(host.root, id, lock);
    try {
      return new Container(host, directory, directory.read());
    } catch (error) {
      directory.close();
      throw error;
    }
  }

  get init(): ProcessIdentity | null {
    return this.directory.readInit();
  }

  /** Null: it has no cgroup of its own. */
  get cgroup(): { readonly manager: CgroupManager; readonly path: string } | null {
    const { cgroupPath, systemdCgroup } = this.record;
    return cgroupPath === null ? null : { manager: this.host.cgroups(systemdCgroup), path: cgroupPath };
  }

  status(): Status {
    const { init } = this;
    if (init === null) return "creating";
    if (!isAlive(init)) return "stopped";
    if (this.cgroup?.manager.isFrozen(this.cgroup.path)) return "paused";
    return existsSync(`${this.directory.path}/${START_FIFO}`) ? "created" : "running";
  }

  /** The first process of a container that is not stopped. Throws OnggiError `not_running`. */
  living(): ProcessIdentity {
    const { init } = this;
    if (init && isAlive(init)) return init;
    throw new OnggiError("not_running", `container not running: ${this.record.id}`);
  }

  state(): State {
    const { id, bundle, rootfs, created, owner, spec } = this.record;
    const status = this.status();
    return {
      ociVersion: spec.ociVersion,
      id,
      pid: status === "stopped" ? 0 : (this.init?.pid ?? 0),
      status,
      bundle,
      rootfs,
      created,
      ...(spec.annotations ? { annotations: spec.annotations } : {}),
      owner,
    };
  }

  close(): void {
    this.directory.close();
  }
}

/** Opens a container, locked unless it is only looked at, for the time of `use`. */
export async function withContainer<T>(
  host: Host,
  id: string,
  lock: "wait" | "none",
  use: (container: Container) => T | Promise<T>,
): Promise<T> {
  const container = Container.open(host, id, lock);
  try {
    return await use(container);
  } finally {
    container.close();
  }
}
