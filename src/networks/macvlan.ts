/** The macvlan driver: interfaces of containers that lie on one of the host's and have hardware addresses of their own. */
import { type Link, macvlanData, type NetlinkRequest, newLink, type Rtnetlink } from "../sys/index.ts";
import type { NetworkRecord } from "./database.ts";
import { NetworkError } from "./errors.ts";
import { parseOptions } from "./options.ts";
import type { Attachment } from "./types.ts";

/** The interface that a network lies on. @throws NetworkError network_invalid if this host has none of that name */
export function requireParent(net: Rtnetlink, parent: string): Link {
  const link = net.linkByName(parent);
  if (link === null) {
    throw new NetworkError(
      "network_invalid",
      `this host has no interface "${parent}" for a macvlan network to lie on; "ip link" lists them`,
    );
  }
  if (link.kind === "macvlan") {
    throw new NetworkError("network_invalid", `interface "${parent}" is a macvlan itself: give the interface below it`);
  }
  return link;
}

/** What makes the interface straight in a namespace, sent in the host's. It has the number `index` there. */
export function macvlanRequest(
  network: NetworkRecord,
  attachment: Attachment,
  { parent, index, netns }: { readonly parent: number; readonly index: number; readonly netns: number },
): NetlinkRequest {
  const { mode } = parseOptions(network.driver, network.options);
  return newLink({
    kind: "macvlan",
    name: attachment.interface,
    index,
    parent,
    mtu: network.mtu,
    // In passthru mode it has its parent's.
    ...(mode === "passthru" ? {} : { address: attachment.mac }),
    netns: { fd: netns },
    data: macvlanData(mode),
  });
}
