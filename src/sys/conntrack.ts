/** The kernel's table of connections, by ctnetlink. Every entry has the tuple as sent, and the one that answers come with. */

import { errno } from "./errno.ts";
import { formatIp } from "./ipaddress.ts";
import { NLM_F } from "./netconstants.ts";
import { type Attributes, attr, decodeAttributes, type NetlinkRequest } from "./netlink.ts";
import { CT, NFNL, NFPROTO } from "./nfconstants.ts";
import { NETFILTER_HEADER, type Nfnetlink, netfilterRequest } from "./nfnetlink.ts";

export interface Connection {
  /** Where it was sent, before any translation. */
  readonly destination: string;
  readonly destinationPort: number;
  /** Where answers come from: another than `destination` if it is translated. */
  readonly answers: string;
  /** The attributes that name it to the kernel. */
  readonly name: readonly Uint8Array[];
}

/** Which fields of a tuple a listing is filtered by; the kernel's CTA_FILTER_F_CTA_PROTO_NUM and _DST_PORT are not in its headers. */
const byProtocol = 1 << 3;
const byDestinationPort = 1 << 5;

const family = (version: 4 | 6): number => (version === 4 ? NFPROTO.NFPROTO_IPV4 : NFPROTO.NFPROTO_IPV6);

const inner = (has: Attributes, type: number): Attributes => decodeAttributes(has.get(type) ?? new Uint8Array());
const addressIn = (has: Attributes, ...types: readonly number[]): string => {
  const bytes = types.map((type) => has.get(type)).find((one) => one?.length === 4 || one?.length === 16);
  return bytes === undefined ? "" : formatIp(bytes);
};

/** An entry of a listing; null if it is not one. Never throws. */
export function decodeConnection(body: Uint8Array): Connection | null {
  const has = decodeAttributes(body, NETFILTER_HEADER);
  const original = inner(has, CT.CTA_TUPLE_ORIG);
  const port = inner(original, CT.CTA_TUPLE_PROTO).get(CT.CTA_PROTO_DST_PORT);
  const answers = addressIn(inner(inner(has, CT.CTA_TUPLE_REPLY), CT.CTA_TUPLE_IP), CT.CTA_IP_V4_SRC, CT.CTA_IP_V6_SRC);
  const destination = addressIn(inner(original, CT.CTA_TUPLE_IP), CT.CTA_IP_V4_DST, CT.CTA_IP_V6_DST);
  if (port === undefined || port.length < 2 || destination === "" || answers === "") return null;
  return {
    destination,
    destinationPort: (port[0]! << 8) | port[1]!,
    answers,
    name: [CT.CTA_TUPLE_ORIG, CT.CTA_ID, CT.CTA_ZONE]
      .filter((type) => has.has(type))
      .map((type) => (type === CT.CTA_TUPLE_ORIG ? attr.nested(type, has.get(type)!) : attr.bytes(type, has.get(type)!))),
  };
}

const request = (
  message: number,
  version: 4 | 6,
  flags: number,
  about: string,
  attributes: readonly Uint8Array[],
): NetlinkRequest => netfilterRequest(NFNL.NFNL_SUBSYS_CTNETLINK, message, family(version), flags, about, attributes);

/**
 * Connections of a protocol (IPPROTO_*), sent to a port if one is told. The kernel goes through its whole table for it.
 * @throws NetlinkError EINVAL where the kernel has no ctnetlink
 */
export function listConnections(net: Nfnetlink, version: 4 | 6, protocol: number, port?: number): Connection[] {
  const answers = net.request(
    request(CT.IPCTNL_MSG_CT_GET, version, NLM_F.NLM_F_DUMP, "list connections", [
      attr.nested(
        CT.CTA_TUPLE_ORIG,
        attr.nested(
          CT.CTA_TUPLE_PROTO,
          attr.u8(CT.CTA_PROTO_NUM, protocol),
          ...(port === undefined ? [] : [attr.u16be(CT.CTA_PROTO_DST_PORT, port)]),
        ),
      ),
      attr.nested(
        CT.CTA_FILTER,
        attr.u32(CT.CTA_FILTER_ORIG_FLAGS, byProtocol | (port === undefined ? 0 : byDestinationPort)),
        attr.u32(CT.CTA_FILTER_REPLY_FLAGS, 0),
      ),
    ]),
  );
  return answers.map(({ payload: body }) => decodeConnection(body)).filter((connection) => connection !== null);
}

/** Forgets connections: what is sent next begins a new one. Those that are gone already do not matter. */
export function deleteConnections(net: Nfnetlink, version: 4 | 6, connections: readonly Connection[]): void {
  const failures = net.tryBatch(
    connections.map(({ name, destination, destinationPort }) =>
      request(CT.IPCTNL_MSG_CT_DELETE, version, 0, `delete connection to ${destination} port ${destinationPort}`, name),
    ),
  );
  for (const failure of failures) if (failure !== undefined && failure.errno !== errno.ENOENT) throw failure;
}
