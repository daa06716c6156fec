import { OnggiError } from "../lib/errors.ts";
import { SIG } from "../sys/constants.ts";
import { isErrno } from "../sys/errno.ts";
import { kill } from "../sys/process.ts";
import type { Container } from "./container.ts";
import { signalProcess } from "./process.ts";

/** `all`: every process in the container's cgroup. Throws OnggiError `not_running`. */
export async function killContainer(container: Container, signal: number, all: boolean): Promise<void> {
  const { cgroup, record } = container;
  if (all && cgroup) return killGroup(cgroup.manager.processes(cgroup.path), signal);
  const init = container.living();
  if (!signalProcess(init, signal)) throw new OnggiError("not_running", `container not running: ${record.id}`);
  // a frozen process of cgroup v1 dies only when it runs again
  if (signal === SIG.SIGKILL && cgroup?.manager.isFrozen(cgroup.path)) await cgroup.manager.freeze(cgroup.path, false);
}

function killGroup(pids: readonly number[], signal: number): void {
  for (const pid of pids) {
    try {
      kill(pid, signal);
    } catch (error) {
      if (!isErrno(error, "ESRCH")) throw error;
    }
  }
}
