import type { Project, ProjectFile, ProjectNetwork, ProjectVolume, Service } from "../project.ts";
import { get, isMap, type MapNode, type Node, plain } from "./node.ts";
import { projectFile, projectNetwork, projectVolume } from "./parts.ts";
import type { Problems } from "./problems.ts";
import { service } from "./service.ts";
import { type Codec, extensionsOf, record } from "./shape.ts";

export interface AssembleContext {
  name: string;
  directory: string;
  files: string[];
  environment: ReadonlyMap<string, string>;
  /** What is implied is written out: names, the default network, dependencies. */
  normalize: boolean;
}

/** A project of a model. All its services are enabled, nothing is checked against each other. What cannot be read goes to `problems`. */
export function assemble(model: MapNode, context: AssembleContext, problems: Problems): Project {
  const project: Project = {
    name: context.name,
    working_dir: context.directory,
    files: context.files,
    profiles: [],
    environment: record(context.environment),
    services: record(
      read(model, "services", service, problems).map(([name, value]) => [name, { name, ...value }] as [string, Service]),
    ),
    disabled: record([]),
    networks: record(read(model, "networks", projectNetwork, problems) as [string, ProjectNetwork][]),
    volumes: record(read(model, "volumes", projectVolume, problems) as [string, ProjectVolume][]),
    configs: record(read(model, "configs", projectFile, problems) as [string, ProjectFile][]),
    secrets: record(read(model, "secrets", projectFile, problems) as [string, ProjectFile][]),
    models: record(entriesOf(get(model, "models")).map(([name, node]) => [name, plain(node)])),
    extensions: extensionsOf(model) ?? {},
  };
  for (const each of Object.values(project.services)) {
    withDefaults(each);
    if (context.normalize) normalize(each, context.environment);
  }
  if (!context.normalize) return project;
  if (Object.values(project.services).some(({ networks }) => networks !== undefined && Object.hasOwn(networks, "default"))) {
    project.networks.default ??= { name: "" };
  }
  for (const section of [project.networks, project.volumes, project.configs, project.secrets]) named(section, project.name);
  return project;
}

const entriesOf = (node: Node | undefined): [string, Node][] =>
  isMap(node) ? [...node.entries].map(([key, { value }]) => [key, value]) : [];

/** A section's parts; one that is declared and no more is an empty one. */
function read<T extends object>(model: MapNode, section: string, codec: Codec<T>, problems: Problems): [string, T][] {
  return entriesOf(get(model, section)).map(([name, node]) => {
    const empty = node.kind === "scalar" && node.value === null;
    return [name, (empty ? undefined : codec.read(node, [section, name], problems)) ?? ({} as T)];
  });
}

/** Parts are called PROJECT_KEY outside, unless they have a name or are not the project's. */
function named(section: Record<string, { name: string; external?: boolean }>, project: string): void {
  for (const [key, part] of Object.entries(section)) part.name ||= part.external === true ? key : `${project}_${key}`;
}

/** What short and long forms have in common, whoever reads them. */
function withDefaults(service: Service): void {
  for (const secret of service.secrets ?? []) secret.target ??= `/run/secrets/${secret.source}`;
}

function normalize(service: Service, environment: ReadonlyMap<string, string>): void {
  if ((service.pull_policy as string) === "if_not_present") service.pull_policy = "missing";
  const { build } = service;
  if (build !== undefined) {
    if (build.dockerfile_inline === undefined) build.dockerfile ??= "Dockerfile";
    const args = Object.entries(build.args ?? {}).map(([name, value]) => [name, value ?? environment.get(name)] as const);
    if (build.args !== undefined) build.args = record(args.filter((entry): entry is [string, string] => entry[1] !== undefined));
  }
  for (const [name, value] of Object.entries(service.environment ?? {})) {
    if (value === null) service.environment![name] = environment.get(name) ?? null;
  }
  if (service.network_mode === undefined && service.provider === undefined) service.networks ??= record([["default", null]]);
  for (const [name, restart] of implied(service)) {
    service.depends_on ??= record([]);
    if (Object.hasOwn(service.depends_on, name)) continue;
    service.depends_on[name] = { condition: "service_started", ...(restart ? { restart } : {}), required: true };
  }
}

/** Services that others need by what they share, and whether they start again with them. */
function* implied(service: Service): Generator<[string, boolean]> {
  for (const link of service.links ?? []) yield [link.split(":")[0]!, true];
  for (const mode of [service.network_mode, service.ipc, service.pid, service.uts, service.cgroup]) {
    if (mode?.startsWith("service:")) yield [mode.slice("service:".length), true];
  }
  for (const from of service.volumes_from ?? []) if (!from.startsWith("container:")) yield [from.split(":")[0]!, false];
}
