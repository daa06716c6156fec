/** Requests about how fast a link sends, and where what it receives goes, tc(8): its queueing disciplines and their filters. */
import { NLM_F, RTM, TC } from "./netconstants.ts";
import { attr, concat, type NetlinkRequest } from "./netlink.ts";

export interface TokenBucket {
  /** Bytes per second. */
  readonly rate: number;
  /** Bytes that may be sent at once after a pause. A packet larger than that is cut up, or dropped if it cannot be. */
  readonly burst: number;
  /** Bytes that may wait; what comes after is dropped. */
  readonly limit: number;
}

/** struct tcmsg. */
function place(index: number, { handle = 0, parent, info = 0 }: { handle?: number; parent: number; info?: number }): Uint8Array {
  const bytes = new Uint8Array(20);
  const view = new DataView(bytes.buffer);
  view.setInt32(4, index, true);
  view.setUint32(8, handle, true);
  view.setUint32(12, parent, true);
  view.setUint32(16, info, true);
  return bytes;
}

const rootOf = (index: number): Uint8Array => place(index, { parent: TC.TC_H_ROOT });

/**
 * Makes a link send by a token bucket, tc-tbf(8), in place of what stood there.
 * @throws RangeError if rate, burst or limit is not a positive integer, or burst or limit exceeds 32 bits
 */
export function setTokenBucket(index: number, { rate, burst, limit }: TokenBucket): NetlinkRequest {
  for (const [name, value] of Object.entries({ rate, burst, limit })) {
    if (!Number.isSafeInteger(value) || value <= 0 || (name !== "rate" && value > 0xffff_ffff)) {
      throw new RangeError(`token bucket: ${name} is ${value}`);
    }
  }
  // struct tc_tbf_qopt: two struct tc_ratespec, then limit, buffer, mtu. The kernel takes the burst from TCA_TBF_BURST.
  const parameters = new Uint8Array(36);
  const view = new DataView(parameters.buffer);
  view.setUint8(1, TC.TC_LINKLAYER_ETHERNET);
  view.setUint32(8, Math.min(rate, 0xffff_ffff), true);
  view.setUint32(24, limit, true);
  const options = [attr.bytes(TC.TCA_TBF_PARMS, parameters), attr.u32(TC.TCA_TBF_BURST, burst)];
  if (rate > 0xffff_fffe) options.push(attr.u64(TC.TCA_TBF_RATE64, BigInt(rate)));
  return {
    type: RTM.RTM_NEWQDISC,
    flags: NLM_F.NLM_F_CREATE | NLM_F.NLM_F_REPLACE,
    payload: concat([rootOf(index), attr.string(TC.TCA_KIND, "tbf"), attr.nested(TC.TCA_OPTIONS, ...options)]),
    about: `rate of link ${index}`,
  };
}

/** Lets a link send as it did before. ENOENT if nothing was set. */
export const deleteRootDiscipline = (index: number): NetlinkRequest => ({
  type: RTM.RTM_DELQDISC,
  flags: 0,
  payload: rootOf(index),
  about: `delete the rate of link ${index}`,
});

/** Where what a link receives can be looked at, "ffff:" of tc(8). */
const INGRESS = 0xffff_0000;
const ingressOf = (index: number): Uint8Array => place(index, { handle: INGRESS, parent: TC.TC_H_INGRESS });
/** Filters of priority 1, for every protocol (htons(ETH_P_ALL)); and the first filter of its kind. */
const EVERY_PACKET = (1 << 16) | 0x0300;
const FIRST_U32 = 0x8000_0800;

/** Lets filters see what a link receives. EEXIST if they do. */
export const addIngress = (index: number): NetlinkRequest => ({
  type: RTM.RTM_NEWQDISC,
  flags: NLM_F.NLM_F_CREATE | NLM_F.NLM_F_EXCL,
  payload: concat([ingressOf(index), attr.string(TC.TCA_KIND, "ingress")]),
  about: `filters of what link ${index} receives (sch_ingress)`,
});

/** Takes all filters of what a link receives away. ENOENT or EINVAL if there are none. */
export const deleteIngress = (index: number): NetlinkRequest => ({
  type: RTM.RTM_DELQDISC,
  flags: 0,
  payload: ingressOf(index),
  about: `delete the filters of what link ${index} receives`,
});

/**
 * All that a link receives is sent by the link `to` first; if that is an ifb, it then comes from the former as if nothing had been.
 * It takes the place of what was said before. When `to` goes, all is dropped. Needs `addIngress`; tc-u32(8), tc-mirred(8).
 */
export function redirectIngress(index: number, to: number): NetlinkRequest {
  // struct tc_u32_sel with one struct tc_u32_key, whose mask of zeros every packet matches
  const selector = new Uint8Array(32);
  selector[0] = TC.TC_U32_TERMINAL;
  selector[2] = 1;
  // struct tc_mirred
  const parameters = new Uint8Array(28);
  const view = new DataView(parameters.buffer);
  view.setInt32(8, TC.TC_ACT_STOLEN, true);
  view.setInt32(20, TC.TCA_EGRESS_REDIR, true);
  view.setUint32(24, to, true);
  const action = [
    attr.string(TC.TCA_ACT_KIND, "mirred"),
    attr.nested(TC.TCA_ACT_OPTIONS, attr.bytes(TC.TCA_MIRRED_PARMS, parameters)),
  ];
  return {
    type: RTM.RTM_NEWTFILTER,
    flags: NLM_F.NLM_F_CREATE | NLM_F.NLM_F_REPLACE,
    payload: concat([
      place(index, { handle: FIRST_U32, parent: INGRESS, info: EVERY_PACKET }),
      attr.string(TC.TCA_KIND, "u32"),
      attr.nested(TC.TCA_OPTIONS, attr.bytes(TC.TCA_U32_SEL, selector), attr.nested(TC.TCA_U32_ACT, attr.nested(1, ...action))),
    ]),
    about: `redirect what link ${index} receives to link ${to} (cls_u32, act_mirred)`,
  };
}
