/**
 * A name server for tests: it answers each name as it is told, and counts what it was asked.
 *
 *     const server = new NameServer();
 *     server.names.set("a.test", { addresses: ["192.0.2.1"], ttl: 60 });
 *     await server.listen(host, "127.0.0.1");
 */
import { decodeQuery, type Query, RCODE, TYPE } from "../../src/networks/dns/message.ts";
import { parseIp } from "../../src/sys/ipaddress.ts";
import type { Netns } from "./netns.ts";

export interface Told {
  /** None: there is no such type, or name. */
  readonly addresses?: readonly string[];
  readonly ttl?: number;
  readonly rcode?: number;
  /** Says nothing. */
  readonly silent?: boolean;
  /** Before the answer come others: with another id, with another question, and cut off. */
  readonly forged?: boolean;
  /** Refuses questions with EDNS. */
  readonly old?: boolean;
  /** Says by datagram that the answer is cut off. */
  readonly long?: boolean;
}

const u16 = (value: number): number[] => [(value >> 8) & 255, value & 255];
const u32 = (value: number): number[] => [...u16(value >>> 16), ...u16(value & 0xffff)];

export class NameServer {
  readonly names = new Map<string, Told>();
  /** How often a name was asked for, by datagram and by stream. */
  readonly datagrams = new Map<string, number>();
  readonly streams = new Map<string, number>();
  /** What it says of names that it was told nothing about. */
  #other: Told;

  constructor(other: Told = { rcode: RCODE.NXDOMAIN, ttl: 60 }) {
    this.#other = other;
  }

  /** On port 53 of an address, until the namespace is closed. */
  async listen(where: Netns, hostname: string): Promise<void> {
    where.keep(
      await where.inside(() =>
        Bun.udpSocket({
          hostname,
          port: 53,
          socket: {
            data: (socket, bytes, port, address) => {
              for (const answer of this.#answer(bytes, false)) socket.send(answer, port, address);
            },
          },
        }),
      ),
    );
    where.keep(
      where.inside(() =>
        Bun.listen({
          hostname,
          port: 53,
          socket: {
            data: (socket, bytes) => {
              for (const answer of this.#answer(bytes.subarray(2), true))
                socket.write(Uint8Array.from([...u16(answer.length), ...answer]));
            },
          },
        }),
      ),
    );
  }

  asked(name: string): number {
    return (this.datagrams.get(name) ?? 0) + (this.streams.get(name) ?? 0);
  }

  #answer(bytes: Uint8Array, isStream: boolean): Uint8Array[] {
    const query = decodeQuery(bytes, bytes.length);
    if (query === null || typeof query === "number") return [];
    const count = isStream ? this.streams : this.datagrams;
    count.set(query.name, (count.get(query.name) ?? 0) + 1);
    const told = this.names.get(query.name) ?? this.#other;
    if (told.silent) return [];
    if (told.old && query.edns !== null) return [encode(query, bytes, { rcode: RCODE.FORMERR })];
    if (told.long && !isStream) return [Uint8Array.from(encode(query, bytes, {}), (byte, at) => (at === 2 ? byte | 2 : byte))];
    const answer = encode(query, bytes, told);
    if (!told.forged) return [answer];
    const forgery = encode(query, bytes, { ...told, addresses: ["203.0.113.66"] });
    const withId = forgery.slice();
    withId[0]! ^= 1;
    const withQuestion = forgery.slice();
    withQuestion[13]! ^= 1;
    return [withId, withQuestion, forgery.slice(0, -1), answer];
  }
}

/** With the zone's SOA record where there is nothing, RFC 2308. */
function encode(query: Query, asked: Uint8Array, { addresses = [], ttl = 0, rcode = 0 }: Told): Uint8Array {
  const wanted = addresses.map(parseIp).filter(({ length }) => (length === 4 ? TYPE.A : TYPE.AAAA) === query.type);
  const soa = wanted.length === 0 && rcode !== RCODE.FORMERR;
  return Uint8Array.from([
    ...u16(query.id),
    ...u16(0x8580 | rcode),
    ...[1, wanted.length, soa ? 1 : 0, 0].flatMap(u16),
    ...asked.subarray(12, query.end),
    ...wanted.flatMap((data) => [0xc0, 12, ...u16(query.type), 0, 1, ...u32(ttl), ...u16(data.length), ...data]),
    ...(soa ? [0, ...u16(TYPE.SOA), 0, 1, ...u32(ttl), ...u16(22), 0, 0, ...[1, 2, 3, 4, ttl].flatMap(u32)] : []),
  ]);
}
