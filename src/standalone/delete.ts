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

/**
 * Null: there is nothing, or there was half of a creation, which is gone now; both only with `force`. What is found under the lock
 * is dealt with under the same lock: between two of them the creation could have gone on.
 */
function openForDelete(host: Host, id: string, force: boolean): Container | null {
  let directory: ContainerDirectory;
  try {
    directory = ContainerDirectory.at(host.root, id, "wait");
  } catch (error) {
    if (force && isCode(error, "container_not_found")) return null;
    throw error;
  }
  try {
    return new Container(host, directory, directory.read());
  } catch (error) {
    const half = isCode(error, "container_not_found") || isCode(error, "state_damaged");
    if (half && force) directory.remove();
    directory.close();
    if (half && force) return null;
    throw error;
  }
}

const isCode = (error: unknown, code: string): boolean => error instanceof OnggiError && error.code === code;

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
