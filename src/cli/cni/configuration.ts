/** What a runtime says on standard input: a plugin's configuration (sections 1 and 3 of CNI's specification). Pure. */
import { isIP } from "node:net";
import type { GuestReference, PortRequest } from "../../api/control/types.ts";
import { isIdentifier, isInterfaceName } from "./environment.ts";
import { CniError, CODE } from "./errors.ts";
import { type Dictionary, dictionary, flag, invalid, isDictionary, list, number, text, texts } from "./shapes.ts";

/** Versions of the specification, oldest first. */
export const versions = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;
export type CniVersion = (typeof versions)[number];

export interface Dns {
  readonly nameservers?: readonly string[];
  readonly domain?: string;
  readonly search?: readonly string[];
  readonly options?: readonly string[];
}

export interface Configuration {
  readonly cniVersion: CniVersion;
  readonly name: string;
  /** Ours; only what takes something away can do without. */
  readonly network: string | undefined;
  /** Path of the engine's socket. */
  readonly socket: string;
  readonly isDefaultGateway: boolean | undefined;
  /** Ports of the host are kept from its processes; not for a runtime that opens them itself. */
  readonly reservePorts: boolean;
  readonly dns: Dns;
  readonly whole: Dictionary;
}

export const DEFAULT_SOCKET = "/run/onggi/onggi.sock";

/** Keys of other plugins that ask for what is a matter of the network's. */
const unsupported = ["ipam", "ipMasq"];

/** A JSON object. @throws CniError decoding */
export function parseObject(input: Uint8Array): Dictionary {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(input));
  } catch (error) {
    throw new CniError(CODE.decoding, `standard input is no JSON: ${(error as Error).message}`);
  }
  if (!isDictionary(value)) throw new CniError(CODE.decoding, "standard input is not a JSON object");
  return value;
}

/** The version that an answer to this has to have. Throws CniError incompatibleVersion, decoding. */
export function versionOf(whole: Dictionary): CniVersion {
  const { cniVersion = "0.1.0" } = whole;
  const known = versions.find((version) => version === cniVersion);
  if (known !== undefined) return known;
  if (typeof cniVersion !== "string" || !/^\d+\.\d+\.\d+$/.test(cniVersion)) {
    throw new CniError(CODE.decoding, `cniVersion ${JSON.stringify(cniVersion)?.slice(0, 100)} is no version`);
  }
  throw new CniError(
    CODE.incompatibleVersion,
    `the configuration has cniVersion ${cniVersion.slice(0, 100)}, this plugin knows ${versions.join(", ")}`,
  );
}

/** @throws CniError incompatibleVersion, decoding, unsupportedField, invalidConfiguration */
export function configurationOf(whole: Dictionary): Configuration {
  const cniVersion = versionOf(whole);
  const name = text("name", whole.name) ?? "";
  if (!isIdentifier(name)) throw invalid("name", "a network configuration has one, of letters, digits and ._-");
  for (const key of unsupported) if (isMeant(whole[key])) throw unsupportedField(key, whole[key]);
  const socket = text("socket", whole.socket) ?? DEFAULT_SOCKET;
  if (!socket.startsWith("/")) throw invalid("socket", "the path of the engine's socket is absolute");
  return {
    cniVersion,
    name,
    network: text("network", whole.network),
    socket,
    isDefaultGateway: flag("isDefaultGateway", whole.isDefaultGateway),
    reservePorts: flag("reservePorts", whole.reservePorts) ?? false,
    dns: dnsOf("dns", dictionary("dns", whole.dns), { servers: "nameservers", searches: "search" }),
    whole,
  };
}

const isMeant = (value: unknown): boolean =>
  value !== undefined && value !== null && !(isDictionary(value) && Object.keys(value).length === 0);

const unsupportedField = (key: string, value: unknown): CniError =>
  new CniError(CODE.unsupportedField, `"${key}": ${JSON.stringify(value)?.slice(0, 1000)}`);

function dnsOf(key: string, value: Dictionary, names: { readonly servers: string; readonly searches: string }): Dns {
  const lists = {
    nameservers: texts(`${key}.${names.servers}`, value[names.servers]),
    search: texts(`${key}.${names.searches}`, value[names.searches]),
    options: texts(`${key}.options`, value.options),
  };
  for (const address of lists.nameservers) {
    if (isIP(address.split("%")[0]!) === 0)
      throw invalid(`${key}.${names.servers}`, `${JSON.stringify(address.slice(0, 100))} is no IP address`);
  }
  const domain = text(`${key}.domain`, value.domain);
  return {
    ...Object.fromEntries(Object.entries(lists).filter(([, entries]) => entries.length > 0)),
    ...(domain === undefined ? {} : { domain }),
  };
}

/** What a runtime asks for by capabilities. */
export interface Capabilities {
  readonly publish: readonly PortRequest[];
  readonly ips: readonly string[];
  readonly mac: string | undefined;
  readonly aliases: readonly string[];
  readonly dns: Dns;
  /** Bytes per second. */
  readonly bandwidth: { readonly receive?: number; readonly send?: number };
}

const known = ["portMappings", "ips", "mac", "aliases", "dns", "bandwidth"];

/** `runtimeConfig` (CNI's CONVENTIONS.md). @throws CniError unsupportedField, invalidConfiguration */
export function capabilitiesOf({ name, whole, reservePorts }: Configuration): Capabilities {
  const given = dictionary("runtimeConfig", whole.runtimeConfig);
  // who declares a capability expects it to be obeyed
  for (const [key, value] of Object.entries(given))
    if (!known.includes(key) && isMeant(value)) throw unsupportedField(`runtimeConfig.${key}`, value);
  return {
    publish: list("portMappings", given.portMappings)
      .flatMap(portRequest)
      .map((port) => (reservePorts ? port : { ...port, unreserved: true })),
    ips: texts("ips", given.ips).map((address) => address.replace(/\/\d{1,3}$/, "")),
    mac: text("mac", given.mac),
    aliases: aliasesOf(name, given.aliases),
    dns: dnsOf("dns", dictionary("dns", given.dns), { servers: "servers", searches: "searches" }),
    bandwidth: bandwidthOf(dictionary("bandwidth", given.bandwidth)),
  };
}

/** Rates come in bits per second, ingress is what goes into the sandbox. Bursts are the network's to choose. */
function bandwidthOf({ ingressRate, egressRate }: Dictionary): Capabilities["bandwidth"] {
  const bytes = (key: string, rate: unknown): number =>
    Math.ceil(number(`bandwidth.${key}`, rate ?? 0, [0, Number.MAX_SAFE_INTEGER]) / 8);
  const [receive, send] = [bytes("ingressRate", ingressRate), bytes("egressRate", egressRate)];
  return { ...(receive > 0 ? { receive } : {}), ...(send > 0 ? { send } : {}) };
}

function portRequest(value: unknown): PortRequest[] {
  const mapping = dictionary("portMappings", value);
  const hostPort = number("portMappings.hostPort", mapping.hostPort ?? 0, [0, 65_535]);
  // as with the reference plugin: the port is exposed and not published
  if (hostPort === 0) return [];
  const protocol = (text("portMappings.protocol", mapping.protocol) ?? "tcp").toLowerCase();
  if (protocol !== "tcp" && protocol !== "udp" && protocol !== "sctp") {
    throw invalid("portMappings.protocol", `${JSON.stringify(protocol)} is none of tcp, udp, sctp`);
  }
  return [
    {
      protocol,
      containerPort: number("portMappings.containerPort", mapping.containerPort, [1, 65_535]),
      hostIp: text("portMappings.hostIP", mapping.hostIP) ?? "",
      hostPort,
      hostPortEnd: hostPort,
    },
  ];
}

/** A list; from podman, an object with one for each network. */
function aliasesOf(network: string, value: unknown): string[] {
  const names = texts("aliases", isDictionary(value) ? (Object.hasOwn(value, network) ? value[network] : undefined) : value);
  for (const name of names) if (!isIdentifier(name)) throw invalid("aliases", `${JSON.stringify(name.slice(0, 100))} is no name`);
  return names;
}

/** `cni.dev/valid-attachments` of GC. @throws CniError invalidConfiguration */
export function validAttachments({ whole }: Configuration): GuestReference[] {
  const key = "cni.dev/valid-attachments";
  const given = whole[key];
  if (!Array.isArray(given)) throw invalid(key, "GC needs the list of attachments that stay");
  return given.map((entry: unknown) => {
    const { containerID, ifname } = dictionary(key, entry);
    if (typeof containerID !== "string" || !isIdentifier(containerID)) throw invalid(key, "an entry without a container's id");
    if (typeof ifname !== "string" || !isInterfaceName(ifname)) throw invalid(key, "an entry without an interface's name");
    return { containerId: containerID, interface: ifname };
  });
}
