/** Requests about how fast a link sends, tc(8): its root queueing discipline. */
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

/** struct tcmsg: the root of a link. */
function rootOf(index: number): Uint8Array {
  const bytes = new Uint8Array(20);
  const view = new DataView(bytes.buffer);
  view.setInt32(4, index, true);
  view.setUint32(12, TC.TC_H_ROOT, true);
  return bytes;
}

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
