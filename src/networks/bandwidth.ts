/**
 * How fast a container sends and receives, by token buckets on the host, where the container reaches none of them.
 *
 * What it receives is what the host's end of its cable sends. What it sends arrives there, and is first sent through a link of the
 * kind ifb, the **shaper**: from there it goes on as if it came from the cable. A shaper has the cable's name with another first
 * letter, and is removed with it. While it is missing, nothing of what the container sends goes on.
 */
import {
  addIngress,
  deleteIngress,
  deleteRootDiscipline,
  isErrno,
  type NetlinkRequest,
  newLink,
  type Rtnetlink,
  redirectIngress,
  setLink,
  setTokenBucket,
  type TokenBucket,
} from "../sys/index.ts";
import { hasBridge, randomIndex } from "./bridge.ts";
import type { NetworkRecord } from "./database.ts";
import { NetworkError } from "./errors.ts";
import type { Bandwidth } from "./types.ts";

/** Bursts last this many seconds at the rate, and a packet waits at most as long as that. */
const BURST = 0.02;
const LATENCY = 0.05;
/** A segment as large as the kernel hands over at once, with its headers. */
const LEAST_BURST = 66_000;

/** The host's end of a cable. */
export interface CableEnd {
  readonly name: string;
  readonly index: number;
}

export const shaperName = (cable: string): string => `i${cable.slice(1)}`;
export const cableName = (shaper: string): string => `v${shaper.slice(1)}`;

/**
 * Limits as they are recorded: without those that are 0, which is none.
 * @throws NetworkError network_invalid for what is no rate, or for a network whose cables do not pass the host
 */
export function checkBandwidth(network: NetworkRecord, asked: Bandwidth): Bandwidth {
  const limits = Object.entries(asked).filter(([, rate]) => rate !== undefined && rate !== 0);
  for (const [direction, rate] of limits) {
    if (Number.isSafeInteger(rate) && rate > 0) continue;
    throw new NetworkError("network_invalid", `a container cannot be limited to ${direction} ${rate} bytes a second`);
  }
  if (limits.length > 0 && !hasBridge(network)) {
    throw new NetworkError(
      "network_invalid",
      `network ${network.name} cannot limit how fast a container sends and receives: with driver ${network.driver} its packets do not pass the host`,
    );
  }
  return Object.fromEntries(limits);
}

/** The token bucket for a rate in bytes per second. */
export function tokenBucket(rate: number): TokenBucket {
  const burst = Math.min(Math.max(Math.ceil(rate * BURST), LEAST_BURST), 2 ** 31);
  return { rate, burst, limit: Math.min(burst + Math.ceil(rate * LATENCY), 2 ** 32 - 1) };
}

const bucket = (index: number, rate: number): NetlinkRequest => setTokenBucket(index, tokenBucket(rate));

const newShaper = (name: string, index: number): NetlinkRequest => newLink({ kind: "ifb", name, index, up: true });

/** What limits a cable that is being made, before anything has come through it. */
export function limitRequests({ name, index }: CableEnd, { receive, send }: Bandwidth): NetlinkRequest[] {
  const shaper = randomIndex();
  return [
    ...(receive === undefined ? [] : [bucket(index, receive)]),
    ...(send === undefined
      ? []
      : [newShaper(shaperName(name), shaper), bucket(shaper, send), addIngress(index), redirectIngress(index, shaper)]),
  ];
}

/**
 * Makes a cable's limits these, whatever they were; an absent one is taken away. Idempotent.
 * @returns true if its shaper, should there be one, is to be removed
 * @throws NetlinkError EOPNOTSUPP or ENOENT where the kernel has no sch_tbf, ifb, sch_ingress, cls_u32 or act_mirred
 */
export function setLimits(net: Rtnetlink, { name, index }: CableEnd, { receive, send }: Bandwidth): boolean {
  if (receive === undefined) attempt(net, deleteRootDiscipline(index), "ENOENT", "EINVAL");
  else net.batch([bucket(index, receive)]);
  if (send === undefined) {
    attempt(net, deleteIngress(index), "ENOENT", "EINVAL");
    return true;
  }
  const found = net.linkByName(shaperName(name))?.index;
  const shaper = found ?? randomIndex();
  net.batch([
    found === undefined ? newShaper(shaperName(name), shaper) : setLink({ index: shaper, up: true }),
    bucket(shaper, send),
  ]);
  attempt(net, addIngress(index), "EEXIST");
  net.batch([redirectIngress(index, shaper)]);
  return false;
}

/** Sends a request whose failure with one of these errors means that it was so already. */
function attempt(net: Rtnetlink, request: NetlinkRequest, ...harmless: Parameters<typeof isErrno>[1][]): void {
  const [failure] = net.tryBatch([request]);
  if (failure !== undefined && !isErrno(failure, ...harmless)) throw failure;
}
