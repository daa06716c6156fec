import { isIP } from "node:net";
import type { Port } from "../project.ts";

/**
 * The short form of ports: [[IP:]HOST:]CONTAINER[/PROTOCOL], each port a range too: one entry for each port of the container's.
 * HOST may be a range for one port of the container's, to choose from. Throws Error with what is wrong.
 */
export function parsePorts(spec: string): Port[] {
  const match =
    /^(?:(?:(\[[^\]]*\]|[^:]*):)?([^:]*):)?([^:/]+)(?:\/([A-Za-z]+))?$/.exec(spec) ??
    /^(.+):([^:]*):([^:/]+)(?:\/([A-Za-z]+))?$/.exec(spec);
  if (match === null) throw new Error(`"${spec}" is not a port; write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"`);
  const [, address = "", host = "", container = "", proto = "tcp"] = match;
  const ip = address.replace(/^\[(.*)\]$/, "$1");
  if (ip !== "" && isIP(ip) === 0) throw new Error(`"${ip}" in "${spec}" is not an IP address`);
  const protocol = proto.toLowerCase();
  if (!["tcp", "udp", "sctp"].includes(protocol))
    throw new Error(`"${proto}" in "${spec}" is not a protocol; there are tcp, udp and sctp`);
  const targets = range(container, spec);
  const published = host === "" ? undefined : range(host, spec);
  const common = { ...(ip === "" ? {} : { host_ip: ip }), protocol, mode: "ingress" as const };
  const size = targets.last - targets.first;
  if (published !== undefined && size > 0 && published.last - published.first !== size) {
    throw new Error(
      `"${spec}" has ranges of different sizes, ${host} and ${container}; give as many ports of the host as of the container`,
    );
  }
  return Array.from({ length: size + 1 }, (_, index) => ({
    target: targets.first + index,
    ...common,
    ...(published === undefined ? {} : { published: size === 0 ? rangeText(published) : String(published.first + index) }),
  }));
}

interface Range {
  first: number;
  last: number;
}

const rangeText = ({ first, last }: Range): string => (first === last ? String(first) : `${first}-${last}`);

function range(text: string, spec: string): Range {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = match?.[2] === undefined ? first : Number(match[2]);
  if (match === null || first > 65535 || last > 65535)
    throw new Error(`"${text}" in "${spec}" is not a port or a range of them; ports are 0 to 65535`);
  if (last < first) throw new Error(`"${text}" in "${spec}" is not a range; write the smaller port first`);
  return { first, last };
}
