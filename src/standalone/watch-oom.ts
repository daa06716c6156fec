import type { Container } from "./container.ts";
import { isAlive } from "./process.ts";

/** How often the count of kills is looked at, in milliseconds. */
const INTERVAL = 200;

/** Calls back for every process of the container's that the kernel has killed for memory, until the container has stopped. */
export async function watchOom(container: Container, onOom: () => void): Promise<void> {
  const { cgroup } = container;
  const init = container.living();
  if (!cgroup) return;
  const count = () => cgroup.manager.stats(cgroup.path).memory.oomKills;
  for (let seen = count(); ; await Bun.sleep(INTERVAL)) {
    const alive = isAlive(init);
    if (!alive && !cgroup.manager.occupied(cgroup.path)) return;
    for (const now = count(); seen < now; seen++) onOom();
  }
}
