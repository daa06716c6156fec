/**
 * nfnetlink: transactions of nf_tables, which the kernel carries out whole or not at all, and dumps.
 *
 *     using net = new Nfnetlink();
 *     net.commit([newTable("inet mine"), ...]);
 *
 * Needs CAP_NET_ADMIN in the user namespace that owns the network namespace.
 */
import { AF, CLONE } from "./constants.ts";
import { errno } from "./errno.ts";
import { inNamespace } from "./namespace.ts";
import { NETLINK, NLM_F, NLMSG } from "./netconstants.ts";
import {
  attr,
  concat,
  decodeAttributes,
  decodeError,
  NetlinkError,
  type NetlinkRequest,
  NetlinkSocket,
  payload,
} from "./netlink.ts";
import { NFNL, NFPROTO, NFT_MSG, NFTA } from "./nfconstants.ts";

/** struct nfgenmsg, which begins every message. */
export const netfilterHeader = (family: number, resource = 0): Uint8Array =>
  Uint8Array.of(family, 0, resource >> 8, resource & 0xff);

/** Bytes of struct nfgenmsg. */
export const NETFILTER_HEADER = 4;

/** A request to a subsystem of nfnetlink. */
export const netfilterRequest = (
  subsystem: number,
  message: number,
  family: number,
  flags: number,
  about: string,
  attributes: readonly Uint8Array[],
): NetlinkRequest => ({
  type: (subsystem << 8) | message,
  flags,
  payload: concat([netfilterHeader(family), ...attributes]),
  about,
});

const around = (type: number): NetlinkRequest => ({
  type,
  flags: 0,
  payload: netfilterHeader(AF.AF_UNSPEC, NFNL.NFNL_SUBSYS_NFTABLES),
  about: "nf_tables transaction",
});
const begin = around(NFNL.NFNL_MSG_BATCH_BEGIN);
const end = around(NFNL.NFNL_MSG_BATCH_END);

/** The messages of one transaction of nf_tables. */
export const transaction = (requests: readonly NetlinkRequest[]): NetlinkRequest[] => [begin, ...requests, end];

/** A state of all tables of a network namespace. */
export interface Generation {
  /** Another one after every transaction, of whomever. */
  readonly id: number;
  /** Who made it. */
  readonly pid: number;
  readonly process: string;
}

/** The payload of an NFT_MSG_NEWGEN. Never throws. */
export function decodeGeneration(body: Uint8Array): Generation {
  const has = decodeAttributes(body, NETFILTER_HEADER);
  return {
    id: payload.u32be(has.get(NFTA.NFTA_GEN_ID)) ?? 0,
    pid: payload.u32be(has.get(NFTA.NFTA_GEN_PROC_PID)) ?? 0,
    process: payload.string(has.get(NFTA.NFTA_GEN_PROC_NAME)) ?? "",
  };
}

/** A NETLINK_NETFILTER socket. */
export class Nfnetlink extends NetlinkSocket {
  constructor(fd?: number) {
    super(NETLINK.NETLINK_NETFILTER, fd);
  }

  /** A socket in the network namespace behind a descriptor. */
  static inNamespace(netnsFd: number): Nfnetlink {
    return inNamespace(netnsFd, CLONE.CLONE_NEWNET, () => new Nfnetlink());
  }

  /**
   * Carries out nf_tables requests as one transaction: all of them, or on an error none.
   * @throws NetlinkError the first failure; its `index` says which request
   */
  commit(requests: readonly NetlinkRequest[]): void {
    const [failure] = this.tryCommit(requests);
    if (failure !== undefined) throw failure;
  }

  /** Like `commit`, but returns all failures, by request. None: it has been carried out. */
  tryCommit(requests: readonly NetlinkRequest[]): NetlinkError[] {
    if (requests.length === 0) return [];
    // Only the last request is acknowledged; failures are told of every request.
    const first = this.send(transaction(requests), (index) => (index === requests.length ? NLM_F.NLM_F_ACK : 0));
    const failures: NetlinkError[] = [];
    for (let acknowledged = false; !acknowledged || this.hasMore(); ) {
      for (const message of this.receive()) {
        if (message.type !== NLMSG.NLMSG_ERROR) continue;
        const index = message.seq - first - 1;
        if (index < -1 || index >= requests.length) continue;
        acknowledged = true;
        const { errno: number, detail } = decodeError(message);
        // An error of the whole transaction is told as one of its beginning.
        if (number !== 0) failures.push(new NetlinkError(number, (requests[index] ?? begin).about, detail, Math.max(index, 0)));
      }
    }
    return failures.sort((one, other) => one.index - other.index);
  }

  /** The tables' generation, and who made it. */
  generation(): Generation {
    const request = netfilterRequest(NFNL.NFNL_SUBSYS_NFTABLES, NFT_MSG.NFT_MSG_GETGEN, AF.AF_UNSPEC, 0, "generation", []);
    const [answer] = this.request(request);
    return decodeGeneration(answer?.payload ?? new Uint8Array());
  }

  /** Handle of a table of the inet family: another one whenever it is made anew; undefined if there is none. */
  tableHandle(name: string): bigint | undefined {
    const request = netfilterRequest(
      NFNL.NFNL_SUBSYS_NFTABLES,
      NFT_MSG.NFT_MSG_GETTABLE,
      NFPROTO.NFPROTO_INET,
      0,
      `table inet ${name}`,
      [attr.string(NFTA.NFTA_TABLE_NAME, name)],
    );
    try {
      const [answer] = this.request(request);
      const handle = decodeAttributes(answer!.payload, NETFILTER_HEADER).get(NFTA.NFTA_TABLE_HANDLE);
      return handle === undefined ? 0n : Buffer.from(handle).readBigUInt64BE();
    } catch (error) {
      if (error instanceof NetlinkError && error.errno === errno.ENOENT) return undefined;
      throw error;
    }
  }
}
