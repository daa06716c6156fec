import type { ContainerInfo } from "../api/control/types.ts";
import { OnggiError } from "../lib/errors.ts";
import { codeOf, type Host } from "./host.ts";
import type { ObservedContainer } from "./observe.ts";

/** Waiting until containers are as somebody needs them. */

/** Milliseconds between two looks, at first and at most. */
const FIRST = 25;
const LONGEST = 250;

export type Wanted = "healthy" | "healthy or running" | "completed";

/** What a container that is wanted so has come to: undefined while it is on its way. Throws where it will not come to it. */
function judge({ name, state, health }: ContainerInfo, wanted: Wanted): true | undefined {
  const ended = state.status === "exited" || state.status === "dead";
  if (wanted === "completed") {
    if (!ended) return undefined;
    if (state.exitCode === 0) return true;
    throw new OnggiError("dependency_failed", `container ${name} did not complete successfully: exit ${state.exitCode}`);
  }
  if (ended) throw new OnggiError("dependency_failed", `container ${name} exited (${state.exitCode})`);
  if (health === null) {
    if (wanted === "healthy") throw new OnggiError("dependency_failed", `container ${name} has no healthcheck configured`);
    return state.status === "running" ? true : undefined;
  }
  if (health.status === "unhealthy") throw new OnggiError("dependency_failed", `container ${name} is unhealthy`);
  return health.status === "healthy" && state.status === "running" ? true : undefined;
}

/** Waits for one container. Throws `dependency_failed`, `container_not_found`, the signal's reason. */
export async function untilReady(
  host: Host,
  container: string,
  wanted: Wanted,
  signal: AbortSignal = host.signal,
): Promise<void> {
  for (let pause = FIRST; ; pause = Math.min(pause * 1.5, LONGEST)) {
    signal.throwIfAborted();
    const info = await host.call("inspect", { container });
    if (judge(info, wanted)) return;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Waits for all, and tells of each. */
export async function untilAll(
  host: Host,
  containers: readonly Pick<ObservedContainer, "id" | "name">[],
  wanted: Wanted,
  signal: AbortSignal = host.signal,
): Promise<void> {
  const done = wanted === "completed" ? "Exited" : "Healthy";
  await Promise.all(
    containers.map(async ({ id, name }) => {
      const step = `Container ${name}`;
      host.tell({ id: step, text: "Waiting", status: "working" });
      try {
        await untilReady(host, id, wanted, signal);
        host.tell({ id: step, text: done, status: "done" });
      } catch (error) {
        if (codeOf(error) === "dependency_failed") host.tell({ id: step, text: "Error", status: "error" });
        throw error;
      }
    }),
  );
}
