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
import { writeSysctl } from "./host.ts";
import type { Attachment } from "./types.ts";

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

/** Gives new interfaces what they are to have, and the namespace its default routes, in one send. @throws SysError */
export function configureInside(netns: number, interfaces: readonly NewInterface[], gateways: Gateways): void {
  const requests = interfaces.flatMap(interfaceRequests);
  for (const gateway of [gateways.ipv4, gateways.ipv6]) {
    if (gateway !== null) requests.push(addRoute({ to: "default", gateway }));
  }
  const switches = (): void => {
    for (const { attachment } of interfaces) {
      const { interface: name, ipv6 } = attachment;
      // Without addresses of IPv6 no link-local one either; with them, none that another container announces as a router.
      writeSysctl(`ipv6/conf/${name}/${ipv6 === null ? "disable_ipv6" : "accept_ra"}`, ipv6 === null ? "1" : "0");
    }
  };
  within(netns, (net) => net.batch(requests), switches);
}

/** A socket of a namespace for one piece of work; `first` runs with the thread in the namespace. */
function within<T>(netns: number, work: (net: Rtnetlink) => T, first: () => void = () => {}): T {
  const net = inNamespace(netns, CLONE.CLONE_NEWNET, () => {
    first();
    return new Rtnetlink();
  });
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

/** The interfaces that a namespace has. */
export const linksInside = (netns: number): Link[] => within(netns, (net) => net.linkList());
