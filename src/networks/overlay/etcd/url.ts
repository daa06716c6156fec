/** Where etcd is, as a user writes it: etcd://[user[:password]@]host[:port][,host[:port]...][/prefix]. Pure. */
import { parseIp } from "../../../sys/ipaddress.ts";
import { EtcdError } from "./errors.ts";

export interface EtcdUrl {
  /** "https://[fd00::1]:2379" */
  readonly endpoints: readonly string[];
  readonly user?: string;
  readonly password?: string;
  /** Begins with a slash and ends with none. */
  readonly prefix: string;
}

export const DEFAULT_PREFIX = "/onggi/v1";
const DEFAULT_PORT = 2379;

/**
 * User and password are percent-encoded. TLS is used with etcds://, or if a certificate is given.
 * @throws EtcdError etcd_url_invalid; the message has no password in it
 */
export function parseEtcdUrl(text: string, certificates: { readonly ca?: string; readonly cert?: string } = {}): EtcdUrl {
  const [, scheme, rest = ""] = /^(etcds?):\/\/(.*)$/s.exec(text) ?? [];
  if (scheme === undefined) throw invalid("it begins with neither etcd:// nor etcds://");
  const slash = rest.indexOf("/");
  const authority = slash < 0 ? rest : rest.slice(0, slash);
  const at = authority.lastIndexOf("@");
  const tls = scheme === "etcds" || certificates.ca !== undefined || certificates.cert !== undefined;
  const hosts = authority.slice(at + 1).split(",");
  return {
    endpoints: hosts.map((host) => `${tls ? "https" : "http"}://${parseHost(host)}`),
    ...(at < 0 ? {} : parseUser(authority.slice(0, at))),
    prefix: parsePrefix(slash < 0 ? "" : rest.slice(slash)),
  };
}

function parseUser(text: string): { user: string; password?: string } {
  const colon = text.indexOf(":");
  const user = decoded(colon < 0 ? text : text.slice(0, colon));
  if (user === "") throw invalid("the user's name is empty");
  return colon < 0 ? { user } : { user, password: decoded(text.slice(colon + 1)) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid("user and password are percent-encoded, and a % is %25");
  }
}

/** "host:port" */
function parseHost(text: string): string {
  if (text === "") throw invalid("a host is missing");
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::([^:]*))?$/s.exec(text) ?? [];
  if (bracketed === undefined && plain === undefined)
    throw invalid(`"${text}" is no host: write IPv6 addresses as [fd00::1]:2379`);
  if (bracketed !== undefined && !isIpv6(bracketed)) throw invalid(`"${bracketed}" is no IPv6 address`);
  if (plain !== undefined && !/^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?$/.test(plain))
    throw invalid(`"${plain}" is no host name`);
  const number = port === undefined ? DEFAULT_PORT : Number(port);
  if ((port !== undefined && !/^\d{1,5}$/.test(port)) || number < 1 || number > 65535)
    throw invalid(`"${port}" is no port: 1 to 65535`);
  return `${bracketed === undefined ? plain : `[${bracketed}]`}:${number}`;
}

function isIpv6(text: string): boolean {
  try {
    return parseIp(text).length === 16;
  } catch {
    return false;
  }
}

function parsePrefix(text: string): string {
  const prefix = text.replace(/\/$/, "");
  if (prefix === "") return DEFAULT_PREFIX;
  if (!/^(\/[A-Za-z0-9._~:-]+)+$/.test(prefix))
    throw invalid(`"${text}" is no prefix: words of letters, digits and ._~:- between single slashes`);
  return prefix;
}

const invalid = (why: string): EtcdError =>
  new EtcdError(
    "etcd_url_invalid",
    `this is no URL of etcd: ${why}. Give one as etcd://10.0.0.1:2379,10.0.0.2:2379${DEFAULT_PREFIX}`,
  );
