import type { ContainerInfo } from "../api/control/types.ts";
import { OnggiError } from "../lib/errors.ts";
import { parseDuration } from "../lib/time.ts";
import { codeOf, type Host } from "./host.ts";
import { dependenciesOf } from "./names.ts";
import { containersOf, type ObservedContainer } from "./observe.ts";
import type { Dependency, Project, Service } from "./project.ts";

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
  if (host.isDryRun) return;
  for (let pause = FIRST; ; pause = Math.min(pause * 1.5, LONGEST)) {
    signal.throwIfAborted();
    const info = await host.call("inspect", { container });
    if (judge(info, wanted)) return;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Milliseconds that a container without a health check must have run. */
const STEADY = 1000;

/** Waits until a container that has been started is healthy, or without a health check has run for a moment. Throws as `untilReady`. */
export async function untilSteady(host: Host, container: { id: string; name: string }, service: Service): Promise<void> {
  await untilAll(host, [container], "healthy or running");
  if (host.isDryRun) return;
  const { health } = await host.call("inspect", { container: container.id });
  if (health !== null) return;
  const monitor = parseDuration(service.deploy?.update_config?.monitor ?? "");
  await new Promise((resolve) => setTimeout(resolve, monitor === undefined ? STEADY : Number(monitor) / 1e6));
  await untilReady(host, container.id, "healthy or running");
}

/** Waits for all, and tells of each; `seconds`: at most so long. Throws as `untilReady`, and `wait_timeout`. */
export async function untilAll(
  host: Host,
  containers: readonly Pick<ObservedContainer, "id" | "name">[],
  wanted: Wanted,
  seconds?: number,
): Promise<void> {
  const limit = seconds ? AbortSignal.timeout(seconds * 1000) : undefined;
  const signal = limit ? AbortSignal.any([host.signal, limit]) : host.signal;
  const done = wanted === "completed" ? "Exited" : "Healthy";
  await Promise.all(
    containers.map(async ({ id, name }) => {
      const step = `Container ${name}`;
      host.tell({ id: step, text: "Waiting", status: "working" });
      try {
        await untilReady(host, id, wanted, signal);
        host.tell({ id: step, text: done, status: "done" });
      } catch (error) {
        if (!host.signal.aborted) host.tell({ id: step, text: "Error", status: "error" });
        if (limit?.aborted) throw new OnggiError("wait_timeout", `container ${name} is not ready after ${seconds} s`);
        throw error;
      }
    }),
  );
}

/** Waits until what a service depends on is as it wants it, all of which is started. Throws `dependency_failed`. */
export async function untilDependencies(host: Host, project: Project, service: Service): Promise<void> {
  await Promise.all(
    [...dependenciesOf(service)].map(async ([name, { condition, required }]) => {
      if (condition === "service_started" || !(name in project.services)) return;
      const containers = await containersOf(host.call, project.name, { services: [name], all: true });
      await untilOne(host, name, containers, { condition, required });
    }),
  );
}

/** Waits for one dependency; one that is not required is only told. */
export async function untilOne(
  host: Host,
  name: string,
  containers: readonly Pick<ObservedContainer, "id" | "name">[],
  { condition, required }: Pick<Dependency, "condition" | "required">,
): Promise<void> {
  if (condition === "service_started") return;
  try {
    await untilAll(host, containers, condition === "service_healthy" ? "healthy" : "completed");
  } catch (error) {
    if (codeOf(error) !== "dependency_failed") throw error;
    const message = `dependency ${name} failed to start: ${(error as Error).message}`;
    if (required) throw new OnggiError("dependency_failed", message);
    host.warn(`optional ${message}`);
  }
}
