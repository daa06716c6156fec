/** Name servers that questions go on to. */
import { readFileSync, statSync } from "node:fs";
import { socketAddress } from "../../sys/inet.ts";
import { formatIp, isIp, parseIp } from "../../sys/ipaddress.ts";

export interface Upstream {
  /** As formatIp gives it. */
  readonly ip: string;
  /** struct sockaddr_in or sockaddr_in6. */
  readonly address: Uint8Array;
  /** It did not answer; until then others are asked first. Milliseconds. */
  downUntil: number;
}

export interface UpstreamList {
  /** The same for the same servers. */
  readonly key: string;
  readonly servers: readonly Upstream[];
}

/** More are not asked: resolv.conf(5) has three. */
const MOST = 6;
const PORT = 53;

/** The name servers of a resolv.conf(5), in order. A scope is an interface's name after "%". */
export function nameserversIn(text: string): string[] {
  const found: string[] = [];
  for (const line of text.split("\n")) {
    const [word, address] = line.trim().split(/\s+/);
    if (word === "nameserver" && address && isIp(address.split("%")[0]!) && !found.includes(address)) found.push(address);
  }
  return found;
}

export function upstreamList(addresses: readonly string[], scopeOf: (name: string) => number = interfaceIndex): UpstreamList {
  const servers: Upstream[] = [];
  for (const text of addresses.slice(0, MOST)) {
    const [ip = "", scope] = text.split("%");
    const bytes = parseIp(ip);
    servers.push({
      ip: formatIp(bytes),
      address: socketAddress(bytes, PORT, scope === undefined ? 0 : scopeOf(scope)),
      downUntil: 0,
    });
  }
  return { key: addresses.join(" "), servers };
}

function interfaceIndex(name: string): number {
  if (/^[0-9]+$/.test(name)) return Number(name);
  try {
    return Number(readFileSync(`/sys/class/net/${name.replaceAll("/", "")}/ifindex`, "utf8"));
  } catch {
    return 0;
  }
}

/** How often the file is looked at, at most: milliseconds. */
const LOOK_MS = 1000;

/** The host's name servers. Its resolv.conf is read again when it has changed. */
export class HostUpstreams {
  readonly #path: string;
  #looked = Number.NEGATIVE_INFINITY;
  #seen = "";
  #list: UpstreamList = { key: "", servers: [] };

  constructor(path = "/etc/resolv.conf") {
    this.#path = path;
  }

  current(now: number): UpstreamList {
    if (now - this.#looked < LOOK_MS) return this.#list;
    this.#looked = now;
    try {
      const { mtimeMs, ino, size } = statSync(this.#path);
      const seen = `${mtimeMs} ${ino} ${size}`;
      if (seen !== this.#seen) {
        this.#list = upstreamList(nameserversIn(readFileSync(this.#path, "utf8")));
        this.#seen = seen;
      }
    } catch {
      this.#list = { key: "", servers: [] };
      this.#seen = "";
    }
    return this.#list;
  }
}
