/** `delete`: everything a container has left. */
import { OnggiError } from "../lib/errors.ts";
import { removeRdtGroup } from "../runtime/intel-rdt.ts";
import { SIG } from "../sys/constants.ts";
import { isErrno } from "../sys/errno.ts";
import { Container } from "./container.ts";
import { ContainerDirectory } from "./directory.ts";
import { tryHooks } from "./hooks.ts";
import type { Host } from "./host.ts";
import { isAlive, type ProcessIdentity, signalProcess } from "./process.ts";

/** How long a killed process may take to go, in milliseconds. */
const PATIENCE = 10_000;

export async function deleteContainer(host: Host, id: string, force: boolean, warn: (message: string) => void): Promise<void> {
  const container = openForDelete(host, id, force);
  if (!container) return;
  try {
    const status = container.status();
    if (!force && status !== "stopped" && status !== "created") {
      throw new OnggiError("not_stopped", `cannot delete container ${id} that is not stopped: ${status}`);
    }
    await destroyContainer(container, warn);
  } finally {
    container.close();
  }
}

/** Null: there is nothing, or there was half of a creation, which is gone now; both only with `force`. */
function openForDelete(host: Host, id: string, force: boolean): Container | null {
  try {
    return Container.open(host, id, "wait");
  } catch (error) {
    if (!force || !(error instanceof OnggiError)) throw error;
    if (error.code === "invalid_container_id") throw error;
    if (error.code !== "container_not_found" && error.code !== "state_damaged") throw error;
    removeUnwritten(host, id);
    return null;
  }
}

/** A directory without a record: its creation ended before anything else was made. */
function removeUnwritten(host: Host, id: string): void {
  try {
    const directory = ContainerDirectory.at(host.root, id, "wait");
    directory.remove();
    directory.close();
  } catch (error) {
    if (!(error instanceof OnggiError) || error.code !== "container_not_found") throw error;
  }
}

/** Kills what lives and removes cgroup and state; goes on after a failure and throws the first. Under the container's lock. */
export async function destroyContainer(container: Container, warn: (message: string) => void): Promise<void> {
  const { record, directory, cgroup, init } = container;
  const errors: unknown[] = [];
  const attempt = async (what: () => unknown) => {
    try {
      await what();
    } catch (error) {
      errors.push(error);
    }
  };
  if (cgroup?.manager.isFrozen(cgroup.path)) await attempt(() => cgroup.manager.freeze(cgroup.path, false));
  if (init) await attempt(() => killAndWait(init));
  if (cgroup) await attempt(() => cgroup.manager.remove(cgroup.path));
  const share = directory.readShare();
  if (share) await attempt(() => removeRdtGroup(share));
  if (errors.length > 0) throw errors[0];
  directory.remove();
  tryHooks("poststop", record, "stopped", 0, warn);
}

async function killAndWait(init: ProcessIdentity): Promise<void> {
  try {
    if (!signalProcess(init, SIG.SIGKILL)) return;
  } catch (error) {
    if (!isErrno(error, "ESRCH")) throw error;
  }
  const end = performance.now() + PATIENCE;
  while (isAlive(init)) {
    if (performance.now() > end) throw new OnggiError("kill_timeout", `process ${init.pid} did not end after SIGKILL`);
    await Bun.sleep(1);
  }
}
