/**
 * What plugins print: results and errors, CNI specification 1.1, section 5, and results as they were before 1.0. Pure.
 *
 * A result is kept and passed on as it was printed, unknown fields too; here is what it says, whatever its version.
 */
import { isIp, parseMac, parsePrefix } from "../../sys/ipaddress.ts";
import { isObject, isText, type JsonObject } from "./json.ts";
import { isAtLeast, isSpecVersion, type SpecVersion } from "./versions.ts";

export interface ResultInterface {
  readonly name: string;
  /** "" where it has none. */
  readonly mac: string;
  /** "" for one of the host's. */
  readonly sandbox: string;
}

export interface ResultAddress {
  readonly address: string;
  readonly prefixLength: number;
  readonly gateway: string | null;
  /** Index of the interface that has it; null where that is not said. */
  readonly interface: number | null;
}

/** For resolv.conf(5). */
export interface Dns {
  readonly nameservers: readonly string[];
  readonly domain: string;
  readonly search: readonly string[];
  readonly options: readonly string[];
}

export interface Result {
  readonly interfaces: readonly ResultInterface[];
  readonly ips: readonly ResultAddress[];
  readonly dns: Dns;
}

/** What was printed is not a result. */
export class ResultInvalid extends Error {}

const invalid = (why: string): ResultInvalid => new ResultInvalid(why);

const listOf = (fields: JsonObject, key: string): readonly unknown[] => {
  const value = fields[key] ?? [];
  if (Array.isArray(value) && value.length <= 4096) return value;
  throw invalid(`${key} is not a list`);
};

const textOf = (fields: JsonObject, key: string): string => {
  const value = fields[key] ?? "";
  if (isText(value)) return value;
  throw invalid(`${key} is not a text`);
};

function interfaceOf(value: unknown): ResultInterface {
  if (!isObject(value)) throw invalid("an interface is not an object");
  const mac = textOf(value, "mac");
  try {
    if (mac !== "") parseMac(mac);
  } catch {
    // of infiniband, of a tunnel: nothing that we show
    return { name: textOf(value, "name"), mac: "", sandbox: textOf(value, "sandbox") };
  }
  return { name: textOf(value, "name"), mac: mac.toLowerCase(), sandbox: textOf(value, "sandbox") };
}

function addressOf(value: unknown, key: "address" | "ip", interfaces: number): ResultAddress {
  if (!isObject(value)) throw invalid("an address is not an object");
  const text = textOf(value, key);
  let prefixLength: number;
  try {
    if (!text.includes("/")) throw new TypeError();
    prefixLength = parsePrefix(text).length;
  } catch {
    throw invalid(`${key} ${JSON.stringify(text.slice(0, 60))} is no address with the length of its prefix`);
  }
  const gateway = textOf(value, "gateway");
  if (gateway !== "" && !isIp(gateway)) throw invalid(`gateway ${JSON.stringify(gateway.slice(0, 60))} is no address`);
  const index = value.interface ?? null;
  // Older plugins say -1 for "none".
  if (index !== null && !(Number.isInteger(index) && (index as number) < interfaces))
    throw invalid("an address has an interface that is not in the list");
  const at = index === null || (index as number) < 0 ? null : (index as number);
  return { address: text.split("/")[0]!, prefixLength, gateway: gateway || null, interface: at };
}

/** A word of resolv.conf: nothing that could begin another line. */
const isWord = (text: unknown): text is string => isText(text) && /^[^\s\p{Cc}]{1,253}$/u.test(text);

function dnsOf({ dns = {} }: JsonObject): Dns {
  if (dns !== null && !isObject(dns)) throw invalid("dns is not an object");
  const words = (key: string): readonly string[] => {
    const list = listOf(dns ?? {}, key);
    if (list.every(isWord)) return list;
    throw invalid(`dns.${key} is not a list of words`);
  };
  const nameservers = words("nameservers");
  if (!nameservers.every((server) => isIp(server.split("%")[0]!))) throw invalid("dns.nameservers has what is no address");
  const domain = textOf(dns ?? {}, "domain");
  if (domain !== "" && !isWord(domain)) throw invalid("dns.domain is not a word");
  return { nameservers, domain, search: words("search"), options: words("options") };
}

/** A result of any version. @throws ResultInvalid */
export function parseResult(value: unknown): Result {
  if (!isObject(value)) throw invalid("it is not an object");
  const { cniVersion = "" } = value;
  if (cniVersion !== "" && !isSpecVersion(cniVersion)) throw invalid("its cniVersion is none that there is");
  const dns = dnsOf(value);
  if (value.ip4 !== undefined || value.ip6 !== undefined) {
    const ips = [value.ip4, value.ip6].filter((one) => one !== undefined && one !== null);
    return { interfaces: [], ips: ips.map((one) => addressOf(one, "ip", 0)), dns };
  }
  const interfaces = listOf(value, "interfaces").map(interfaceOf);
  return { interfaces, ips: listOf(value, "ips").map((one) => addressOf(one, "address", interfaces.length)), dns };
}

const familyOf = (address: unknown): "4" | "6" => (isText(address) && address.includes(":") ? "6" : "4");

type Routes = readonly JsonObject[];

/** 0.1.0 and 0.2.0 knew one address of each family, and routes with it. */
function toOldest(raw: JsonObject, version: SpecVersion): JsonObject {
  if (raw.ip4 !== undefined || raw.ip6 !== undefined) return { ...raw, cniVersion: version };
  const ips = (raw.ips ?? []) as readonly JsonObject[];
  const routes = (raw.routes ?? []) as Routes;
  const part = (family: "4" | "6"): JsonObject | undefined => {
    const ip = ips.find(({ address }) => familyOf(address) === family);
    if (ip === undefined) return undefined;
    const own = routes.filter(({ dst }) => familyOf(dst) === family).map(({ dst, gw }) => ({ dst, ...(gw ? { gw } : {}) }));
    return { ip: ip.address, ...(ip.gateway ? { gateway: ip.gateway } : {}), ...(own.length > 0 ? { routes: own } : {}) };
  };
  const [ip4, ip6] = [part("4"), part("6")];
  return {
    cniVersion: version,
    ...(ip4 ? { ip4 } : {}),
    ...(ip6 ? { ip6 } : {}),
    ...(raw.dns === undefined ? {} : { dns: raw.dns }),
  };
}

/** From those to what came after them. */
function fromOldest(raw: JsonObject): JsonObject {
  const parts = [raw.ip4, raw.ip6].filter(isObject);
  const { ip4: _4, ip6: _6, ...others } = raw;
  const ips = parts.map(({ ip, gateway }) => ({ address: ip, ...(gateway ? { gateway } : {}) }));
  return { ...others, interfaces: [], ips, routes: parts.flatMap(({ routes }) => (routes ?? []) as Routes) };
}

/**
 * A result as another version has it: what a plugin is passed is of its network's version, whatever the one before it has printed. One
 * that says no version is of the network's. To be called with what parseResult takes.
 */
export function convertResult(raw: JsonObject, version: SpecVersion): JsonObject {
  const own = isSpecVersion(raw.cniVersion) ? raw.cniVersion : version;
  const old = raw.ip4 !== undefined || raw.ip6 !== undefined;
  if (own === version && old === !isAtLeast(version, "0.3.0")) return { ...raw, cniVersion: version };
  if (!isAtLeast(version, "0.3.0")) return toOldest(raw, version);
  const newer = old ? fromOldest(raw) : raw;
  const ips = (newer.ips ?? []) as readonly JsonObject[];
  const withFamily = !isAtLeast(version, "1.0.0");
  return {
    ...newer,
    cniVersion: version,
    ips: ips.map(({ version: _family, ...ip }) => (withFamily ? { version: familyOf(ip.address), ...ip } : ip)),
  };
}

/** What went wrong in a plugin. */
export interface PluginError {
  readonly code: number;
  readonly msg: string;
  readonly details: string;
}

/** Null for what is no error of the specification's form. */
export function parsePluginError(value: unknown): PluginError | null {
  if (!isObject(value)) return null;
  const { code, msg, details = "" } = value;
  if (!Number.isInteger(code) || !isText(msg)) return null;
  return { code: code as number, msg, details: isText(details) ? details : "" };
}

/** The versions that a plugin says it knows; null for what is no answer to VERSION. */
export function parseVersions(value: unknown): readonly string[] | null {
  if (!isObject(value) || !Array.isArray(value.supportedVersions) || value.supportedVersions.length > 100) return null;
  return value.supportedVersions.every(isText) ? value.supportedVersions : null;
}
