/** The host's part: routes and addresses that networks must not overlap, and the switches without which no packet is forwarded. */
import { readFileSync, writeFileSync } from "node:fs";
import { isErrno, RT, type Rtnetlink } from "../sys/index.ts";
import { type AddressRange, addressNumber, parseSubnet, subnetAround } from "./prefixes.ts";

/** A range that the host has a use for, and what it is. */
export interface OccupiedRange extends AddressRange {
  /** "route 10.0.0.0/8 by eth0" */
  readonly what: string;
}

/**
 * What routes of the main table and addresses of this host occupy. Left out: links that `own` names, link-local and multicast
 * ranges, and routes of one bit at most, which stand for a default route.
 */
export function occupiedRanges(net: Rtnetlink, own: ReadonlySet<string>): OccupiedRange[] {
  const links = new Map(net.linkList().map(({ index, name }) => [index, name]));
  const ranges: OccupiedRange[] = [];
  for (const { index, ip, prefixLength, family, scope } of net.addressList()) {
    const name = links.get(index) ?? `${index}`;
    if (own.has(name) || scope === RT.RT_SCOPE_LINK || scope === RT.RT_SCOPE_HOST) continue;
    ranges.push({ ...subnetAround(family, addressNumber(ip), prefixLength), what: `address ${ip}/${prefixLength} of ${name}` });
  }
  for (const { to, index } of net.routeList()) {
    const name = index === undefined ? undefined : (links.get(index) ?? `${index}`);
    if (to === "default" || (name !== undefined && own.has(name)) || /^(?:fe80|ff|169\.254)/.test(to)) continue;
    const subnet = parseSubnet(to);
    if (subnet.length > 1) ranges.push({ ...subnet, what: `route ${to}${name === undefined ? "" : ` by ${name}`}` });
  }
  return ranges;
}

/** The MTU of the interface that the default route leads to; 1500 without one. */
export function defaultMtu(net: Rtnetlink): number {
  const [route] = net
    .routeList()
    .filter(({ to, index }) => to === "default" && index !== undefined)
    .sort((one, other) => one.metric - other.metric);
  return route === undefined ? 1500 : (net.linkByIndex(route.index!)?.mtu ?? 1500);
}

/** A value below /proc/sys/net, of this thread's network namespace; null if the kernel has none of that name. */
export function readSysctl(name: string): string | null {
  try {
    return readFileSync(`/proc/sys/net/${name}`, "utf8").trim();
  } catch (error) {
    if (isErrno(error, "ENOENT")) return null;
    throw error;
  }
}

/** Sets a value if it is another. True if it was; false also where the kernel has none of that name. */
export function setSysctl(name: string, value: string): boolean {
  const now = readSysctl(name);
  if (now === null || now === value) return false;
  writeFileSync(`/proc/sys/net/${name}`, value);
  return true;
}

/** Writes a value without a look at it. Nothing happens where the kernel has none of that name. */
export function writeSysctl(name: string, value: string): void {
  try {
    writeFileSync(`/proc/sys/net/${name}`, value);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}

/** Lets this host forward packets; says so if it did not. */
export function enableForwarding(ipv6: boolean, log: (message: string) => void): void {
  if (setSysctl("ipv4/ip_forward", "1")) log("networks: switched net.ipv4.ip_forward on");
  if (!ipv6 || readSysctl("ipv6/conf/all/forwarding") !== "0") return;
  // A router ignores router advertisements: an interface that lives on them must go on to take them.
  setSysctl("ipv6/conf/all/forwarding", "1");
  log("networks: switched net.ipv6.conf.all.forwarding on; interfaces with accept_ra=1 no longer take router advertisements");
}
