import { OnggiError } from "../../lib/errors.ts";
import { similar } from "../../lib/similar.ts";
import type { Project, Service } from "../project.ts";
import { record } from "./shape.ts";

const wanted = (service: Service, profiles: readonly string[]): boolean =>
  service.profiles === undefined || service.profiles.some((each) => profiles.includes(each)) || profiles.includes("*");

/**
 * The project with the services that the profiles want enabled (15-profiles.md). To name a service asks for its profiles.
 * Throws OnggiError `no_such_service`.
 */
export function withProfiles(project: Project, profiles: readonly string[], named: readonly string[]): Project {
  const all = { ...project.services, ...project.disabled };
  const asked = new Set(profiles);
  for (const name of named) {
    const service = serviceOf(all, name);
    if (!wanted(service, profiles)) for (const profile of service.profiles ?? []) asked.add(profile);
  }
  const entries = Object.entries(all);
  return {
    ...project,
    profiles: [...asked],
    services: record(entries.filter(([, service]) => wanted(service, [...asked]))),
    disabled: record(entries.filter(([, service]) => !wanted(service, [...asked]))),
  };
}

function serviceOf(services: Record<string, Service>, name: string): Service {
  if (Object.hasOwn(services, name)) return services[name]!;
  const near = similar(name, Object.keys(services));
  throw new OnggiError("no_such_service", `no such service: ${name}${near.length > 0 ? `; did you mean ${near[0]}?` : ""}`);
}

/**
 * The project with these services only, and what they depend on unless `dependencies` is false; the others are disabled. None named:
 * all of them. Throws OnggiError `no_such_service`.
 */
export function selectServices(project: Project, names: readonly string[], dependencies = true): Project {
  if (names.length === 0) return project;
  const chosen = new Set<string>();
  const choose = (name: string, required: boolean): void => {
    if (chosen.has(name) || (!required && !Object.hasOwn(project.services, name))) return;
    const service = serviceOf(project.services, name);
    chosen.add(name);
    if (!dependencies) return;
    for (const [other, dependency] of Object.entries(service.depends_on ?? {})) choose(other, dependency.required);
  };
  for (const name of names) choose(name, true);
  const entries = Object.entries(project.services);
  return {
    ...project,
    services: record(entries.filter(([name]) => chosen.has(name)).map(([name, service]) => [name, among(service, chosen)])),
    disabled: record([...Object.entries(project.disabled), ...entries.filter(([name]) => !chosen.has(name))]),
  };
}

/** A service without dependencies on what is not there. */
function among(service: Service, names: ReadonlySet<string>): Service {
  const { depends_on, ...rest } = service;
  const left = Object.entries(depends_on ?? {}).filter(([name]) => names.has(name));
  return left.length === 0 ? rest : { ...rest, depends_on: record(left) };
}

/** The project without networks, volumes, configs, secrets and models that no enabled service uses. */
export function withoutUnused(project: Project): Project {
  const services = Object.values(project.services);
  const used = <T>(parts: Record<string, T>, names: (service: Service) => readonly (string | undefined)[]): Record<string, T> => {
    const wanted = new Set(services.flatMap(names));
    return record(Object.entries(parts).filter(([name]) => wanted.has(name)));
  };
  return {
    ...project,
    networks: used(project.networks, ({ networks }) => Object.keys(networks ?? {})),
    volumes: used(project.volumes, ({ volumes }) =>
      (volumes ?? []).map(({ type, source }) => (type === "volume" ? source : undefined)),
    ),
    configs: used(project.configs, ({ configs }) => (configs ?? []).map(({ source }) => source)),
    secrets: used(project.secrets, ({ secrets, build }) =>
      [...(secrets ?? []), ...(build?.secrets ?? [])].map(({ source }) => source),
    ),
    models: used(project.models, ({ models }) => Object.keys(models ?? {})),
  };
}
