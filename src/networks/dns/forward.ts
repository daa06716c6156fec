/**
 * Questions that nobody here can answer, put to name servers: by datagram, by stream when an answer is cut off, to the next server
 * after a time-out. The same question in flight is asked once. Ids and source ports are random, and what does not answer the
 * question is no answer.
 */
import { EPOLL, SOCK } from "../../sys/constants.ts";
import type { Epoll } from "../../sys/epoll.ts";
import { sysRaw } from "../../sys/ffi.ts";
import { close } from "../../sys/file.ts";
import { connectSocket } from "../../sys/inet.ts";
import { AnswerCache } from "./cache.ts";
import { decodeResponse, encodeForwarded, type Query, questionKey, RCODE, type Response } from "./message.ts";
import type { Timers } from "./timers.ts";
import type { Upstream, UpstreamList } from "./upstreams.ts";

/** How long one server may take, the first time and the second, and by stream: milliseconds. */
const ATTEMPT_MS = 1000;
const SECOND_ATTEMPT_MS = 1500;
const STREAM_MS = 3000;
/** After this there is no answer: before glibc and musl, which wait for 5 s, ask again. */
const ALL_MS = 4500;
/** How long a server that did not answer is asked last. */
const DOWN_MS = 10_000;

const MOST_FLIGHTS = 2048;

/** An answer, and how many seconds ago it came; null: there is none to be had. */
export type Receiver = (response: Response | null, age: number) => void;

export interface Asker {
  /** True if a server's address is the asker's own: then it asks what it has been asked. */
  owns(ip: string): boolean;
}

export interface ForwarderOptions {
  readonly epoll: Epoll;
  readonly timers: Timers;
  readonly cache?: AnswerCache;
}

export class Forwarder {
  readonly #epoll: Epoll;
  readonly #timers: Timers;
  readonly #cache: AnswerCache;
  readonly #flights = new Map<string, Flight>();

  constructor({ epoll, timers, cache = new AnswerCache({ entries: 10_000, bytes: 8 * 2 ** 20 }) }: ForwarderOptions) {
    this.#epoll = epoll;
    this.#timers = timers;
    this.#cache = cache;
  }

  /** Questions that wait for servers. */
  get inFlight(): number {
    return this.#flights.size;
  }

  /** Null if an answer is not at hand. */
  cached(query: Query, upstreams: UpstreamList, now: number): { readonly response: Response; readonly age: number } | null {
    if (this.#cache.size === 0) return null;
    const kept = this.#cache.get(`${questionKey(query)} ${upstreams.key}`, now);
    return kept ? { response: kept.response, age: Math.floor((now - kept.at) / 1000) } : null;
  }

  /** Asks. `asked`: the query's bytes, which are not kept. The receiver is called once, perhaps before this returns. */
  ask(query: Query, asked: Uint8Array, upstreams: UpstreamList, asker: Asker, receive: Receiver): void {
    const key = `${questionKey(query)} ${upstreams.key}`;
    const running = this.#flights.get(key);
    if (running) {
      if (running.passes(asker)) receive(null, 0);
      else running.receivers.push(receive);
      return;
    }
    if (this.#flights.size >= MOST_FLIGHTS || upstreams.servers.length === 0) {
      receive(null, 0);
      return;
    }
    const flight = new Flight(this.#epoll, this.#timers, query, asked, upstreams.servers, (response) => {
      this.#flights.delete(key);
      if (response) this.#cache.put(key, response, performance.now());
      for (const each of flight.receivers) each(response, 0);
    });
    flight.receivers.push(receive);
    this.#flights.set(key, flight);
    flight.start();
  }
}

const datagram = new Uint8Array(65_536);
const randomIds = new Uint16Array(256);
let nextId = randomIds.length;

/** Random bytes in stock: the kernel is not asked for every two of them. */
function randomId(): number {
  if (nextId === randomIds.length) {
    crypto.getRandomValues(randomIds);
    nextId = 0;
  }
  return randomIds[nextId++]!;
}

/** One question on its way. */
class Flight {
  readonly receivers: Receiver[] = [];
  readonly #epoll: Epoll;
  readonly #timers: Timers;
  readonly #query: Query;
  readonly #question: Uint8Array;
  readonly #end: (response: Response | null) => void;
  /** Servers still to be asked, in this order. */
  readonly #rest: { readonly server: Upstream; readonly again: boolean }[];
  readonly #servers: readonly Upstream[];
  readonly #deadline = performance.now() + ALL_MS;
  #edns = true;
  #asked: Uint8Array = datagram;
  #fd = -1;
  #cancel: () => void = () => {};
  /** A refusal that stands if no server has an answer. */
  #refusal: Response | null = null;

  constructor(
    epoll: Epoll,
    timers: Timers,
    query: Query,
    asked: Uint8Array,
    servers: readonly Upstream[],
    end: (response: Response | null) => void,
  ) {
    this.#epoll = epoll;
    this.#timers = timers;
    this.#query = query;
    this.#question = asked.slice(0, query.end);
    this.#servers = servers;
    const now = performance.now();
    const up = servers.filter(({ downUntil }) => downUntil <= now);
    const down = servers.filter(({ downUntil }) => downUntil > now);
    this.#rest = [...up, ...down].map((server) => ({ server, again: false }));
    this.#end = end;
  }

  /** True if the asker is one of the servers that this question goes to. */
  passes(asker: Asker): boolean {
    return this.#servers.some(({ ip }) => asker.owns(ip));
  }

  start(): void {
    this.#next();
  }

  #next(): void {
    this.#stop();
    const next = this.#rest.shift();
    const left = this.#deadline - performance.now();
    if (!next || left <= 0) {
      this.#end(this.#refusal);
      return;
    }
    const { server, again } = next;
    this.#asked = encodeForwarded(this.#query, this.#question, randomId(), this.#edns);
    try {
      this.#fd = connectSocket(server.address, SOCK.SOCK_DGRAM);
    } catch {
      this.#next();
      return;
    }
    this.#epoll.add(this.#fd, EPOLL.EPOLLIN, () => this.#receive(server, again));
    sysRaw("sendto", this.#fd, this.#asked, this.#asked.length, 0, null, 0);
    this.#cancel = this.#timers.after(Math.min(again ? SECOND_ATTEMPT_MS : ATTEMPT_MS, left), () => {
      server.downUntil = performance.now() + DOWN_MS;
      if (!again) this.#rest.push({ server, again: true });
      this.#next();
    });
  }

  #receive(server: Upstream, again: boolean): void {
    for (;;) {
      const length = sysRaw("recvfrom", this.#fd, datagram, datagram.length, 0, null, null);
      if (length === -11 || length === -4) return;
      if (length < 0) {
        server.downUntil = performance.now() + DOWN_MS;
        this.#next();
        return;
      }
      const response = decodeResponse(datagram, length, this.#asked, this.#query.end);
      // What does not fit may be somebody's guess: the server's answer may yet come.
      if (!response) continue;
      server.downUntil = 0;
      if (response.truncated) this.#stream(server);
      else this.#take(response, server, again);
      return;
    }
  }

  #take(response: Response, server: Upstream, again: boolean): void {
    const { rcode } = response;
    if (rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN) {
      this.#stop();
      this.#end(response);
      return;
    }
    // RFC 6891 section 7: a server that does not know EDNS
    if (this.#edns && (rcode === RCODE.FORMERR || rcode === RCODE.NOTIMP || rcode >= 16)) {
      this.#edns = false;
      this.#rest.unshift({ server, again });
    } else if (response.bytes.length >= this.#query.end) this.#refusal = response;
    this.#next();
  }

  /** The same of the same server over TCP. */
  #stream(server: Upstream): void {
    this.#stop();
    try {
      this.#fd = connectSocket(server.address, SOCK.SOCK_STREAM);
    } catch {
      this.#next();
      return;
    }
    const message = new Uint8Array(this.#asked.length + 2);
    message[0] = this.#asked.length >> 8;
    message[1] = this.#asked.length;
    message.set(this.#asked, 2);
    let sent = 0;
    let received = new Uint8Array(0);
    this.#epoll.add(this.#fd, EPOLL.EPOLLOUT, () => {
      if (sent < message.length) {
        const count = sysRaw("sendto", this.#fd, message.subarray(sent), message.length - sent, 0x4000, null, 0);
        if (count < 0 && count !== -11 && count !== -4) this.#next();
        else if (count > 0) sent += count;
        if (sent === message.length) this.#epoll.modify(this.#fd, EPOLL.EPOLLIN);
        return;
      }
      const count = sysRaw("recvfrom", this.#fd, datagram, datagram.length, 0, null, null);
      if (count === -11 || count === -4) return;
      if (count <= 0) {
        this.#next();
        return;
      }
      const joined = new Uint8Array(received.length + count);
      joined.set(received);
      joined.set(datagram.subarray(0, count), received.length);
      received = joined;
      if (received.length < 2) return;
      const length = (received[0]! << 8) | received[1]!;
      if (received.length < length + 2) return;
      const response = decodeResponse(received.subarray(2), length, this.#asked, this.#query.end);
      if (response && !response.truncated) this.#take(response, server, true);
      else this.#next();
    });
    const left = this.#deadline - performance.now();
    this.#cancel = this.#timers.after(Math.max(0, Math.min(STREAM_MS, left)), () => this.#next());
  }

  #stop(): void {
    this.#cancel();
    if (this.#fd < 0) return;
    this.#epoll.remove(this.#fd);
    close(this.#fd);
    this.#fd = -1;
  }
}
