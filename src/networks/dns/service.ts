/** Names for the engine's containers, answered by a process of its own. */
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../lib/errors.ts";
import { closeSockets, Link } from "./link.ts";
import { JOIN_MOST, LOG_FILE } from "./protocol.ts";
import { namespaceId, openSockets, type Sockets } from "./sockets.ts";
import type { DnsContainer, DnsEndpoint, DnsNetwork } from "./types.ts";

export interface DnsServiceOptions {
  /** The engine's run directory. */
  readonly run: string;
  /** How `onggi` is called: "/usr/bin/onggi". */
  readonly command: readonly string[];
  log(message: string): void;
}

interface Served {
  readonly container: DnsContainer;
  readonly netns: string;
  readonly sockets: Sockets;
}

/** How long to wait for a resolver that was started: milliseconds. */
const START_MS = 10_000;
/** The same when the engine ends. */
const CLOSE_MS = 2000;
/** After one that did not come or did not last: twice as long each time, at most so long. One that lasts counts as no failure. */
const AGAIN_MS = 250;
const AGAIN_MOST_MS = 30_000;
const LASTS_MS = 10_000;

/**
 * The durable truth is the engine's: it says all of it to each new service, then `settled`, and after that what changes.
 *
 * - A container's name server is there when `serve` returns: its sockets are made here, questions wait in them until a resolver
 *   answers.
 * - The resolver lives on when the engine ends or is killed; the next service finds it, and takes over its containers without a gap.
 * - A resolver that ends is started again, and told everything.
 */
export class DnsService {
  readonly #options: DnsServiceOptions;
  readonly #networks = new Map<string, { network: DnsNetwork; readonly endpoints: Map<string, DnsEndpoint> }>();
  readonly #served = new Map<string, Served>();
  /** What the resolver of an earlier engine serves and nobody has asked for yet. */
  readonly #found = new Map<string, { readonly netns: string; readonly sockets: Sockets }>();
  readonly #adopted: Promise<void>;
  #link: Link | null = null;
  #linkedAt = 0;
  #failures = 0;
  /** Ends when a resolver is connected, or none is needed. */
  #starting: Promise<void> | null = null;
  #isSettled = false;
  #isClosed = false;

  /** Connects to a resolver that runs, if one does. Starts none before a container needs it. */
  constructor(options: DnsServiceOptions) {
    this.#options = options;
    this.#adopted = this.#connect().then(
      () => {},
      (error) => options.log(`the resolver cannot be reached: ${messageOf(error)}`),
    );
  }

  /** The resolver is connected: for what waits for it. */
  get isConnected(): boolean {
    return this.#link !== null;
  }

  /**
   * Gives a container its name server at 127.0.0.11, or changes what is known of one that has it. `netns`: the container's network
   * namespace, with its loopback device up; it is not kept, but the name server keeps the namespace alive until `forget`.
   * @throws SysError, NetlinkError
   */
  async serve(container: DnsContainer & { readonly netns: number }): Promise<void> {
    const { netns: fd, ...what } = container;
    await this.#adopted;
    const netns = namespaceId(fd);
    const former = this.#served.get(what.id);
    const found = this.#found.get(what.id);
    this.#found.delete(what.id);
    const known = [former, found].find((one) => one?.netns === netns);
    const sockets = known?.sockets ?? openSockets(fd);
    for (const other of [former, found]) if (other && other.sockets !== sockets) closeSockets(other.sockets);
    this.#served.set(what.id, { container: what, netns, sockets });
    this.#sayServed(this.#link, this.#served.get(what.id)!, known !== undefined);
    this.#start();
  }

  /** The container has ended, or has no networks any more. Idempotent. */
  forget(container: string): void {
    for (const map of [this.#served, this.#found]) {
      const one = map.get(container);
      map.delete(container);
      if (one) closeSockets(one.sockets);
    }
    this.#link?.send({ op: "forget", container });
  }

  /** Says a network, or what has changed of it; who is in it stays. */
  setNetwork({ id, name, internal, gateway4, gateway6 }: DnsNetwork): void {
    const network = { id, name, internal, gateway4, gateway6 };
    const known = this.#networks.get(id);
    if (known) known.network = network;
    else this.#networks.set(id, { network, endpoints: new Map() });
    this.#link?.send({ op: "network", network });
  }

  /** With all that are in it. */
  removeNetwork(network: string): void {
    this.#networks.delete(network);
    this.#link?.send({ op: "drop", network });
  }

  /** Puts a container, served or not, into a network that was said; or changes its names or addresses there. */
  join(network: string, endpoint: DnsEndpoint): void {
    this.#networks.get(network)?.endpoints.set(endpoint.container, endpoint);
    this.#link?.send({ op: "join", network, endpoints: [endpoint] });
  }

  leave(network: string, container: string): void {
    this.#networks.get(network)?.endpoints.delete(container);
    this.#link?.send({ op: "leave", network, container });
  }

  /** Everything has been said: what only an earlier engine said is forgotten. */
  async settled(): Promise<void> {
    await this.#adopted;
    this.#isSettled = true;
    for (const { sockets } of this.#found.values()) closeSockets(sockets);
    this.#found.clear();
    this.#link?.send({ op: "settled" });
  }

  /** The resolver goes on, unless no container needs it: one that is just being started is waited for. Idempotent. */
  async close(): Promise<void> {
    await this.#adopted;
    if (this.#starting) await Promise.race([this.#starting, Bun.sleep(CLOSE_MS)]);
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#served.size === 0 && this.#found.size === 0) this.#link?.send({ op: "stop" });
    for (const map of [this.#served, this.#found]) {
      for (const { sockets } of map.values()) closeSockets(sockets);
      map.clear();
    }
    this.#link?.close();
    this.#link = null;
  }

  /** True if one is there. */
  async #connect(): Promise<boolean> {
    const link = await Link.connect(this.#options.run, () => {
      this.#link = null;
      if (performance.now() - this.#linkedAt > LASTS_MS) this.#failures = 0;
      this.#start();
    });
    if (!link) return false;
    if (this.#isClosed) {
      for (const { sockets } of link.held) closeSockets(sockets);
      link.close();
      return false;
    }
    for (const { container, netns, sockets } of link.held) {
      if (this.#isSettled || this.#served.has(container) || this.#found.has(container)) closeSockets(sockets);
      else this.#found.set(container, { netns, sockets });
    }
    if (!link.speaksOurs) {
      link.send({ op: "stop" });
      link.close();
      this.#start();
      return false;
    }
    this.#link = link;
    this.#linkedAt = performance.now();
    this.#sayAll(link, new Map(link.held.map(({ container, netns }) => [container, netns])));
    return true;
  }

  #sayAll(link: Link, holds: ReadonlyMap<string, string>): void {
    for (const [id, { network, endpoints }] of this.#networks) {
      link.send({ op: "network", network });
      const list = [...endpoints.values()];
      for (let from = 0; from < list.length; from += JOIN_MOST) {
        link.send({ op: "join", network: id, endpoints: list.slice(from, from + JOIN_MOST) });
      }
    }
    for (const served of this.#served.values()) this.#sayServed(link, served, holds.get(served.container.id) === served.netns);
    if (this.#isSettled) link.send({ op: "settled" });
  }

  #sayServed(link: Link | null, { container, netns, sockets: { udp, tcp } }: Served, isHeld: boolean): void {
    link?.send({ op: "serve", container, netns, sockets: !isHeld }, isHeld ? [] : [udp, tcp]);
  }

  /** Sees to it that a resolver is connected, if a container needs one. Nobody waits for it. */
  #start(): void {
    if (this.#starting || this.#isNeedless()) return;
    this.#starting = (async () => {
      while (!this.#isNeedless()) {
        if (this.#failures > 0) await Bun.sleep(Math.min(AGAIN_MS * 2 ** (this.#failures - 1), AGAIN_MOST_MS));
        this.#failures += 1;
        try {
          await this.#startOnce();
        } catch (error) {
          this.#options.log(`the resolver does not start: ${messageOf(error)}`);
        }
      }
      this.#starting = null;
    })();
  }

  #isNeedless(): boolean {
    return this.#isClosed || this.#link !== null || this.#served.size === 0;
  }

  async #startOnce(): Promise<void> {
    if (await this.#connect()) return;
    const { run, command } = this.#options;
    mkdirSync(run, { recursive: true, mode: 0o711 });
    const log = openSync(join(run, LOG_FILE), "w", 0o600);
    let resolver: Bun.Subprocess;
    try {
      resolver = Bun.spawn([...command, "--run", run, "engine", "resolver"], {
        cwd: "/",
        detached: true,
        stdin: "ignore",
        stdout: log,
        stderr: log,
      });
    } finally {
      closeSync(log);
    }
    resolver.unref();
    const deadline = performance.now() + START_MS;
    for (let pause = 2; !this.#isNeedless(); pause = Math.min(pause * 1.5, 50)) {
      if (await this.#connect()) return;
      const { exitCode, signalCode } = resolver;
      if (exitCode || signalCode) throw new Error(`it ended with ${signalCode ?? exitCode}; see ${join(run, LOG_FILE)}`);
      if (performance.now() > deadline) throw new Error(`it does not answer; see ${join(run, LOG_FILE)}`);
      await Bun.sleep(pause);
    }
  }
}
