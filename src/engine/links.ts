/**
 * `--link`: names by which one container knows others.
 *
 * In a network with names, an endpoint has links: the resolver answers them for that container alone, by whatever name the other has
 * then. In the default network, which has no names, a container has links: to containers that are there when it is made, and run
 * when it is started. It knows them by lines of /etc/hosts, which follow their addresses, and by environment variables.
 */
import { OnggiError } from "../lib/errors.ts";
import type { Spec } from "../oci/spec.ts";
import { ContainerNotFound, type Context, findContainer } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { linkVariables } from "./link-variables.ts";
import { DEFAULT_NETWORK, networkMode } from "./network-mode.ts";
import type { ContainerLink, ContainerRequest, Endpoint } from "./types.ts";

const invalid = (message: string): OnggiError => new OnggiError("link_invalid", message);
const HOST = "conflicting options: host type networking can't be used with links. This would result in undefined behavior";

/** A request whose links are where they belong; those of the default network name containers by id. Throws "link_invalid". */
export function resolveLinks(context: Context, request: ContainerRequest): ContainerRequest {
  const { links = [], network: _, ...rest } = request;
  const mode = networkMode(request);
  const asked = [...links, ...(mode.kind === "networks" ? mode.endpoints.flatMap((endpoint) => endpoint.links ?? []) : [])];
  for (const { container, alias } of asked) {
    if (container === "" || !/^[^\s:]+$/.test(alias)) throw invalid(`bad format for links: ${container}:${alias}`);
  }
  if (links.length === 0) return request;
  if (mode.kind !== "networks") {
    const kinds = { container: "container type network", cni: "networks of CNI plugins" };
    const kind = mode.kind === "container" || mode.kind === "cni" ? kinds[mode.kind] : "host type networking";
    throw invalid(mode.kind === "host" ? HOST : `conflicting options: ${kind} can't be used with links`);
  }
  const [first, ...others] = mode.endpoints;
  if (first && context.networks.get(first.network).name !== DEFAULT_NETWORK) {
    return { ...rest, networks: [{ ...first, links: [...(first.links ?? []), ...links] }, ...others] };
  }
  return { ...request, links: links.map(({ container, alias }) => ({ alias, container: linkTarget(context, container) })) };
}

/** The id of a container to link to: of the one whose network it shares, where it does. */
function linkTarget(context: Context, reference: string): string {
  for (let next = reference; ; ) {
    const found = lookUp(context, next);
    if (!found) throw invalid(`could not get container for ${reference}: No such container: ${next}`);
    const mode = networkMode(found.record.request);
    if (mode.kind === "host") throw invalid(HOST);
    if (mode.kind !== "container") return found.id;
    next = mode.container;
  }
}

function lookUp(context: Context, reference: string) {
  try {
    return findContainer(context, reference);
  } catch (error) {
    if (error instanceof ContainerNotFound) return undefined;
    throw error;
  }
}

/** What a link leads to. Null: it has been removed. */
function linked(
  context: Context,
  { container: id }: ContainerLink,
): { record: ContainerRecord; endpoint: Endpoint | null } | null {
  const container = context.containers.get(id);
  if (!container) return null;
  const endpoint = context.networks.endpointsOf(id).find(({ networkName }) => networkName === DEFAULT_NETWORK) ?? null;
  return { record: container.record, endpoint };
}

/** Throws "link_invalid" where a container that is about to start has a link to one that does not run in the default network. */
export function checkLinks(context: Context, { name, request }: ContainerRecord): void {
  for (const link of request.links ?? []) {
    const other = linked(context, link);
    if (!other) continue;
    if (!context.containers.get(other.record.id)?.isUp)
      throw invalid(`Cannot link to a non running container: /${other.record.name} AS /${name}/${link.alias}`);
    if (!other.endpoint) throw invalid(`Cannot link to /${other.record.name}, as it does not belong to the default network`);
  }
}

/** Links of the default network that lead somewhere now. */
function* living(context: Context, { request }: ContainerRecord) {
  for (const link of request.links ?? []) {
    const other = linked(context, link);
    if (other?.endpoint?.attached) yield { alias: link.alias, record: other.record, attached: other.endpoint.attached };
  }
}

/** What /etc/hosts says of a container's links: addresses with alias, host name and name. */
export function linkHosts(context: Context, record: ContainerRecord): { address: string; names: string[] }[] {
  return [...living(context, record)].flatMap(({ alias, record: { id, name, request }, attached: { ipv4, ipv6 } }) => {
    const names = [...new Set([alias, request.hostname ?? id.slice(0, 12), name])];
    return [ipv4, ipv6].flatMap((address) => (address === null ? [] : [{ address, names }]));
  });
}

/** The specification with the variables of a container's links, unless it has such variables itself. */
export function withLinkVariables(context: Context, record: ContainerRecord, spec: Spec): Spec {
  const { process } = spec;
  if (!process || !record.request.links?.length) return spec;
  const own = new Set((process.env ?? []).map((pair) => pair.split("=", 1)[0]));
  const added = [...living(context, record)].flatMap(({ alias, record: other, attached }) =>
    linkVariables({
      alias,
      name: `/${record.name}/${alias}`,
      address: attached.ipv4 ?? attached.ipv6 ?? "",
      ...offered(context, other),
    }),
  );
  const env = [...(process.env ?? []), ...added.filter((pair) => !own.has(pair.split("=", 1)[0]))];
  return { ...spec, process: { ...process, env } };
}

/** Ports and variables of a container: its image's and its own. */
function offered(context: Context, { request, imageId }: ContainerRecord): { ports: string[]; env: string[] } {
  const image = imageId === "" ? {} : context.images.get(imageId).config.config;
  const env = new Map([...(image.Env ?? []), ...(request.env ?? [])].map((pair) => [pair.split("=", 1)[0], pair]));
  const published = (request.publish ?? []).map(({ containerPort, protocol }) => `${containerPort}/${protocol}`);
  return { ports: [...Object.keys(image.ExposedPorts ?? {}), ...(request.expose ?? []), ...published], env: [...env.values()] };
}

/** Containers that run and have a link to another. */
export const linkedTo = (context: Context, id: string): ContainerRecord[] =>
  [...context.containers.values()]
    .filter(({ record, isUp }) => isUp && record.request.links?.some(({ container }) => container === id))
    .map(({ record }) => record);

/** "/db:/web/alias", as Docker shows links. */
export const linkTexts = (context: Context, { name, request }: ContainerRecord): string[] =>
  (request.links ?? []).flatMap((link) => {
    const other = linked(context, link);
    return other ? [`/${other.record.name}:/${name}/${link.alias}`] : [];
  });
