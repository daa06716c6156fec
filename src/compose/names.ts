import type { Project, Service, ServiceNetwork } from "./project.ts";

/** How things of a project are called. Source: github.com/docker/compose. */

/** A container's name; with `container_name` there is but one. */
export const containerName = (project: string, service: Service, number: number): string =>
  service.container_name ?? `${project}-${service.name}-${number}`;

/** The same without the project: what logs are marked with. */
export const shortName = (service: Service, number: number): string => service.container_name ?? `${service.name}-${number}`;

/** Of one that is to take another's place, until it does. */
export const temporaryName = (replaced: string, name: string): string => `${replaced.slice(0, 12)}_${name}`;

/** What an image that is built is called where nothing else is said. */
export const imageName = (project: string, service: Service): string => service.image ?? `${project}-${service.name}`;

/** Of how many containers a service consists. */
export const scaleOf = (service: Service): number => service.scale ?? service.deploy?.replicas ?? 1;

/** Services that this one cannot be made without: whose namespaces or files it has. */
export function neededServices(service: Service): string[] {
  const modes = [service.network_mode, service.pid, service.ipc].flatMap((mode) => serviceOfMode(mode) ?? []);
  const volumes = (service.volumes_from ?? [])
    .filter((from) => !from.startsWith("container:"))
    .map((from) => from.split(":", 1)[0]!);
  return [...new Set([...modes, ...volumes])];
}

/** "db" of "service:db". */
export const serviceOfMode = (mode: string | undefined): string | undefined => /^service:(.+)$/.exec(mode ?? "")?.[1];

/** Services without which this one is not started, those of links and shared namespaces with them; false: one may be missing. */
export function dependenciesOf(service: Service): Map<string, NonNullable<Service["depends_on"]>[string]> {
  const found = new Map(Object.entries(service.depends_on ?? {}));
  const links = (service.links ?? []).map((link) => link.split(":", 1)[0]!);
  for (const name of [...links, ...neededServices(service)]) {
    if (!found.has(name)) found.set(name, { condition: "service_started", required: true });
  }
  return found;
}

/** The named services and all that they depend on, in the project's order; without names all. */
export function withDependencies(project: Project, names: readonly string[]): string[] {
  if (names.length === 0) return Object.keys(project.services);
  const wanted = new Set<string>();
  const visit = (name: string): void => {
    const service = project.services[name];
    if (service === undefined || wanted.has(name)) return;
    wanted.add(name);
    for (const dependency of dependenciesOf(service).keys()) visit(dependency);
  };
  for (const name of names) visit(name);
  return Object.keys(project.services).filter((name) => wanted.has(name));
}

/** The named services and those that depend on them with `restart: true`; without names all, which is no names. */
export function withDependents(project: Project, names: readonly string[]): string[] {
  const found = new Set(names);
  for (const name of found) {
    for (const [other, service] of Object.entries(project.services)) if (service.depends_on?.[name]?.restart) found.add(other);
  }
  return [...found];
}

/** A service's places in networks, by their keys in the project. */
export const networksOf = ({ networks }: Project, service: Service): Record<string, ServiceNetwork | null> =>
  service.network_mode ? {} : (service.networks ?? (networks.default ? { default: null } : {}));
