/**
 * How fast a container sends and receives. Each end of its cable sends by a token bucket: the host's end what the container receives,
 * the container's end what it sends. Both go with the cable, so nothing has to be taken away. A container with CAP_NET_ADMIN in its
 * network namespace can take the limit of what it sends away.
 */
import { deleteRootDiscipline, isErrno, type NetlinkRequest, type Rtnetlink, setTokenBucket } from "../sys/index.ts";

/** Bytes per second; absent: no limit. */
export interface Bandwidth {
  readonly receive?: number;
  readonly send?: number;
}

/** Bursts last this many seconds at the rate, and a packet waits at most as long as that. */
const BURST = 0.02;
const LATENCY = 0.05;
/** A segment as large as the kernel hands over at once, with its headers. */
const LEAST_BURST = 66_000;

/** The request that makes one end of a cable send no faster than `rate` bytes per second. @throws RangeError */
export function limitRequest(index: number, rate: number): NetlinkRequest {
  const burst = Math.min(Math.max(Math.ceil(rate * BURST), LEAST_BURST), 2 ** 31);
  return setTokenBucket(index, { rate, burst, limit: Math.min(burst + Math.ceil(rate * LATENCY), 2 ** 32 - 1) });
}

/** Sets, changes or takes away the limit of one end. @throws NetlinkError */
export function limitEnd(net: Rtnetlink, index: number, rate: number | undefined): void {
  if (rate !== undefined) {
    net.batch([limitRequest(index, rate)]);
    return;
  }
  const [failure] = net.tryBatch([deleteRootDiscipline(index)]);
  if (failure !== undefined && !isErrno(failure, "ENOENT", "EINVAL")) throw failure;
}

/**
 * Sets both limits of a cable: `host` and `container` speak to the namespaces of its ends.
 * @throws NetlinkError ENOENT or EOPNOTSUPP where the kernel has no sch_tbf; RangeError for a rate that is not a positive integer
 */
export function limitBandwidth(
  host: { readonly net: Rtnetlink; readonly index: number },
  container: { readonly net: Rtnetlink; readonly index: number },
  { receive, send }: Bandwidth,
): void {
  limitEnd(host.net, host.index, receive);
  limitEnd(container.net, container.index, send);
}
