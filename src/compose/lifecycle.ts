import { remove, start, stop } from "./containers.ts";
import { dependenciesOfContainer, inReverse, serviceOf } from "./down.ts";
import { runHooks } from "./hooks.ts";
import { codeOf, type Host, told } from "./host.ts";
import { type ContainerQuery, containersOf, isUp, type ObservedContainer } from "./observe.ts";
import type { Project } from "./project.ts";

/** What is done to containers that are there. */

export interface Choice {
  /** Empty: all. */
  readonly services: readonly string[];
  /** Seconds until SIGKILL. */
  readonly timeout?: number | undefined;
}

/** Dependents first. */
export async function stopProject(
  host: Host,
  name: string,
  project: Project | null,
  { services, timeout }: Choice,
): Promise<void> {
  const containers = await containersOf(host.call, name, { services });
  await inReverse(
    containers,
    (container) => dependenciesOfContainer(container, project),
    (container) => stop(host, serviceOf(project, container), container, { timeout }),
  );
}

/** What is depended on first. */
export async function startProject(
  host: Host,
  name: string,
  project: Project | null,
  services: readonly string[],
): Promise<ObservedContainer[]> {
  const containers = await containersOf(host.call, name, { services, all: true });
  const chosen = Map.groupBy(containers, ({ service }) => service);
  const begun = new Map<string, Promise<void>>();
  const visit = (service: string, path: readonly string[]): Promise<void> => {
    const known = begun.get(service);
    if (known) return known;
    const members = chosen.get(service)!;
    const needed = dependenciesOfContainer(members[0]!, project).filter((one) => chosen.has(one) && !path.includes(one));
    const work = Promise.all(needed.map((one) => visit(one, [...path, service]))).then(async () => {
      await Promise.all(members.filter((one) => !isUp(one)).map((one) => startOne(host, project, one)));
    });
    begun.set(service, work);
    return work;
  };
  await Promise.all([...chosen.keys()].map((service) => visit(service, [])));
  return containers;
}

async function startOne(host: Host, project: Project | null, container: ObservedContainer): Promise<void> {
  const service = serviceOf(project, container);
  if (service && project) return start(host, project, service, container);
  await told(host, `Container ${container.name}`, ["Starting", "Started"], () => host.call("start", { container: container.id }));
}

export async function restartProject(
  host: Host,
  name: string,
  project: Project | null,
  { services, timeout }: Choice,
): Promise<void> {
  const containers = await containersOf(host.call, name, { services, all: true });
  await Promise.all(
    containers.map(async (container) => {
      const service = serviceOf(project, container);
      await told(host, `Container ${container.name}`, ["Restarting", "Started"], async () => {
        if (container.state === "running") await runHooks(host, "pre_stop", service?.pre_stop, container);
        await host.call("restart", { container: container.id, ...(timeout === undefined ? {} : { timeout }) });
        await runHooks(host, "post_start", service?.post_start, container);
      });
    }),
  );
}

export const killProject = (host: Host, name: string, services: readonly string[], signal?: string): Promise<void> =>
  eachOf(host, name, { services }, ["Killing", "Killed"], async ({ id }) => {
    await host.call("kill", { container: id, ...(signal === undefined ? {} : { signal }) }).catch((error: unknown) => {
      // it has ended meanwhile
      if (!["not_running", "container_not_found"].includes(String(codeOf(error)))) throw error;
    });
  });

export const pauseProject = (host: Host, name: string, services: readonly string[]): Promise<void> =>
  eachOf(host, name, { services }, ["Pausing", "Paused"], async ({ id, state }) => {
    if (state === "running") await host.call("pause", { container: id });
  });

export const unpauseProject = (host: Host, name: string, services: readonly string[]): Promise<void> =>
  eachOf(host, name, { services }, ["Unpausing", "Unpaused"], async ({ id, state }) => {
    if (state === "paused") await host.call("unpause", { container: id });
  });

/** Removes them, and stops those that run. */
export async function removeContainers(
  host: Host,
  project: Project | null,
  containers: readonly ObservedContainer[],
  options: { readonly volumes?: boolean },
): Promise<void> {
  await Promise.all(containers.map((container) => remove(host, serviceOf(project, container), container, options)));
}

async function eachOf(
  host: Host,
  name: string,
  query: ContainerQuery,
  words: readonly [string, string],
  act: (container: ObservedContainer) => Promise<void>,
): Promise<void> {
  const containers = await containersOf(host.call, name, query);
  await Promise.all(containers.map((container) => told(host, `Container ${container.name}`, words, () => act(container))));
}
