import type { PortRequest, Published } from "../api/control/types.ts";
import { UsageError } from "./errors.ts";

/** What `-p` and `--expose` ask for, and how published ports are shown. */

const protocols = ["tcp", "udp", "sctp"] as const;

/** "80", "8000-8010". */
const range = (spec: string, text: string): [first: number, last: number] => {
  const [, from = "", to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  const [first, last] = [Number(from), Number(to)];
  if (from === "" || first < 1 || last > 65535 || last < first)
    throw new UsageError(`-p ${spec}: "${text}" is no port between 1 and 65535, nor a range of them`);
  return [first, last];
};

/**
 * "[HOST-ADDRESS:][HOST-PORT[-LAST]:]PORT[-LAST][/tcp|udp|sctp]", Docker's forms, or "published=8080,target=80,..." spelled out. A
 * range of the host's as long as the container's goes with it one by one; for a single port of the container it is what may be
 * chosen from. Throws UsageError.
 */
export function parsePublish(spec: string): PortRequest[] {
  if (spec.includes("=")) return parseLong(spec);
  const [, rest = "", name = "tcp"] = /^(.*?)(?:\/([a-z]+))?$/i.exec(spec) ?? [];
  const [, hostIp = "", host = "", container = rest] = /^(?:(\[[^\]]*\]|[^:[\]]*):)?([^:]*):([^:]+)$/.exec(rest) ?? [];
  return portsOf(spec, hostIp.replace(/^\[(.*)\]$/, "$1"), host, container, name.toLowerCase());
}

function portsOf(spec: string, hostIp: string, hostPort: string, container: string, name: string): PortRequest[] {
  const protocol = protocols.find((known) => known === name);
  if (!protocol) throw new UsageError(`-p ${spec}: protocol "${name}" is not one of ${protocols.join(", ")}`);
  if (hostIp !== "" && !/^[0-9a-fA-F.:]+$/.test(hostIp))
    throw new UsageError(`-p ${spec}: "${hostIp}" is no address of this host; write ADDRESS:PORT:PORT, IPv6 as [::1]:PORT:PORT`);
  const [first, last] = range(spec, container);
  // 0 is any that is free, as no port at all
  const host = hostPort === "0" ? "" : hostPort;
  const [hostFirst, hostLast] = host === "" ? [0, 0] : range(spec, host);
  const count = last - first + 1;
  const oneByOne = host !== "" && hostLast - hostFirst === last - first;
  if (host !== "" && !oneByOne && count > 1)
    throw new UsageError(
      `-p ${spec}: ${count} ports of the container, ${hostLast - hostFirst + 1} of the host; give as many of each`,
    );
  return Array.from({ length: count }, (_, index) => ({
    ...{ protocol, containerPort: first + index, hostIp },
    hostPort: oneByOne ? hostFirst + index : hostFirst,
    hostPortEnd: oneByOne ? hostFirst + index : hostLast,
  }));
}

function parseLong(spec: string): PortRequest[] {
  const fields = new Map<string, string>();
  for (const field of spec.split(",")) {
    const [key = "", value = ""] = field.split(/=(.*)/s);
    if (!["target", "published", "protocol", "mode", "host_ip", "name", "app_protocol"].includes(key))
      throw new UsageError(`-p ${spec}: unknown key "${key}"; known are target, published, protocol, host_ip, mode`);
    fields.set(key, value);
  }
  const target = fields.get("target");
  if (!target) throw new UsageError(`-p ${spec}: needs target=PORT`);
  return portsOf(spec, fields.get("host_ip") ?? "", fields.get("published") ?? "", target, fields.get("protocol") ?? "tcp");
}

/** "80", "80/udp", "8000-8010/tcp", as "80/tcp" each. Throws UsageError. */
export function parseExpose(spec: string): string[] {
  const [, ports = "", name = "tcp"] = /^([^/]*)(?:\/([a-z]+))?$/i.exec(spec) ?? [];
  const protocol = protocols.find((known) => known === name.toLowerCase());
  if (!protocol) throw new UsageError(`--expose ${spec}: protocol "${name}" is not one of ${protocols.join(", ")}`);
  const [first, last] = range(spec, ports);
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${protocol}`);
}

/** A port as it is shown; one that is exposed alone has no address, and itself for the host's. */
type Shown = Pick<Published, "protocol" | "containerPort" | "hostIp" | "hostPort">;

const hostText = ({ hostIp, hostPort }: Shown): string => `${hostIp.includes(":") ? `[${hostIp}]` : hostIp}:${hostPort}`;

/** "80/tcp -> 0.0.0.0:8080", as `port` prints it. */
export const portLine = (port: Published): string => `${port.containerPort}/${port.protocol} -> ${hostText(port)}`;

export const portAddress = hostText;

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** By the container's ports, as Docker lists them. */
export const sortedPorts = <T extends Shown>(ports: readonly T[]): T[] =>
  [...ports].sort((a, b) => a.containerPort - b.containerPort || compare(a.protocol, b.protocol) || compare(a.hostIp, b.hostIp));

const runText = ({ hostIp, protocol }: Shown, first: number, last: number): string => {
  const ports = first === last ? String(first) : `${first}-${last}`;
  return hostIp === ""
    ? `${ports}/${protocol}`
    : `${hostIp.includes(":") ? `[${hostIp}]` : hostIp}:${ports}->${ports}/${protocol}`;
};

/** Successive ports as one range, first those that end earlier. */
function runsOf(ports: readonly Shown[]): string[] {
  const open = new Map<string, { port: Shown; first: number; last: number }>();
  const texts: string[] = [];
  for (const port of ports) {
    const key = `${port.hostIp} ${port.protocol}`;
    const run = open.get(key);
    if (run && port.containerPort === run.last + 1) {
      run.last = port.containerPort;
      continue;
    }
    if (run) texts.push(runText(run.port, run.first, run.last));
    open.set(key, { port, first: port.containerPort, last: port.containerPort });
  }
  return [...texts, ...[...open.values()].map(({ port, first, last }) => runText(port, first, last))];
}

/**
 * "90/tcp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp", as Docker's `ps` shows it: with what is exposed alone, and in ranges where
 * there is no other port on the host.
 */
export function portsColumn(ports: readonly Published[], exposed: readonly string[] = []): string {
  const unpublished = exposed.map((text): Shown => {
    const [port, protocol] = text.split("/");
    return { containerPort: Number(port), protocol: protocol as Published["protocol"], hostIp: "", hostPort: Number(port) };
  });
  const sorted = sortedPorts<Shown>([...unpublished, ...ports]);
  const isMoved = ({ hostPort, containerPort }: Shown): boolean => hostPort !== containerPort;
  const moved = sorted.filter(isMoved).map((port) => `${hostText(port)}->${port.containerPort}/${port.protocol}`);
  return [...runsOf(sorted.filter((port) => !isMoved(port))), ...moved].join(", ");
}
