/**
 * The resolver: answers the containers of one engine, and lives on when that is killed. A process of its own that waits for its
 * descriptors itself: `serveResolver` returns when it is no longer needed.
 */
import { readdirSync, readlinkSync } from "node:fs";
import { messageOf } from "../../lib/errors.ts";
import { RLIMIT } from "../../sys/constants.ts";
import { Epoll } from "../../sys/epoll.ts";
import { prlimit } from "../../sys/process.ts";
import { Control } from "./control.ts";
import { Forwarder } from "./forward.ts";
import { type Answerer, Listener } from "./listener.ts";
import {
  type Answer,
  datagramSize,
  decodeQuery,
  encodeAnswer,
  encodePassed,
  encodeRefusal,
  type Query,
  RCODE,
  TYPE,
} from "./message.ts";
import type { Order } from "./protocol.ts";
import { Timers } from "./timers.ts";
import type { DnsContainer } from "./types.ts";
import { HostUpstreams, type UpstreamList, upstreamList } from "./upstreams.ts";
import { type Found, Zones } from "./zone.ts";

/** Seconds for which our own names may be kept: addresses change. */
const TTL = 10;
/** Questions of one container that wait for name servers: so one's flood leaves room for the others. */
const MOST_WAITING = 256;
/** A server that a container would ask of itself. */
const OURSELVES = "127.0.0.11";

/** Without a container, and with an engine or without: milliseconds. */
const IDLE_MS = 60_000;
const IDLE_ALONE_MS = 5_000;
/** How often a resolver without an engine looks whether its containers are there. */
const LOOK_MS = 10_000;

/** Errors that nobody has foreseen, until the process ends. */
const MOST_FAILURES = 1000;

const CLASS_IN = 1;

class Client {
  readonly netns: string;
  readonly listener: Listener;
  container: DnsContainer;
  /** Null: those of the host. */
  upstreams: UpstreamList | null = null;
  waiting = 0;
  /** The connection over which it was said. */
  generation = 0;

  constructor(container: DnsContainer, netns: string, listener: Listener) {
    this.container = container;
    this.netns = netns;
    this.listener = listener;
  }
}

export interface ResolverOptions {
  /** The directory of its socket. */
  readonly run: string;
  readonly resolvConf?: string;
  log(message: string): void;
}

/** Serves until nobody needs it. False: another one does. */
export function serveResolver(options: ResolverOptions): boolean {
  const { hard } = prlimit(0, RLIMIT.RLIMIT_NOFILE);
  prlimit(0, RLIMIT.RLIMIT_NOFILE, { soft: hard, hard });
  const resolver = Resolver.open(options);
  if (!resolver) return false;
  resolver.run();
  return true;
}

class Resolver {
  readonly #epoll = new Epoll();
  readonly #timers = new Timers();
  readonly #zones = new Zones();
  readonly #clients = new Map<string, Client>();
  /** The connection over which a network or an endpoint was last said, by "network" or "network container". */
  readonly #said = new Map<string, number>();
  readonly #forwarder = new Forwarder({ epoll: this.#epoll, timers: this.#timers });
  readonly #host: HostUpstreams;
  readonly #control: Control;
  readonly #log: (message: string) => void;
  #isOver = false;
  #idleSince = performance.now();
  #looked = performance.now();

  static open(options: ResolverOptions): Resolver | null {
    const control = Control.open(options.run);
    return control && new Resolver(options, control);
  }

  private constructor({ resolvConf, log }: ResolverOptions, control: Control) {
    this.#host = new HostUpstreams(resolvConf);
    this.#control = control;
    this.#log = log;
    control.serve(this.#epoll, {
      held: () =>
        [...this.#clients.values()].map(({ container, netns, listener }) => ({
          container: container.id,
          netns,
          fds: listener.sockets,
        })),
      order: (order, fds) => this.#order(order, fds),
      log,
    });
  }

  run(): void {
    const orders = () => this.#control.receive();
    for (let failures = 0; !this.#isOver; ) {
      try {
        this.#epoll.wait(this.#timers.run(1000), orders);
        this.#tidy(performance.now());
      } catch (error) {
        // One container's trouble is not to be the others'; but what does not end is for a new process.
        failures += 1;
        if (failures > MOST_FAILURES) throw error;
        this.#log(messageOf(error));
      }
    }
    for (const id of this.#clients.keys()) this.#forget(id);
    this.#control.close();
    this.#epoll.close();
  }

  #tidy(now: number): void {
    const { isConnected } = this.#control;
    if (this.#clients.size > 0) this.#idleSince = now;
    else if (now - this.#idleSince > (isConnected ? IDLE_MS : IDLE_ALONE_MS)) this.#isOver = true;
    if (isConnected || now - this.#looked < LOOK_MS) return;
    this.#looked = now;
    const alive = namespacesOfProcesses();
    for (const [id, { netns }] of this.#clients) if (!alive.has(netns)) this.#forget(id);
  }

  #order(order: Order, fds: readonly number[]): void {
    try {
      this.#obey(order, fds);
    } catch (error) {
      this.#log(`${order.op}: ${messageOf(error)}`);
    }
  }

  #obey(order: Order, fds: readonly number[]): void {
    const { generation } = this.#control;
    switch (order.op) {
      case "serve":
        this.#serve(order.container, order.netns, fds);
        return;
      case "forget":
        this.#forget(order.container);
        return;
      case "network":
        this.#said.set(order.network.id, generation);
        this.#zones.setNetwork(order.network);
        return;
      case "drop":
        this.#drop(order.network);
        return;
      case "join":
        for (const endpoint of order.endpoints) {
          this.#said.set(`${order.network} ${endpoint.container}`, generation);
          this.#zones.join(order.network, endpoint);
        }
        return;
      case "leave":
        this.#leave(order.network, order.container);
        return;
      case "settled":
        this.#settle(generation);
        return;
      case "stop":
        this.#isOver = true;
        return;
    }
  }

  #serve(container: DnsContainer, netns: string, fds: readonly number[]): void {
    let client = this.#clients.get(container.id);
    const [udp, tcp] = fds;
    if (udp !== undefined && tcp !== undefined) {
      client?.listener.close();
      const answer: Answerer = (asked, length, limit, reply) => this.#answer(container.id, asked, length, limit, reply);
      client = new Client(container, netns, new Listener(this.#epoll, this.#timers, { udp, tcp }, answer));
      this.#clients.set(container.id, client);
    }
    if (client?.netns !== netns) throw new Error(`container ${container.id} came without its sockets`);
    client.container = container;
    client.generation = this.#control.generation;
    const others = container.upstreams.filter((ip) => ip !== OURSELVES);
    client.upstreams = container.upstreams.length === 0 ? null : upstreamList(others);
    this.#zones.setClient(container);
  }

  #forget(id: string): void {
    this.#clients.get(id)?.listener.close();
    this.#clients.delete(id);
    this.#zones.removeClient(id);
  }

  #drop(network: string): void {
    for (const { container } of this.#zones.endpointsIn(network)) this.#said.delete(`${network} ${container}`);
    this.#said.delete(network);
    this.#zones.removeNetwork(network);
  }

  #leave(network: string, container: string): void {
    this.#said.delete(`${network} ${container}`);
    this.#zones.leave(network, container);
  }

  /** Forgets what was said over earlier connections only. */
  #settle(generation: number): void {
    for (const [id, client] of this.#clients) if (client.generation !== generation) this.#forget(id);
    for (const [key, said] of this.#said) {
      if (said === generation) continue;
      const [network, container] = key.split(" ");
      if (container === undefined) this.#drop(network!);
      else this.#leave(network!, container);
    }
  }

  #answer(id: string, asked: Uint8Array, length: number, stream: number | null, reply: (answer: Uint8Array) => void): void {
    const query = decodeQuery(asked, length);
    if (query === null) return;
    if (typeof query === "number") {
      reply(encodeRefusal(asked, query));
      return;
    }
    const limit = stream ?? datagramSize(query);
    const refuse = (rcode: number, bytes = asked) => reply(encodeAnswer(query, bytes, { rcode, limit }));
    if (query.class !== CLASS_IN || query.type === TYPE.AXFR || query.type === TYPE.IXFR) {
      refuse(RCODE.REFUSED);
      return;
    }
    const found = this.#zones.find(id, query.name);
    if (found) {
      reply(encodeAnswer(query, asked, { answers: answersOf(found, query), ttl: TTL, limit, authoritative: true }));
      return;
    }
    const client = this.#clients.get(id);
    if (!client || !this.#zones.mayForward(id)) {
      refuse(RCODE.SERVFAIL);
      return;
    }
    const now = performance.now();
    const upstreams = client.upstreams ?? this.#host.current(now);
    const kept = this.#forwarder.cached(query, upstreams, now);
    if (kept) {
      reply(encodePassed(kept.response, query, asked, kept.age, limit));
      return;
    }
    if (client.waiting >= MOST_WAITING) {
      refuse(RCODE.SERVFAIL);
      return;
    }
    client.waiting += 1;
    const question = asked.slice(0, query.end);
    const asker = { owns: (ip: string) => this.#zones.isAddressOf(id, ip) };
    this.#forwarder.ask(query, asked, upstreams, asker, (response, age) => {
      client.waiting -= 1;
      if (response) reply(encodePassed(response, query, question, age, limit));
      else refuse(RCODE.SERVFAIL, question);
    });
  }
}

const recordsOf = (type: number, list: readonly Uint8Array[]): Answer[] => list.map((data) => ({ type, data }));

/** None for another type: the name exists, and nobody else is asked for it. */
function answersOf({ ipv4, ipv6, pointers }: Found, { type }: Query): readonly Answer[] {
  switch (type) {
    case TYPE.A:
      return recordsOf(TYPE.A, ipv4);
    case TYPE.AAAA:
      return recordsOf(TYPE.AAAA, ipv6);
    case TYPE.PTR:
      return recordsOf(TYPE.PTR, pointers);
    case TYPE.ANY:
      return [...recordsOf(TYPE.A, ipv4), ...recordsOf(TYPE.AAAA, ipv6), ...recordsOf(TYPE.PTR, pointers)];
    default:
      return [];
  }
}

/** Network namespaces that some process is in. */
function namespacesOfProcesses(): Set<string> {
  const found = new Set<string>();
  for (const pid of readdirSync("/proc")) {
    if (!/^[0-9]+$/.test(pid)) continue;
    try {
      found.add(readlinkSync(`/proc/${pid}/ns/net`).replace(/[^0-9]/g, ""));
    } catch {
      // it has ended, or is not ours to look at
    }
  }
  return found;
}
