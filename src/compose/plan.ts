/**
 * What is to be done so that what there is of a project becomes what its files say. Pure: the same project and the same containers,
 * the same plan; where all is well, a plan of nothing but "keep".
 */
import { OnggiError } from "../lib/errors.ts";
import { serviceHash } from "./hash.ts";
import { label } from "./labels.ts";
import { containerName, dependenciesOf, neededServices, networksOf, scaleOf, withDependencies } from "./names.ts";
import { isUp, type Observed, type ObservedContainer } from "./observe.ts";
import type { Project, Service } from "./project.ts";
import { networkSettings, textSettings, volumeSettings } from "./settings.ts";

export interface PlanOptions {
  /** Those that are asked for; empty: all. Their dependencies come with them. */
  readonly services: readonly string[];
  readonly recreate: "diverged" | "force" | "never";
  readonly recreateDependencies: "diverged" | "force" | "never";
  /** The services alone. */
  readonly withoutDependencies?: boolean;
  readonly removeOrphans?: boolean;
  /** What is made anew is started before the old one is stopped, whatever `deploy.update_config.order` says. */
  readonly rolling?: boolean;
}

export type ContainerStep =
  | { readonly kind: "create"; readonly number: number }
  | { readonly kind: "recreate"; readonly number: number; readonly old: ObservedContainer; readonly why: string }
  /** One that was made to take another's place, which is gone: it gets that one's name. */
  | { readonly kind: "adopt"; readonly number: number; readonly container: ObservedContainer }
  | { readonly kind: "start"; readonly number: number; readonly container: ObservedContainer }
  /** It runs, and is started again because what it depends on is made anew. */
  | { readonly kind: "restart"; readonly number: number; readonly container: ObservedContainer }
  | { readonly kind: "keep"; readonly number: number; readonly container: ObservedContainer }
  | { readonly kind: "remove"; readonly container: ObservedContainer };

export interface ServicePlan {
  readonly service: Service;
  readonly hash: string;
  /** Of the texts that are its secrets and configs; "" without any. */
  readonly texts: string;
  /** Of its image. */
  readonly imageId: string;
  readonly steps: readonly ContainerStep[];
}

export interface ResourceStep {
  readonly key: string;
  readonly kind: "create" | "recreate" | "keep";
  readonly hash: string;
}

export interface Plan {
  readonly networks: readonly ResourceStep[];
  readonly volumes: readonly ResourceStep[];
  /** What is depended on comes first. */
  readonly services: readonly ServicePlan[];
  /** All that there are. */
  readonly present: readonly ObservedContainer[];
  /** Of services that the files do not have. */
  readonly orphans: readonly ObservedContainer[];
  readonly removeOrphans: boolean;
  readonly warnings: readonly string[];
}

/** @param images the id of each service's image */
export function planUp(project: Project, observed: Observed, images: ReadonlyMap<string, string>, options: PlanOptions): Plan {
  const services = chosenServices(project, options);
  const warnings: string[] = [];
  const networks = planNetworks(project, observed, usedNetworks(project, services), warnings);
  const volumes = planVolumes(project, observed, usedVolumes(services), warnings);
  const remade = new Set(networks.filter(({ kind }) => kind === "recreate").map(({ key }) => project.networks[key]!.name));
  const recreated = new Set<string>();
  const plans = services.map((service) => {
    const isAsked = options.services.length === 0 || options.services.includes(service.name);
    const plan = planService(project, service, observed, {
      imageId: images.get(service.name) ?? "",
      policy: isAsked ? options.recreate : options.recreateDependencies,
      recreated,
      remade,
    });
    if (plan.steps.some(({ kind }) => kind === "recreate")) recreated.add(service.name);
    return plan;
  });
  const found = { present: observed.containers, orphans: orphansOf(project, observed) };
  return { networks, volumes, services: plans, ...found, removeOrphans: options.removeOrphans ?? false, warnings };
}

/** Those that are asked for and what they depend on, that first. */
export const chosenServices = (project: Project, { withoutDependencies, services }: PlanOptions): Service[] =>
  inOrder(project, withoutDependencies ? services : withDependencies(project, services));

export const orphansOf = (project: Project, { containers }: Pick<Observed, "containers">): ObservedContainer[] =>
  containers.filter(({ service }) => !(service in project.services) && !(service in project.disabled));

/** What is depended on first. Throws `compose_invalid` for a circle. */
export function inOrder(project: Project, names: readonly string[]): Service[] {
  const done = new Set<string>();
  const found: Service[] = [];
  const visit = (name: string, path: readonly string[]): void => {
    if (path.includes(name))
      throw new OnggiError("compose_invalid", `services depend on each other in a circle: ${[...path, name].join(" -> ")}`);
    const service = project.services[name];
    if (service === undefined || done.has(name)) return;
    for (const dependency of dependenciesOf(service).keys()) if (names.includes(dependency)) visit(dependency, [...path, name]);
    done.add(name);
    found.push(service);
  };
  for (const name of names) visit(name, []);
  return found;
}

interface ServiceFacts {
  readonly imageId: string;
  readonly policy: PlanOptions["recreate"];
  /** Services before it whose containers are made anew. */
  readonly recreated: ReadonlySet<string>;
  /** Networks that are, by name. */
  readonly remade: ReadonlySet<string>;
}

function planService(project: Project, service: Service, observed: Observed, facts: ServiceFacts): ServicePlan {
  const hash = serviceHash(service);
  const texts = textSettings(project, service);
  const scale = scaleOf(service);
  if (service.container_name !== undefined && scale > 1) {
    throw new OnggiError(
      "compose_invalid",
      `service ${service.name} has the container_name ${service.container_name}, and there can be but one of that name: take it out to have ${scale}`,
    );
  }
  const all = observed.containers.filter((container) => container.service === service.name);
  const hasName = ({ name, number }: ObservedContainer): boolean => name === containerName(project.name, service, number);
  const isLeftOver = (container: ObservedContainer): boolean =>
    container.replaces && !hasName(container) && all.some((other) => other !== container && other.number === container.number);
  const present = all.filter((container) => !isLeftOver(container));
  const why = new Map(
    present.map((container) => [container, whyRecreate(project, service, container, { ...facts, hash, texts })]),
  );
  // those that are as they should be stay, then the oldest
  const order = present.toSorted((a, b) => Number(why.get(a) !== "") - Number(why.get(b) !== "") || a.number - b.number);
  const restarts = [...dependenciesOf(service)].some(([name, { restart }]) => restart && facts.recreated.has(name));
  const step = (container: ObservedContainer): ContainerStep => {
    const { number } = container;
    const reason = why.get(container)!;
    if (reason !== "") return { kind: "recreate", number, old: container, why: reason };
    if (!hasName(container)) return { kind: "adopt", number, container };
    if (!isUp(container)) return { kind: "start", number, container };
    return { kind: restarts ? "restart" : "keep", number, container };
  };
  const next = 1 + Math.max(0, ...present.map(({ number }) => number));
  const steps: ContainerStep[] = [
    ...all.filter(isLeftOver).map((container) => ({ kind: "remove" as const, container })),
    ...order.slice(scale).map((container) => ({ kind: "remove" as const, container })),
    ...order.slice(0, scale).map(step),
    ...Array.from({ length: Math.max(0, scale - present.length) }, (_, index) => ({
      kind: "create" as const,
      number: next + index,
    })),
  ];
  return { service, hash, texts, imageId: facts.imageId, steps };
}

/** "" where it can stay as it is. */
function whyRecreate(
  project: Project,
  service: Service,
  container: ObservedContainer,
  facts: ServiceFacts & Pick<ServicePlan, "hash" | "texts">,
): string {
  if (container.state === "dead" || container.state === "removing") return "it is dead";
  const networks = Object.keys(networksOf(project, service)).map((key) => project.networks[key]?.name ?? key);
  if (networks.some((name) => facts.remade.has(name))) return "its network is made anew";
  if (facts.policy === "never") return "";
  if (facts.policy === "force") return "that was asked for";
  if (neededServices(service).some((name) => facts.recreated.has(name))) return "what it shares is made anew";
  if (container.hash !== facts.hash) return "its configuration has changed";
  const texts = container.summary.labels[label.settings];
  if (texts !== undefined && texts !== facts.texts) return "its secrets or configs have changed";
  if (container.imageId !== facts.imageId) return "its image has changed";
  if (isUp(container) && networks.some((name) => !container.networks.includes(name))) return "its networks have changed";
  return "";
}

const usedNetworks = (project: Project, services: readonly Service[]): string[] => {
  const used = new Set(services.flatMap((service) => Object.keys(networksOf(project, service))));
  return Object.keys(project.networks).filter((key) => used.has(key));
};

const usedVolumes = (services: readonly Service[]): string[] => [
  ...new Set(
    services.flatMap(({ volumes = [] }) => volumes.flatMap(({ type, source }) => (type === "volume" && source ? [source] : []))),
  ),
];

function planNetworks(project: Project, observed: Observed, keys: readonly string[], warnings: string[]): ResourceStep[] {
  return keys.map((key) => {
    const network = project.networks[key]!;
    const hash = networkSettings(network);
    const found = observed.networks.find(({ name }) => name === network.name);
    if (network.external) {
      const exists = found ?? observed.networks.find(({ id }) => id === network.name);
      if (!exists) throw missing("network", network.name);
      return { key, hash, kind: "keep" };
    }
    if (!found) return { key, hash, kind: "create" };
    const { labels } = found;
    if (labels[label.project] !== project.name) {
      warnings.push(notOurs("network", network.name, labels[label.project]));
      return { key, hash, kind: "keep" };
    }
    return { key, hash, kind: differs(labels, hash) ? "recreate" : "keep" };
  });
}

/** What Docker's compose has made is taken as it is: it does not say what from. */
const differs = (labels: Readonly<Record<string, string>>, hash: string): boolean =>
  labels[label.settings] !== undefined && labels[label.settings] !== hash;

function planVolumes(project: Project, observed: Observed, keys: readonly string[], warnings: string[]): ResourceStep[] {
  return keys.map((key) => {
    const volume = project.volumes[key]!;
    const hash = volumeSettings(volume);
    const found = observed.volumes.find(({ name }) => name === volume.name);
    if (!found && volume.external) throw missing("volume", volume.name);
    if (!found) return { key, hash, kind: "create" };
    const { labels } = found;
    if (!volume.external && labels[label.project] !== project.name) {
      warnings.push(notOurs("volume", volume.name, labels[label.project]));
    } else if (!volume.external && differs(labels, hash)) {
      warnings.push(
        `volume ${volume.name} was made with other settings, and is used as it is: onggi volume rm ${volume.name} first to have it made anew`,
      );
    }
    return { key, hash, kind: "keep" };
  });
}

const missing = (kind: "network" | "volume", name: string): OnggiError =>
  new OnggiError(`${kind}_not_found`, `${kind} ${name} is declared as external, but there is none: onggi ${kind} create ${name}`);

const notOurs = (kind: string, name: string, owner: string | undefined): string =>
  `${kind} ${name} is there already, made ${owner === undefined ? "without compose" : `for project ${owner}`}, and is used as it is; say "external: true" of it if that is meant`;
