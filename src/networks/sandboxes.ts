/** What running containers have of networks: interfaces, addresses, routes, published ports. */
import { messageOf, OnggiError } from "../lib/errors.ts";
import {
  type Attached,
  attachedOf,
  firewallPorts,
  gatewaysOf,
  newlyPublishable,
  planAttachments,
  publishable,
  publisher,
  releaseAddresses,
} from "./attachments.ts";
import type { NetworkRecord, PublicationRecord } from "./database.ts";
import { NetworkError } from "./errors.ts";
import type { Firewall, FirewallPort } from "./firewall/index.ts";
import { handOver, keptPorts } from "./hand-over.ts";
import { defaultRoutes, isConfigured, linksInside, moveDefaultRoutes, takeAddresses } from "./inside.ts";
import type { KernelNetworks, Wanted } from "./kernel.ts";
import { checkPublication, type PortClaims } from "./ports.ts";
import { familyOf } from "./prefixes.ts";
import type { EndpointEntry, NetworkState } from "./state.ts";
import type { Bandwidth, Publication, Published, Sandbox } from "./types.ts";

export interface SandboxParts {
  readonly tag: string;
  log(message: string): void;
  readonly state: NetworkState;
  readonly kernel: KernelNetworks;
  readonly firewall: Firewall;
  readonly ports: PortClaims;
  /** Makes a network in the kernel unless it is there; it may have another subnet afterwards. */
  ensure(network: NetworkRecord): void;
  /** Who has an address that no container of this host has. */
  elsewhere(network: NetworkRecord, ip: string): string;
  /** Takes planned addresses in networks that span hosts, all or none; what it returns is another host's, and others are to be chosen. */
  claim(planned: readonly Attached[]): Promise<readonly { readonly network: NetworkRecord; readonly ip: string }[]>;
}

/** Links of a namespace that is ending are gone this long, in milliseconds, after its container; what is there then is a stray. */
const SWEEP_AFTER = 5000;

const wantedOf = (attached: readonly Attached[]): Wanted[] =>
  attached.map(({ entry: { network, record }, attachment }) => ({ network, attachment, bandwidth: record.bandwidth }));

export class Sandboxes {
  readonly #parts: SandboxParts;
  readonly #background = new Set<Promise<void>>();
  #sweep: ReturnType<typeof setTimeout> | undefined;

  constructor(parts: SandboxParts) {
    this.#parts = parts;
  }

  /** All endpoints of a container; all or nothing. What is there already stays. */
  async attach(sandbox: Sandbox, publish: readonly Publication[]): Promise<void> {
    const { state } = this.#parts;
    const { container, netns } = sandbox;
    const entries = state.endpointsOf(container);
    const requests = publish.map(checkPublication);
    if (entries.some(({ attached }) => attached !== null)) {
      const names = new Set(linksInside(netns).map(({ name }) => name));
      if (entries.every(({ attached }) => attached !== null && names.has(attached.interface))) return;
      // Of another life of the container, which nobody told the end of.
      this.detach(container);
    }
    for (const { network } of entries) this.#parts.ensure(network);
    await this.#make(sandbox, entries, new Set(["lo"]), requests);
  }

  /** One endpoint more of a running container. It takes the default route and the published ports over if it comes first. */
  async attachOne(sandbox: Sandbox, network: NetworkRecord, publish: readonly Publication[]): Promise<EndpointEntry> {
    const { state } = this.#parts;
    const entry = this.#entry(sandbox.container, network);
    const names = new Set(linksInside(sandbox.netns).map(({ name }) => name));
    if (entry.attached !== null) {
      if (names.has(entry.attached.interface)) return entry;
      state.clearAttachment(entry);
    }
    this.#parts.ensure(network);
    const { requests } = state.publication(sandbox.container);
    await this.#make(sandbox, [entry], names, [...requests, ...newRequests(publish.map(checkPublication), requests)]);
    return entry;
  }

  /** Of a container that runs. What it publishes already and is to publish keeps its port; the others' ports are free for it again. */
  republish(container: string, publish: readonly Publication[]): void {
    const { state, ports } = this.#parts;
    const requests = publish.map(checkPublication);
    const attached = attachedOf(state.endpointsOf(container));
    const before = state.publication(container);
    const { kept, wanted } = keptPorts(before.published, requests);
    const gone = before.published.filter((port) => !kept.includes(port));
    ports.release(container, gone);
    let claimed: Publication[] = [];
    try {
      claimed = ports.claim(container, publishable(attached, wanted));
      const network = ({ hostIp }: Publication): string => publisher(attached, familyOf(hostIp))!.entry.network.id;
      const published = [...kept, ...claimed.map((port) => ({ ...port, network: network(port) }))];
      state.setAttached(container, [], { container, requests, published });
      this.#republish(firewallPorts(attached, before.published), firewallPorts(attached, published));
    } catch (error) {
      ports.release(container, claimed);
      ports.claim(container, gone);
      state.setAttached(container, [], before);
      if (error instanceof OnggiError) throw error;
      throw new NetworkError("network_failed", `ports of container ${container.slice(0, 12)}: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  /** Two containers that run: one publishes from now on what it is to, its ports taken from the other where that has them. */
  handOver(from: string, to: string, publish: readonly Publication[]): void {
    handOver(this.#parts, from, to, publish.map(checkPublication));
  }

  /** `names`: interfaces that the namespace has. */
  async #make(
    sandbox: Sandbox,
    entries: readonly EndpointEntry[],
    names: ReadonlySet<string>,
    requests: readonly Publication[],
  ): Promise<void> {
    const { state, kernel } = this.#parts;
    const { container, netns } = sandbox;
    const before = attachedOf(state.endpointsOf(container));
    const publishedBefore = state.publication(container);
    const added = await this.#plan(sandbox, entries, names);
    const all = [...before, ...added];
    const publication = this.#record(container, { added, all, requests, publishedBefore });
    const routes = { from: gatewaysOf(before), to: gatewaysOf(all) };
    try {
      await kernel.attach(netns, wantedOf(added), before.length === 0 ? routes.to : { ipv4: null, ipv6: null });
      if (before.length > 0) moveDefaultRoutes(netns, routes.from, routes.to);
      this.#republish(firewallPorts(before, publishedBefore.published), firewallPorts(all, publication.published));
    } catch (error) {
      await this.#undo(sandbox, { added, before, publication, publishedBefore });
      if (error instanceof OnggiError) throw error;
      throw new NetworkError("network_failed", `attaching container ${container.slice(0, 12)}: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  /** What endpoints are to have: its addresses are taken on this host, and in the cluster. */
  async #plan({ name }: Sandbox, entries: readonly EndpointEntry[], names: ReadonlySet<string>): Promise<Attached[]> {
    const { state, kernel, tag, claim, elsewhere } = this.#parts;
    for (;;) {
      const parentMac = (parent: string): string | undefined => kernel.net.linkByName(parent)?.address;
      const planned = planAttachments(state, entries, { tag, names, parentMac, name, elsewhere });
      const giveBack = (): void => {
        for (const { entry, attachment } of planned) releaseAddresses(state, entry.network, [attachment.ipv4, attachment.ipv6]);
      };
      try {
        const others = await claim(planned);
        if (others.length === 0) return planned;
        giveBack();
        for (const { network, ip } of others) state.allocator(network, familyOf(ip))?.takeFixed(ip);
      } catch (error) {
        giveBack();
        throw error;
      }
    }
  }

  /** Claims ports and records all, before the kernel: what a death in the middle leaves there is found by what is recorded. */
  #record(
    container: string,
    {
      added,
      all,
      requests,
      publishedBefore,
    }: {
      readonly added: readonly Attached[];
      readonly all: readonly Attached[];
      readonly requests: readonly Publication[];
      readonly publishedBefore: PublicationRecord;
    },
  ): PublicationRecord {
    const { state, ports } = this.#parts;
    try {
      const publication = this.#publication(container, all, requests, publishedBefore);
      try {
        state.setAttached(container, added, publication);
        return publication;
      } catch (error) {
        ports.release(container, newPorts(publication, publishedBefore));
        throw error;
      }
    } catch (error) {
      for (const { entry, attachment } of added) state.giveBack(entry, attachment);
      throw error;
    }
  }

  async #undo(
    { container, netns }: Sandbox,
    done: {
      readonly added: readonly Attached[];
      readonly before: readonly Attached[];
      readonly publication: PublicationRecord;
      readonly publishedBefore: PublicationRecord;
    },
  ): Promise<void> {
    const { state, kernel, ports, log } = this.#parts;
    const { added, before, publication, publishedBefore } = done;
    const attempt = async (work: () => void | Promise<void>): Promise<void> => {
      try {
        await work();
      } catch (error) {
        log(`networks: taking back what container ${container.slice(0, 12)} had got: ${messageOf(error)}`);
      }
    };
    const all = [...before, ...added];
    await attempt(() =>
      this.#republish(firewallPorts(all, publication.published), firewallPorts(before, publishedBefore.published)),
    );
    await attempt(() => kernel.detach(netns, wantedOf(added)));
    if (before.length > 0) await attempt(() => moveDefaultRoutes(netns, gatewaysOf(all), gatewaysOf(before)));
    ports.release(container, newPorts(publication, publishedBefore));
    if (before.length === 0) {
      state.clearContainer(container);
      return;
    }
    for (const { entry } of added) state.clearAttachment(entry);
    state.setAttached(container, [], publishedBefore);
  }

  /** What a container with these endpoints publishes: ports that it has already stay its own. Claims those that it has not. */
  #publication(
    container: string,
    attached: readonly Attached[],
    requests: readonly Publication[],
    before: PublicationRecord,
  ): PublicationRecord {
    const network = ({ hostIp }: Publication): string => publisher(attached, familyOf(hostIp))!.entry.network.id;
    const kept = before.published.filter(({ hostIp }) => publisher(attached, familyOf(hostIp)) !== undefined);
    const wanted =
      before.published.length === 0
        ? publishable(attached, requests)
        : [
            ...newlyPublishable(attached, before.requests, before.published),
            ...publishable(attached, newRequests(requests, before.requests)),
          ];
    const claimed = this.#parts.ports.claim(container, wanted);
    return { container, requests, published: [...kept, ...claimed].map((port) => ({ ...port, network: network(port) })) };
  }

  #republish(from: readonly FirewallPort[], to: readonly FirewallPort[]): void {
    const { firewall } = this.#parts;
    const key = (port: FirewallPort): string => JSON.stringify(port);
    const [had, has] = [new Set(from.map(key)), new Set(to.map(key))];
    const gone = from.filter((port) => !has.has(key(port)));
    const added = to.filter((port) => !had.has(key(port)));
    if (gone.length > 0) firewall.unpublish(gone);
    if (added.length > 0) firewall.publish(added);
  }

  #entry(container: string, network: NetworkRecord): EndpointEntry {
    const entry = this.#parts.state.endpoint(container, network);
    if (entry !== undefined) return entry;
    throw new NetworkError("endpoint_not_found", `container ${container.slice(0, 12)} is not in network ${network.name}`);
  }

  async disconnect(container: string, network: NetworkRecord, sandbox: Sandbox | null): Promise<void> {
    const { state, kernel, ports, log } = this.#parts;
    const entry = this.#entry(container, network);
    const before = attachedOf(state.endpointsOf(container));
    const gone = before.find((one) => one.entry === entry);
    if (gone !== undefined) {
      const after = before.filter((one) => one !== gone);
      const published = state.publication(container);
      const attempt = (what: string, work: () => void): void => {
        try {
          work();
        } catch (error) {
          log(`networks: disconnecting container ${container.slice(0, 12)} from ${network.name}: ${what}: ${messageOf(error)}`);
        }
      };
      let publication = { ...published, published: [] as readonly Published[] };
      attempt("published ports", () => {
        publication = this.#publication(container, after, published.requests, published);
      });
      attempt("rules", () =>
        this.#republish(firewallPorts(before, published.published), firewallPorts(after, publication.published)),
      );
      ports.release(container, newPorts(published, publication));
      state.setAttached(container, [], publication);
      // Before the kernel: an interface that nobody knows is a stray, and found.
      state.removeEndpoints([entry]);
      if (sandbox !== null) {
        const { netns } = sandbox;
        attempt("addresses", () => takeAddresses(netns, gone.attachment));
        attempt("routes", () => moveDefaultRoutes(netns, gatewaysOf(before), gatewaysOf(after)));
        this.#aside(kernel.detach(netns, wantedOf([gone])), `interface ${gone.attachment.interface}`);
      } else this.sweepSoon();
    } else state.removeEndpoints([entry]);
  }

  /** Of one endpoint, recorded before it is so: `repair` does the rest where this engine does not come to it. */
  async limit(entry: EndpointEntry, bandwidth: Bandwidth): Promise<void> {
    const { state, kernel } = this.#parts;
    const { record } = entry;
    state.changeEndpoint(entry, { ...record, bandwidth });
    if (entry.attached === null) return;
    const { network, attached: attachment } = entry;
    try {
      await kernel.limit({ network, attachment, bandwidth });
    } catch (error) {
      state.changeEndpoint(entry, record);
      throw new NetworkError(
        "network_failed",
        `limiting container ${record.container.slice(0, 12)} in network ${network.name}: ${messageOf(error)}`,
        { cause: error },
      );
    }
  }

  /** The container has ended: all that it had is free. Its links go with its namespace. Idempotent. */
  detach(container: string): void {
    const { state, kernel, firewall, ports, log } = this.#parts;
    const attached = attachedOf(state.endpointsOf(container));
    const { published } = state.publication(container);
    if (attached.length === 0 && published.length === 0) return;
    this.#aside(kernel.removeShapers(wantedOf(attached)), `limits of container ${container.slice(0, 12)}`);
    for (const work of [
      () => (published.length > 0 ? firewall.unpublish(firewallPorts(attached, published)) : undefined),
      () => ports.release(container),
      () => state.clearContainer(container),
    ]) {
      try {
        work();
      } catch (error) {
        log(`networks: taking away what container ${container.slice(0, 12)} had: ${messageOf(error)}`);
      }
    }
    this.sweepSoon();
  }

  /** What the firewall is to know of all that is published. */
  firewallPorts(): FirewallPort[] {
    const { state } = this.#parts;
    return state
      .attachedContainers()
      .flatMap((container) => firewallPorts(attachedOf(state.endpointsOf(container)), state.publication(container).published));
  }

  /** Claims all ports that are published, after a start. A port that a process of the host has got meanwhile stays its own. */
  reclaimPorts(): void {
    const { state, ports, log } = this.#parts;
    for (const container of state.attachedContainers()) {
      ports.release(container);
      for (const published of state.publication(container).published) {
        try {
          ports.claim(container, [published]);
        } catch (error) {
          log(`networks: container ${container.slice(0, 12)} goes on answering, but ${messageOf(error)}`);
        }
      }
    }
  }

  /** Makes again what running containers should have and have not. */
  async repair(running: readonly Sandbox[]): Promise<void> {
    const { state, kernel, log } = this.#parts;
    const links = new Map(kernel.net.linkList().map((link) => [link.name, link]));
    for (const { container, netns } of running) {
      const attached = attachedOf(state.endpointsOf(container));
      for (const one of attached) {
        const [wanted] = wantedOf([one]);
        try {
          if (kernel.repair(wanted!, links)) continue;
          await kernel.attach(netns, [wanted!], { ipv4: null, ipv6: null });
          moveDefaultRoutes(netns, { ipv4: null, ipv6: null }, gatewaysOf(attached));
        } catch (error) {
          log(
            `networks: container ${container.slice(0, 12)} in ${one.entry.network.name} cannot be repaired: ${messageOf(error)}`,
          );
        }
      }
    }
  }

  /** A running container that was connected or disconnected when an engine died has all that it should have. */
  async settle(sandbox: Sandbox): Promise<void> {
    const { state, kernel, log } = this.#parts;
    const { container, netns } = sandbox;
    for (const entry of state.endpointsOf(container).filter(({ attached }) => attached === null)) {
      try {
        await this.attachOne(sandbox, entry.network, []);
      } catch (error) {
        log(
          `networks: container ${container.slice(0, 12)} was to be connected to ${entry.network.name}, and is not: ${messageOf(error)}`,
        );
        state.removeEndpoints([entry]);
      }
    }
    const attached = attachedOf(state.endpointsOf(container));
    const half = wantedOf(attached).filter(({ attachment }) => !isConfigured(netns, attachment));
    await kernel.detach(netns, half);
    await kernel.attach(netns, half, { ipv4: null, ipv6: null });
    moveDefaultRoutes(netns, defaultRoutes(netns), gatewaysOf(attached));
  }

  /** Removes links that carry our tag and that nobody knows, some time from now; no such look is done twice. */
  sweepSoon(delay = SWEEP_AFTER): void {
    if (delay === 0) {
      this.#aside(this.#removeStrays(), "strays");
      return;
    }
    if (this.#sweep !== undefined) return;
    this.#sweep = setTimeout(() => {
      this.#sweep = undefined;
      this.#aside(this.#removeStrays(), "strays");
    }, delay);
    this.#sweep.unref();
  }

  async #removeStrays(): Promise<void> {
    const { state, kernel } = this.#parts;
    const networks = state.networks().map(({ id }) => id);
    const attached = networks.flatMap((id) => state.endpointsIn(id)).flatMap((entry) => entry.attached?.hostInterface ?? []);
    await kernel.removeStrays(kernel.strays(new Set(attached), new Set(networks)));
  }

  #aside(work: Promise<void>, what: string): void {
    const watched: Promise<void> = work
      .catch((error) => this.#parts.log(`networks: removing ${what}: ${messageOf(error)}`))
      .finally(() => this.#background.delete(watched));
    this.#background.add(watched);
  }

  async idle(): Promise<void> {
    await Promise.all(this.#background);
  }

  close(): void {
    clearTimeout(this.#sweep);
    this.#parts.ports.close();
  }
}

/** Ports that the one has and the other has not. */
const newPorts = (one: PublicationRecord, other: PublicationRecord): Published[] =>
  one.published.filter((port) => !other.published.some((published) => isSamePort(published, port)));

/** Requests that are not among those of before. */
function newRequests(requests: readonly Publication[], before: readonly Publication[]): Publication[] {
  const known = new Set(before.map((request) => JSON.stringify(request)));
  return requests.filter((request) => !known.has(JSON.stringify(request)));
}

const isSamePort = (one: Publication, other: Publication): boolean =>
  one.protocol === other.protocol && one.hostIp === other.hostIp && one.hostPort === other.hostPort;
