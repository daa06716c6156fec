/**
 * Netlink, netlink(7): messages and attributes as bytes, and a socket that sends requests and gathers the answers.
 * All numbers are in the machine's byte order, little-endian on both architectures, unless a name ends in `be`.
 */
import { AF, MSG, SO, SOCK } from "./constants.ts";
import { errno, SysError } from "./errno.ts";
import { sys, sysRaw } from "./ffi.ts";
import { close } from "./file.ts";
import { NETLINK, NLA, NLM_F, NLMSG, NLMSGERR } from "./netconstants.ts";
import { setSocketOption } from "./socket.ts";

const align = (length: number): number => (length + 3) & ~3;

/** Parts one after the other. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** An attribute: type and payload, padded to four bytes. At most 65,531 bytes of payload. */
export function attribute(type: number, payload: Uint8Array): Uint8Array {
  const length = 4 + payload.length;
  if (length > 0xffff) throw new RangeError(`netlink attribute ${type}: ${payload.length} bytes, the most is 65531`);
  const bytes = new Uint8Array(align(length));
  bytes[0] = length & 0xff;
  bytes[1] = length >> 8;
  bytes[2] = type & 0xff;
  bytes[3] = type >> 8;
  bytes.set(payload, 4);
  return bytes;
}

/** Attribute encoders by payload. */
export const attr = {
  bytes: attribute,
  u8: (type: number, value: number): Uint8Array => attribute(type, Uint8Array.of(value)),
  u16: (type: number, value: number): Uint8Array => attribute(type, Uint8Array.of(value, value >> 8)),
  u16be: (type: number, value: number): Uint8Array => attribute(type, Uint8Array.of(value >> 8, value)),
  u32: (type: number, value: number): Uint8Array => attribute(type, Uint8Array.of(value, value >> 8, value >> 16, value >> 24)),
  u32be: (type: number, value: number): Uint8Array => attribute(type, Uint8Array.of(value >> 24, value >> 16, value >> 8, value)),
  u64: (type: number, value: bigint): Uint8Array => attribute(type, new Uint8Array(new BigUint64Array([value]).buffer)),
  /** NUL-terminated. */
  string: (type: number, value: string): Uint8Array => attribute(type, new TextEncoder().encode(`${value}\0`)),
  nested: (type: number, ...children: readonly Uint8Array[]): Uint8Array => attribute(type | NLA.NLA_F_NESTED, concat(children)),
} as const;

/** Attributes by type; of several with one type the last. */
export type Attributes = ReadonlyMap<number, Uint8Array>;

/** All attributes in order. Ends at the first that is cut off; never throws. The flag bits of the types are removed. */
export function* eachAttribute(bytes: Uint8Array, from = 0): Generator<readonly [type: number, payload: Uint8Array]> {
  for (let at = from; at + 4 <= bytes.length; ) {
    const length = bytes[at]! | (bytes[at + 1]! << 8);
    if (length < 4 || at + length > bytes.length) return;
    const type = (bytes[at + 2]! | (bytes[at + 3]! << 8)) & ~(NLA.NLA_F_NESTED | NLA.NLA_F_NET_BYTEORDER);
    yield [type, bytes.subarray(at + 4, at + length)];
    at += align(length);
  }
}

export const decodeAttributes = (bytes: Uint8Array, from = 0): Attributes => new Map(eachAttribute(bytes, from));

/** Readers of an attribute's payload; undefined if it is absent or too short. */
export const payload = {
  u8: (bytes: Uint8Array | undefined): number | undefined => bytes?.[0],
  u16: (bytes: Uint8Array | undefined): number | undefined =>
    bytes === undefined || bytes.length < 2 ? undefined : bytes[0]! | (bytes[1]! << 8),
  u32: (bytes: Uint8Array | undefined): number | undefined =>
    bytes === undefined || bytes.length < 4 ? undefined : viewOf(bytes).getUint32(0, true),
  u32be: (bytes: Uint8Array | undefined): number | undefined =>
    bytes === undefined || bytes.length < 4 ? undefined : viewOf(bytes).getUint32(0),
  /** Up to the first NUL. */
  string: (bytes: Uint8Array | undefined): string | undefined => {
    if (bytes === undefined) return undefined;
    const end = bytes.indexOf(0);
    return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
  },
} as const;

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** A request before it has a number. */
export interface NetlinkRequest {
  readonly type: number;
  /** Beside NLM_F_REQUEST and NLM_F_ACK, which are added. */
  readonly flags: number;
  readonly payload: Uint8Array;
  /** What it does, for the error message: "address 10.0.0.2/24 on 3". */
  readonly about: string;
}

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly seq: number;
  readonly payload: Uint8Array;
}

const HEADER = 16;

/** struct nlmsghdr and payload, padded to four bytes. */
export function encodeMessage({ type, flags, seq, payload: body }: NetlinkMessage): Uint8Array {
  const bytes = new Uint8Array(align(HEADER + body.length));
  const view = viewOf(bytes);
  view.setUint32(0, HEADER + body.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  view.setUint32(8, seq, true);
  bytes.set(body, HEADER);
  return bytes;
}

/** The messages of one datagram. Ends at the first that is cut off; never throws. */
export function* decodeMessages(bytes: Uint8Array): Generator<NetlinkMessage> {
  const view = viewOf(bytes);
  for (let at = 0; at + HEADER <= bytes.length; ) {
    const length = view.getUint32(at, true);
    if (length < HEADER || at + length > bytes.length) return;
    yield {
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      seq: view.getUint32(at + 8, true),
      payload: bytes.subarray(at + HEADER, at + length),
    };
    at += align(length);
  }
}

/** The kernel refused a request. `detail` is its own explanation (extended acknowledgement), where it gave one. */
export class NetlinkError extends SysError {
  /** Which request of the batch, from 0. */
  readonly index: number;

  constructor(number: number, about: string, detail: string | undefined, index: number) {
    super("netlink", number, { path: about, detail });
    this.index = index;
  }
}

/** errno (0 for success) and explanation of an NLMSG_ERROR, or of the end of a dump. */
export function decodeError(message: NetlinkMessage): { errno: number; detail: string | undefined } {
  const { payload: body, flags, type } = message;
  if (body.length < 4) return { errno: 0, detail: undefined };
  const view = viewOf(body);
  const number = -view.getInt32(0, true);
  if ((flags & NLM_F.NLM_F_ACK_TLVS) === 0) return { errno: number, detail: undefined };
  let from = 4;
  if (type === NLMSG.NLMSG_ERROR && body.length >= 4 + HEADER) {
    from += (flags & NLM_F.NLM_F_CAPPED) !== 0 ? HEADER : align(view.getUint32(4, true));
  }
  const detail = payload.string(decodeAttributes(body, from).get(NLMSGERR.NLMSGERR_ATTR_MSG));
  return { errno: number, detail: detail || undefined };
}

/** Requests per send: so their acknowledgements fit the socket's receive buffer. */
const BATCH = 64;

/**
 * A netlink socket, of the network namespace that the thread is in when it is made. One request, or batch, at a time:
 * calls are synchronous, and the kernel answers before the send returns.
 */
export class NetlinkSocket implements Disposable {
  readonly fd: number;
  #seq = 0;
  /** Bytes that may be sent at once: less than any default of net.core.wmem_default. */
  #room = 65536;
  readonly #buffer = new Uint8Array(65536);

  /** @param fd an open netlink socket, which then belongs to this object; otherwise one is opened */
  constructor(protocol: number, fd?: number) {
    this.fd = fd ?? sys("socket", "netlink", AF.AF_NETLINK, SOCK.SOCK_RAW | SOCK.SOCK_CLOEXEC, protocol);
    for (const option of [NETLINK.NETLINK_EXT_ACK, NETLINK.NETLINK_CAP_ACK, NETLINK.NETLINK_GET_STRICT_CHK]) {
      setSocketOption(this.fd, NETLINK.SOL_NETLINK, option, 1);
    }
    // An answer that never comes must not hang the process.
    sys("setsockopt", "netlink", this.fd, SO.SOL_SOCKET, SO.SO_RCVTIMEO, new BigInt64Array([5n, 0n]), 16);
  }

  close(): void {
    close(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Its number among the netlink sockets of the namespace: what it changes is told to others with this number. */
  get portId(): number {
    const address = new Uint8Array(12);
    const view = viewOf(address);
    sys("getsockname", "netlink", this.fd, address, new Uint32Array([12]));
    if (view.getUint32(4, true) === 0) {
      // It gets one by its first message, or now.
      sys("bind", "netlink", this.fd, Uint8Array.of(AF.AF_NETLINK, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), 12);
      sys("getsockname", "netlink", this.fd, address, new Uint32Array([12]));
    }
    return view.getUint32(4, true);
  }

  /**
   * Sends requests in one send (in blocks of 64) and waits for all acknowledgements. The kernel runs them in order and goes
   * on after one that fails.
   * @throws NetlinkError the first failure, after all were run
   */
  batch(requests: readonly NetlinkRequest[]): void {
    const failures = this.tryBatch(requests).filter((failure) => failure !== undefined);
    if (failures[0] !== undefined) throw failures[0];
  }

  /** Like `batch`, but returns what became of each request: undefined for success. */
  tryBatch(requests: readonly NetlinkRequest[]): (NetlinkError | undefined)[] {
    const results: (NetlinkError | undefined)[] = new Array(requests.length).fill(undefined);
    for (let from = 0; from < requests.length; from += BATCH) {
      const block = requests.slice(from, from + BATCH);
      const first = this.send(block, () => NLM_F.NLM_F_ACK);
      for (let open = block.length; open > 0; ) {
        for (const message of this.receive()) {
          const index = message.seq - first;
          if (message.type !== NLMSG.NLMSG_ERROR || index < 0 || index >= block.length) continue;
          const { errno: number, detail } = decodeError(message);
          if (number !== 0) results[from + index] = new NetlinkError(number, block[index]!.about, detail, from + index);
          open--;
        }
      }
    }
    return results;
  }

  /**
   * One request with its answers: the objects that a NLM_F_DUMP lists, or the one that a get returns.
   * A dump that changed while it was read is read again.
   * @throws NetlinkError
   */
  request(request: NetlinkRequest): NetlinkMessage[] {
    const isDump = (request.flags & NLM_F.NLM_F_DUMP) === NLM_F.NLM_F_DUMP;
    for (let attempt = 0; ; attempt++) {
      const { answers, interrupted } = this.#ask(request, isDump);
      if (!interrupted || attempt >= 16) return answers;
    }
  }

  #ask(request: NetlinkRequest, isDump: boolean): { answers: NetlinkMessage[]; interrupted: boolean } {
    const seq = this.send([request], () => (isDump ? 0 : NLM_F.NLM_F_ACK));
    const answers: NetlinkMessage[] = [];
    let interrupted = false;
    for (;;) {
      for (const message of this.receive()) {
        if (message.seq !== seq) continue;
        if ((message.flags & NLM_F.NLM_F_DUMP_INTR) !== 0) interrupted = true;
        if (message.type === NLMSG.NLMSG_ERROR || message.type === NLMSG.NLMSG_DONE) {
          const { errno: number, detail } = decodeError(message);
          if (number !== 0) throw new NetlinkError(number, request.about, detail, 0);
          return { answers, interrupted };
        }
        answers.push({ ...message, payload: message.payload.slice() });
      }
    }
  }

  /**
   * Sends requests as one datagram, each with the flags that `flagsOf` adds by its index.
   * @returns the sequence number of the first; the others follow
   */
  protected send(requests: readonly NetlinkRequest[], flagsOf: (index: number) => number): number {
    if (this.#seq + requests.length >= 0xffff_fff0) this.#seq = 0;
    const first = this.#seq + 1;
    this.#seq += requests.length;
    const bytes = concat(
      requests.map((request, index) =>
        encodeMessage({ ...request, flags: request.flags | NLM_F.NLM_F_REQUEST | flagsOf(index), seq: first + index }),
      ),
    );
    // The kernel takes what is 32 bytes smaller than the buffer, and makes it twice of what is asked for.
    if (bytes.length > this.#room) {
      setSocketOption(this.fd, SO.SOL_SOCKET, SO.SO_SNDBUFFORCE, bytes.length);
      this.#room = bytes.length;
    }
    sys("sendto", requests[0]?.about, this.fd, bytes, bytes.length, 0, null, 0);
    return first;
  }

  /** True if an answer is there that has not been received. */
  protected hasMore(): boolean {
    return sysRaw("recvfrom", this.fd, this.#buffer, 0, MSG.MSG_PEEK | MSG.MSG_DONTWAIT, null, null) >= 0;
  }

  /** The messages of the next datagram; they are valid until the next call. */
  protected receive(): Generator<NetlinkMessage> {
    for (;;) {
      const length = sysRaw("recvfrom", this.fd, this.#buffer, this.#buffer.length, MSG.MSG_TRUNC, null, null);
      if (length === -errno.EINTR) continue;
      if (length === -errno.EAGAIN)
        throw new SysError("recvfrom", errno.ETIMEDOUT, { path: "netlink", detail: "no answer for 5 s" });
      if (length < 0) throw new SysError("recvfrom", -length, { path: "netlink" });
      if (length > this.#buffer.length) throw new SysError("recvfrom", errno.EMSGSIZE, { path: "netlink" });
      return decodeMessages(this.#buffer.subarray(0, length));
    }
  }
}
