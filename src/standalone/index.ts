import { OnggiError } from "../lib/errors.ts";
import type { OneShot } from "../native/oneshot.ts";
import type { IntelRdt } from "../oci/spec.ts";
import { statsForEvents } from "../runtime/cgroups/events-shape.ts";
import { resctrlMount, updateRdtGroup } from "../runtime/intel-rdt.ts";
import { Container, withContainer } from "./container.ts";
import { createContainer } from "./create.ts";
import { deleteContainer } from "./delete.ts";
import { listIds } from "./directory.ts";
import { execInContainer } from "./exec.ts";
import { Host } from "./host.ts";
import { killContainer } from "./kill.ts";
import { runContainer } from "./run.ts";
import { startContainer } from "./start.ts";
import type { OciRuntime, RuntimeOptions, State } from "./types.ts";
import { watchOom } from "./watch-oom.ts";

export type * from "./types.ts";

/** The cgroup of a container that has one. Throws OnggiError `no_cgroup`. */
function cgroupOf({ cgroup, record }: Container) {
  if (cgroup) return cgroup;
  throw new OnggiError("no_cgroup", `container ${record.id} has no cgroup of its own: this user may not make one`);
}

/** `warn` is told what has gone wrong and changes nothing. */
export function ociRuntime(options: RuntimeOptions, front: OneShot, warn: (message: string) => void): OciRuntime {
  const host = new Host(options, warn);
  const inspect = <T>(id: string, use: (container: Container) => T | Promise<T>) => withContainer(host, id, "none", use);
  const change = <T>(id: string, use: (container: Container) => T | Promise<T>) => withContainer(host, id, "wait", use);
  return {
    create: (create) => createContainer(host, front, create),
    start: (id) => change(id, (container) => startContainer(container, warn)),
    run: (run) => runContainer(host, front, run, warn),
    exec: (exec) => execInContainer(host, front, exec),
    kill: (id, signal, all = false) => inspect(id, (container) => killContainer(container, signal, all)),
    delete: (id, force = false) => deleteContainer(host, id, force, warn),
    state: (id) => inspect(id, (container) => container.state()),
    list: async () => listIds(host.root).flatMap((id) => stateOf(host, id)),
    processes: (id) => inspect(id, (container) => cgroupOf(container).manager.processes(cgroupOf(container).path)),
    pause: (id) => change(id, (container) => freeze(container, true)),
    resume: (id) => change(id, (container) => freeze(container, false)),
    update: (id, resources, rdt) =>
      change(id, (container) => {
        container.living();
        if (rdt) updateShare(container, rdt);
        const { manager, path } = cgroupOf(container);
        manager.update(path, resources, warn);
      }),
    stats: (id) =>
      inspect(id, (container) => {
        container.living();
        const { manager, path } = cgroupOf(container);
        return statsForEvents(manager.stats(path, { detail: true }));
      }),
    // loaded only when they are asked for, as few commands are
    checkpoint: async (checkpoint) => {
      const { checkpointContainer } = await import("./checkpoint.ts");
      return change(checkpoint.id, (container) => checkpointContainer(host, container, checkpoint, warn));
    },
    restore: async (restore) => {
      const { restoreContainer } = await import("./restore.ts");
      return restoreContainer(host, front, restore, warn);
    },
    watchOom: (id, onOom) => inspect(id, (container) => watchOom(container, onOom)),
  };
}

function updateShare({ directory, record }: Container, rdt: IntelRdt): void {
  const share = directory.readShare();
  if (!share) throw new OnggiError("intel_rdt", `container ${record.id} has no group of resctrl (linux.intelRdt)`);
  updateRdtGroup(share, rdt, resctrlMount());
}

/** Nothing for what is being made, or deleted meanwhile. */
function stateOf(host: Host, id: string): State[] {
  try {
    const container = Container.open(host, id, "none");
    try {
      return [container.state()];
    } finally {
      container.close();
    }
  } catch (error) {
    if (error instanceof OnggiError && ["container_not_found", "invalid_container_id"].includes(error.code)) return [];
    throw error;
  }
}

function freeze(container: Container, frozen: boolean): Promise<void> {
  const status = container.status();
  const { manager, path } = cgroupOf(container);
  if (frozen && status !== "running" && status !== "created") {
    throw new OnggiError("not_running", `container not running or created: ${status}`);
  }
  if (!frozen && status !== "paused") throw new OnggiError("not_paused", "container not paused");
  return manager.freeze(path, frozen);
}
