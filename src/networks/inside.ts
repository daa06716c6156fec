/**
 * What networks set in a container's namespace: addresses, routes, switches.
 *
 * The namespace belongs to the container's user namespace. What runs in it may have renamed or filled everything; all that is
 * believed of it is whether the kernel took a request.
 */
import {
  addRoute,
  CLONE,
  deleteAddress,
  deleteRoute,
  IFF,
  inNamespace,
  isErrno,
  type Link,
  type NetlinkRequest,
  Rtnetlink,
  replaceRoute,
  setLink,
  settleLink,
} from "../sys/index.ts";
import { addressRequest } from "./bridge.ts";
import type { NetworkRecord } from "./database.ts";
import type { NamespaceSysctls } from "./sysctls.ts";
import type { Attachment, InterfaceCounters } from "./types.ts";

/** An interface of a container that is there, and down. */
export interface NewInterface {
  readonly network: NetworkRecord;
  readonly attachment: Attachment;
  /** Its number in the container's namespace. */
  readonly index: number;
}

/** Where a container sends what is for nobody it knows. */
export interface Gateways {
  readonly ipv4: string | null;
  readonly ipv6: string | null;
}

function interfaceRequests({ network, attachment, index }: NewInterface): NetlinkRequest[] {
  const requests: NetlinkRequest[] = [];
  for (const { subnet } of network.pools) {
    const address = subnet.includes(":") ? attachment.ipv6 : attachment.ipv4;
    if (address !== null) requests.push(addressRequest(index, address, subnet));
  }
  // Last, so that nothing is sent from an interface without addresses.
  requests.push(setLink({ index, up: true }));
  if (attachment.ipv6 !== null) requests.push(settleLink(index));
  return requests;
}

const switchesOf = (name: string, ipv6: boolean): readonly (readonly [name: string, value: string])[] => [
  // Without addresses of IPv6 no link-local one either; with them, none that another container announces as a router.
  [`ipv6/conf/${name}/disable_ipv6`, ipv6 ? "0" : "1"],
  ...(ipv6 ? ([[`ipv6/conf/${name}/accept_ra`, "0"]] as const) : []),
];

/** A namespace that interfaces are about to be made in: they get its default switches with them. */
export class Inside {
  readonly #netns: number;
  readonly #net: Rtnetlink;
  readonly #sysctls: NamespaceSysctls;
  readonly #ipv6: boolean;

  /** @param ipv6 whether the interfaces have IPv6, as far as they are alike */
  constructor(netns: number, sysctls: NamespaceSysctls, ipv6: boolean) {
    this.#netns = netns;
    this.#sysctls = sysctls;
    this.#ipv6 = ipv6;
    this.#net = inNamespace(netns, CLONE.CLONE_NEWNET, () => {
      for (const [name, value] of switchesOf("default", ipv6)) sysctls.write(name, value);
      return new Rtnetlink();
    });
  }

  /** Gives interfaces that have been made what they are to have, and the namespace its default routes, in one send. @throws SysError */
  configure(interfaces: readonly NewInterface[], gateways: Gateways): void {
    const others = interfaces.filter(({ attachment }) => (attachment.ipv6 !== null) !== this.#ipv6);
    if (others.length > 0) {
      inNamespace(this.#netns, CLONE.CLONE_NEWNET, () => {
        for (const { attachment } of others) {
          for (const [name, value] of switchesOf(attachment.interface, !this.#ipv6)) this.#sysctls.write(name, value);
        }
      });
    }
    const requests = interfaces.flatMap(interfaceRequests);
    for (const gateway of [gateways.ipv4, gateways.ipv6]) {
      if (gateway !== null) requests.push(addRoute({ to: "default", gateway }));
    }
    this.#net.batch(requests);
  }

  close(): void {
    this.#net.close();
  }
}

/** A socket of a namespace for one piece of work. */
function within<T>(netns: number, work: (net: Rtnetlink) => T): T {
  const net = Rtnetlink.inNamespace(netns);
  try {
    return work(net);
  } finally {
    net.close();
  }
}

/** The namespace's default routes lead there; a null takes them away. */
export function moveDefaultRoutes(netns: number, from: Gateways, to: Gateways): void {
  const families = (["ipv4", "ipv6"] as const).filter((family) => from[family] !== to[family]);
  if (families.length === 0) return;
  within(netns, (net) => {
    for (const family of families) {
      const [old, gateway] = [from[family], to[family]];
      // IPv6 would add a second one beside it.
      if (old !== null && (gateway === null || family === "ipv6")) {
        const [failure] = net.tryBatch([deleteRoute({ to: "default", gateway: old })]);
        if (failure !== undefined && !isErrno(failure, "ESRCH")) throw failure;
      }
      if (gateway !== null) net.batch([replaceRoute({ to: "default", gateway })]);
    }
  });
}

/** Takes the addresses of an interface away at once; what is gone already is no error. */
export function takeAddresses(netns: number, attachment: Attachment): void {
  within(netns, (net) => {
    const index = net.linkByName(attachment.interface)?.index;
    if (index === undefined) return;
    const requests: NetlinkRequest[] = [];
    const { ipv4, ipv6, ipv4PrefixLength, ipv6PrefixLength } = attachment;
    if (ipv4 !== null) requests.push(deleteAddress({ index, prefix: `${ipv4}/${ipv4PrefixLength}` }));
    if (ipv6 !== null) requests.push(deleteAddress({ index, prefix: `${ipv6}/${ipv6PrefixLength}` }));
    const failure = net.tryBatch(requests).find((result) => result !== undefined && !isErrno(result, "EADDRNOTAVAIL"));
    if (failure !== undefined) throw failure;
  });
}

/** Where a namespace's default routes lead. */
export const defaultRoutes = (netns: number): Gateways =>
  within(netns, (net) => {
    const gateway = (version: 4 | 6): string | null =>
      net.routeList(undefined, version).find(({ to, gateway }) => to === "default" && gateway !== undefined)?.gateway ?? null;
    return { ipv4: gateway(4), ipv6: gateway(6) };
  });

/** Whether an interface is there and up, with its addresses. */
export const isConfigured = (netns: number, { interface: name, ipv4, ipv6 }: Attachment): boolean =>
  within(netns, (net) => {
    const link = net.linkByName(name);
    if (link === null || !link.up) return false;
    const has = new Set(net.addressList(link.index).map(({ ip }) => ip));
    return [ipv4, ipv6].every((address) => address === null || has.has(address));
  });

/** A container that may make interfaces may make many. */
const COUNTED_MOST = 100;

/** What has gone through the interfaces of a namespace, by name, without its loopback device. */
export function countersInside(netns: number): Record<string, InterfaceCounters> {
  const links = within(netns, (net) => net.linkCounters()).filter(({ flags }) => (flags & IFF.IFF_LOOPBACK) === 0);
  return Object.fromEntries(links.slice(0, COUNTED_MOST).map(({ name, flags: _, ...counters }) => [name, counters]));
}

/** The interfaces that a namespace has. */
export const linksInside = (netns: number): Link[] => within(netns, (net) => net.linkList());
