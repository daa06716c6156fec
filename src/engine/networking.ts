/**
 * Containers in networks. `join` when a container is created gives it its places, `attach` makes them in the kernel between the
 * moment its namespace is there and its first instruction, `detach` gives everything back when it ends, `forget` when it is removed.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { ADDRESS as RESOLVER_ADDRESS } from "../networks/dns/index.ts";
import { refuseEndpoints } from "../networks/index.ts";
import type { Endpoint, Network, Publication, Published, Sandbox } from "../networks/types.ts";
import { close, O, open } from "../sys/index.ts";
import { cniMaker } from "./cni.ts";
import { type Context, findContainer } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { type ContainerPaths, containerPaths } from "./layout.ts";
import { linkedTo, linkHosts } from "./links.ts";
import { checkNameServer, hostResolvText, hostsText, parseExtraHost, resolvText } from "./network-files.ts";
import { refuseLimits, withLimits } from "./network-limits.ts";
import type { MadeNetworks, NetworkMaker, ResolvDefaults } from "./network-maker.ts";
import { DEFAULT_NETWORK, networkMode } from "./network-mode.ts";
import type { ContainerRequest, NetworkEndpoint, PortRequest } from "./types.ts";

/** Null for a container that has no networks of its own. */
function makerOf(request: ContainerRequest): { maker: NetworkMaker; places: readonly NetworkEndpoint[] } | null {
  const mode = networkMode(request);
  if (mode.kind !== "networks" && mode.kind !== "cni") return null;
  return { maker: makers[mode.kind], places: mode.endpoints.map((place) => withLimits(request, place)) };
}

/** Whether something is made for a container between its namespace and its first instruction. */
export const hasOwnNetworks = (request: ContainerRequest): boolean => makerOf(request) !== null;

/** A container's places in networks, with what it has there while it runs. */
export function endpointsOf(context: Context, { id, request }: ContainerRecord): readonly Endpoint[] {
  const made = makerOf(request);
  return made === null ? [] : made.maker.endpointsOf(context, id, made.places);
}

export const publishedBy = (context: Context, { id, request }: ContainerRecord): readonly Published[] =>
  makerOf(request)?.maker.publishedBy(context, id) ?? [];

/** The networks a container is in, or its mode, as `ps` shows them. */
export const networkNames = (context: Context, record: ContainerRecord): string[] => {
  const { network = "none" } = record.request;
  // another's networks are told of there
  if (!hasOwnNetworks(record.request)) return network.startsWith("container:") ? [] : [network];
  return endpointsOf(context, record).map(({ networkName }) => networkName);
};

const hostResolvConf = (): string => {
  try {
    return readFileSync("/etc/resolv.conf", "utf8");
  } catch {
    return "";
  }
};

/** Says what is wrong with a request's networks before anything is made. */
export function checkNetworking(context: Context, request: ContainerRequest): void {
  const mode = networkMode(request);
  const refuse = (flag: string, why: string): never => {
    throw new OnggiError("network_mode_invalid", `${flag} needs a network of its own, ${why}`);
  };
  if (mode.kind === "container") {
    const why = `--network container:${mode.container} shares another container's`;
    findContainer(context, mode.container);
    if (request.hostname !== undefined) refuse("--hostname", why);
    if (request.publish?.length || request.publishAll) refuse("--publish", why);
    if (request.dns?.length || request.extraHosts?.length) refuse("--dns and --add-host", why);
  }
  const own = makerOf(request);
  if (own === null) refuseLimits(request, request.resources);
  else own.maker.check(context, request, own.places);
  for (const text of request.dns ?? []) checkNameServer(text);
  for (const text of request.extraHosts ?? []) parseExtraHost(text, hostGateway(context) ?? "0.0.0.0");
}

/** What "host-gateway" stands for: the host's address in the default network, unless the engine is told another. */
const hostGateway = (context: Context): string | null =>
  context.configuration.hostGateway ??
  context.networks.list().find(({ name }) => name === DEFAULT_NETWORK)?.pools[0]?.gateway ??
  null;

export const connect = (context: Context, { id, request }: ContainerRecord, place: NetworkEndpoint): Endpoint =>
  context.networks.connect({ ...withLimits(request, place), container: id, transient: !!request.autoRemove });

/** Gives a container its places. */
export function joinNetworks(context: Context, record: ContainerRecord): void {
  const own = makerOf(record.request);
  own?.maker.join(context, record, own.places);
}

/** A namespace that the container joins; undefined where it has one of its own, or the host's. Throws where it is not there. */
export function networkNamespaceOf(context: Context, { name, request }: ContainerRecord): string | undefined {
  const mode = networkMode(request);
  if (mode.kind === "path") return mode.path;
  if (mode.kind !== "container") return undefined;
  const other = findContainer(context, mode.container);
  if (other.isUp) return `/proc/${other.record.state.pid}/ns/net`;
  throw new OnggiError("network_mode_invalid", `${name} shares the network of container ${other.name}, which does not run`);
}

/** The ports a container publishes: those asked for, and with publishAll those that it and its image expose. */
export function publicationsOf(context: Context, { request, imageId }: ContainerRecord): Publication[] {
  const asked: PortRequest[] = [...(request.publish ?? [])];
  if (!request.publishAll) return asked.flatMap(everyFamily);
  const image = imageId === "" ? {} : (context.images.get(imageId).config.config?.ExposedPorts ?? {});
  for (const text of new Set([...Object.keys(image), ...(request.expose ?? [])])) {
    const [, port = "", protocol = "tcp"] = /^(\d+)(?:\/(tcp|udp|sctp))?$/.exec(text) ?? [];
    if (port === "" || asked.some((one) => one.containerPort === Number(port) && one.protocol === protocol)) continue;
    asked.push({
      ...{ protocol: protocol as PortRequest["protocol"], containerPort: Number(port) },
      ...{ hostIp: "", hostPort: 0, hostPortEnd: 0 },
    });
  }
  return asked.flatMap(everyFamily);
}

/** Without an address a port is published on every address of either family. */
export const everyFamily = (port: PortRequest): Publication[] =>
  port.hostIp === "" ? ["0.0.0.0", "::"].map((hostIp) => ({ ...port, hostIp })) : [port];

export const withNamespace = async <T>(
  { id, name }: ContainerRecord,
  pid: number,
  work: (sandbox: Sandbox) => Promise<T>,
): Promise<T> => {
  const netns = open(`/proc/${pid}/ns/net`, O.O_RDONLY | O.O_CLOEXEC);
  try {
    return await work({ container: id, netns, name });
  } finally {
    close(netns);
  }
};

/** Makes a container's networks in the namespace of its first process, which waits, and writes its files. Throws what Networks.attach throws. */
export async function attachNetworks(context: Context, record: ContainerRecord, pid: number): Promise<void> {
  const own = makerOf(record.request);
  if (own === null) return;
  const publish = publicationsOf(context, record);
  const made = await withNamespace(record, pid, (sandbox) => own.maker.attach(context, record, own.places, { sandbox, publish }));
  writeNetworkFiles(context, record, made);
  tellLinked(context, record.id);
}

/** Networks of ours. */
const ownMaker: NetworkMaker = {
  check(context, _request, places) {
    for (const place of places) {
      refuseEndpoints(context.networks.get(place.network));
      refuseOptions(place);
    }
  },
  join(context, record, places) {
    for (const place of places) connect(context, record, place);
  },
  async attach(context, record, _places, { sandbox, publish }) {
    const { endpoints } = await context.networks.attach(sandbox, publish);
    await nameContainer(context, record, endpoints, sandbox.netns);
    return { endpoints, resolv: null };
  },
  endpointsOf: (context, id) => context.networks.endpointsOf(id),
  publishedBy: (context, id) => context.networks.publishedBy(id),
};

/** Throws "network_invalid". */
export function refuseOptions({ network, driverOptions = {} }: NetworkEndpoint): void {
  const [option] = Object.keys(driverOptions);
  if (option === undefined) return;
  throw new OnggiError("network_invalid", `network ${network}: driver option ${option} is for networks of CNI plugins, cni:NAME`);
}

const makers = { networks: ownMaker, cni: cniMaker };

/** A container that runs has another name now. Never throws. */
export async function nameAnew(context: Context, record: ContainerRecord): Promise<void> {
  if (networkMode(record.request).kind !== "networks") return;
  await context.networks.rename(record.id, record.name);
  const endpoints = context.networks.endpointsOf(record.id);
  await withNamespace(record, record.state.pid, ({ netns }) => nameContainer(context, record, endpoints, netns)).catch(
    (error: unknown) => context.log(`name ${record.id} ${record.name}: ${messageOf(error)}`),
  );
  tellLinked(context, record.id);
}

/** As with Docker, the default network has no names. */
export const hasNames = ({ networkName }: Endpoint): boolean => networkName !== DEFAULT_NETWORK;

/** What the resolver is told of a container. */
export interface Named {
  readonly id: string;
  readonly name: string;
  readonly request: Pick<ContainerRequest, "dns" | "extraHosts">;
}

/** Tells the resolver where a container that runs is, and gives the container its name server, if one of its networks has names. */
export async function nameContainer(
  context: Context,
  { id, name, request }: Named,
  endpoints: readonly Endpoint[],
  netns: number,
): Promise<void> {
  const named = !context.containers.get(id)?.unnamed;
  for (const endpoint of endpoints) {
    const { network, aliases, attached } = endpoint;
    const { ipv4 = null, ipv6 = null } = attached ?? {};
    // nobody is found by a name in the default network, but who is in it may ask for those of the world
    context.dns.join(network, { container: id, names: named && hasNames(endpoint) ? [name, ...aliases] : [], ipv4, ipv6 });
  }
  if (!endpoints.some(hasNames)) return context.dns.forget(id);
  const gateway = hostGateway(context);
  const extraHosts = (request.extraHosts ?? []).map((text) => parseExtraHost(text, gateway));
  const links = endpoints.flatMap(({ network, links: of = [] }) =>
    of.map(({ container, alias }) => ({ name: alias, container, network })),
  );
  await context.dns.serve({ id, netns, upstreams: request.dns ?? [], extraHosts, links });
}

/** Says all containers of other hosts to the resolver. */
export function nameRemote({ networks, dns }: Context): void {
  for (const { id, driver } of networks.list()) {
    if (driver === "overlay") for (const endpoint of networks.nodes.remote(id)) dns.join(id, endpoint);
  }
}

/** Says a network to the resolver. */
export function nameNetwork(context: Context, { id, name, driver, internal, pools }: Network): void {
  if (driver === "host" || driver === "null") return;
  const gatewayOf = (v6: boolean): string | null => pools.find(({ gateway }) => gateway.includes(":") === v6)?.gateway ?? null;
  context.dns.setNetwork({ id, name, internal, gateway4: gatewayOf(false), gateway6: gatewayOf(true) });
}

/** The files that a container has from us: those of the container whose network it shares, where it does. */
export function networkFilePaths(context: Context, { id, request }: ContainerRecord): ContainerPaths {
  const mode = networkMode(request);
  return containerPaths(context.layout, mode.kind === "container" ? findContainer(context, mode.container).id : id);
}

/** What a container's /etc/hosts and /etc/resolv.conf say. They are written in place: they are mounted. */
export function networkFiles(
  context: Context,
  record: ContainerRecord,
  { endpoints, resolv }: MadeNetworks,
): { hosts: string; resolvConf: string } {
  const { request, id } = record;
  const { kind } = networkMode(request);
  const hosts = hostsText({
    hostname: request.hostname ?? id.slice(0, 12),
    domainname: request.domainname,
    addresses: endpoints.flatMap(({ attached }) =>
      [attached?.ipv4, attached?.ipv6].filter((address) => typeof address === "string"),
    ),
    extraHosts: request.extraHosts ?? [],
    links: linkHosts(context, record),
    hostGateway: hostGateway(context),
  });
  if (kind === "none") return { hosts, resolvConf: "# no network: nothing to resolve names with\n" };
  const host = hostResolvConf();
  if (kind === "cni") return { hosts, resolvConf: resolvText(withDefaults(request, resolv), host, null) };
  const resolver = endpoints.some(hasNames) ? RESOLVER_ADDRESS : null;
  return { hosts, resolvConf: kind === "networks" ? resolvText(request, host, resolver) : hostResolvText(request, host) };
}

/** What the container's networks say of names is used where its request says nothing. */
const withDefaults = ({ dns, dnsSearch, dnsOptions }: ContainerRequest, resolv: ResolvDefaults | null) => ({
  dns: [...(dns?.length ? dns : (resolv?.nameservers ?? []))],
  dnsSearch: [...(dnsSearch?.length ? dnsSearch : (resolv?.search ?? []))],
  dnsOptions: [...(dnsOptions?.length ? dnsOptions : (resolv?.options ?? []))],
});

function writeNetworkFiles(context: Context, record: ContainerRecord, made: MadeNetworks): void {
  const paths = containerPaths(context.layout, record.id);
  const { hosts, resolvConf } = networkFiles(context, record, made);
  writeFileSync(paths.hosts, hosts);
  writeFileSync(paths.resolvConf, resolvConf);
}

/** Those of a container that runs already. */
export const rewriteNetworkFiles = (context: Context, record: ContainerRecord): void =>
  writeNetworkFiles(context, record, { endpoints: endpointsOf(context, record), resolv: null });

/** A container has come, has gone, or has another address or name: those that are linked to it know. Never throws. */
export function tellLinked(context: Context, id: string): void {
  for (const record of linkedTo(context, id)) {
    try {
      rewriteNetworkFiles(context, record);
    } catch (error) {
      context.log(`links of ${record.id}: ${messageOf(error)}`);
    }
  }
}

/** Collects what goes wrong: networks never keep a container from its end. */
async function logged(context: Context, id: string, ...works: readonly Promise<void>[]): Promise<void> {
  for (const done of await Promise.allSettled(works))
    if (done.status === "rejected") context.log(`networks of ${id}: ${messageOf(done.reason)}`);
}

/** The container has ended: what others can have again, they can have at once. Never throws. */
export async function detachNetworks(context: Context, id: string): Promise<void> {
  unname(context, id);
  await logged(context, id, context.networks.detach(id), context.cni.detach(id));
  tellLinked(context, id);
}

/** Its name server keeps its namespace alive, so that goes first. */
function unname(context: Context, id: string): void {
  for (const { network } of context.networks.endpointsOf(id)) context.dns.leave(network, id);
  context.dns.forget(id);
}

/** The container is removed. Never throws. */
export const forgetNetworks = (context: Context, id: string): Promise<void> =>
  logged(context, id, context.networks.forget(id), context.cni.detach(id));
