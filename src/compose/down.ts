import { remove } from "./containers.ts";
import { exclusively } from "./exclusive.ts";
import { codeOf, type Host, told } from "./host.ts";
import { label, ofProject } from "./labels.ts";
import { dependenciesOf, imageName } from "./names.ts";
import { containersOf, type ObservedContainer } from "./observe.ts";
import type { Project, Service } from "./project.ts";
import { removeNetwork, removeVolume } from "./resources.ts";

export interface DownOptions {
  /** Only those, and no networks or volumes; empty: all. */
  readonly services: readonly string[];
  readonly volumes?: boolean;
  /** Images of all services, or those that have no name of their own. */
  readonly images?: "all" | "local" | undefined;
  readonly removeOrphans?: boolean;
  readonly timeout?: number | undefined;
}

/** Stops and removes a project's containers, its networks, and more where that is asked for. What is gone already is no error. */
export const down = (host: Host, name: string, project: Project | null, options: DownOptions): Promise<void> =>
  exclusively(host, name, () => takeDown(host, name, project, options));

async function takeDown(host: Host, name: string, project: Project | null, options: DownOptions): Promise<void> {
  const all = await containersOf(host.call, name, { all: true, oneoff: "with" });
  const known = (container: ObservedContainer): boolean =>
    project === null || ((container.service in project.services || container.service in project.disabled) && !container.oneoff);
  const chosen = all.filter((container) =>
    options.services.length > 0 ? options.services.includes(container.service) : options.removeOrphans || known(container),
  );
  const orphans = options.services.length > 0 ? [] : all.filter((container) => !chosen.includes(container) && !container.oneoff);
  if (orphans.length > 0) {
    const names = orphans.map((container) => container.name).join(", ");
    host.warn(`Found orphan containers (${names}) for this project: --remove-orphans removes them.`);
  }
  await inReverse(
    chosen,
    (container) => dependenciesOfContainer(container, project),
    (container) => remove(host, serviceOf(project, container), container, options),
  );
  if (options.services.length === 0) {
    await removeNetworks(host, name, project);
    if (options.volumes) await removeVolumes(host, name, project);
  }
  if (options.images && project) await removeImages(host, project, options);
}

export const serviceOf = (project: Project | null, { service }: ObservedContainer): Service | undefined =>
  project?.services[service] ?? project?.disabled[service];

/** By the files, or where there are none by what the container says. */
export function dependenciesOfContainer(container: ObservedContainer, project: Project | null): string[] {
  const service = serviceOf(project, container);
  if (service) return [...dependenciesOf(service).keys()];
  const written = container.summary.labels[label.dependencies] ?? "";
  return written.split(",").flatMap((one) => one.split(":", 1)[0] || []);
}

/** Does something to each container once it has been done to all of the services that depend on its own. */
export async function inReverse(
  containers: readonly ObservedContainer[],
  dependencies: (container: ObservedContainer) => readonly string[],
  act: (container: ObservedContainer) => Promise<void>,
): Promise<void> {
  const services = Map.groupBy(containers, ({ service }) => service);
  const begun = new Map<string, Promise<void>>();
  const visit = (service: string, path: readonly string[]): Promise<void> => {
    const known = begun.get(service);
    if (known) return known;
    const dependents = [...services].filter(([name, [one]]) => dependencies(one!).includes(service) && !path.includes(name));
    const work = Promise.all(dependents.map(([name]) => visit(name, [...path, service]))).then(async () => {
      await Promise.all(services.get(service)!.map(act));
    });
    begun.set(service, work);
    return work;
  };
  const outcomes = await Promise.allSettled([...services.keys()].map((service) => visit(service, [])));
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
}

async function removeNetworks(host: Host, name: string, project: Project | null): Promise<void> {
  const { networks } = await host.call("networkList", { filters: ofProject(name) });
  const external = new Set(
    Object.values(project?.networks ?? {})
      .filter((one) => one.external)
      .map((one) => one.name),
  );
  await Promise.all(
    networks.filter((network) => !external.has(network.name)).map((network) => removeNetwork(host, network.name)),
  );
}

async function removeVolumes(host: Host, name: string, project: Project | null): Promise<void> {
  const { volumes } = await host.call("volumes", { filters: ofProject(name) });
  const external = new Set(
    Object.values(project?.volumes ?? {})
      .filter((one) => one.external)
      .map((one) => one.name),
  );
  const own = volumes.filter((volume) => !external.has(volume.name) && label.volume in volume.labels);
  await Promise.all(own.map((volume) => removeVolume(host, volume.name)));
}

async function removeImages(host: Host, project: Project, { images, services }: DownOptions): Promise<void> {
  const chosen = Object.values(project.services).filter(
    (service) => (services.length === 0 || services.includes(service.name)) && (images === "all" || service.image === undefined),
  );
  await Promise.all(
    [...new Set(chosen.map((service) => imageName(project.name, service)))].map((image) =>
      told(host, `Image ${image}`, ["Removing", "Removed"], () => host.call("imageRemove", { image })).catch((error: unknown) => {
        if (!["image_not_found", "image_in_use"].includes(String(codeOf(error)))) throw error;
      }),
    ),
  );
}
