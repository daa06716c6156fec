/** `node`: the cluster that this host is in, or is not. */
import { hostname } from "node:os";
import { messageOf, OnggiError } from "../../lib/errors.ts";
import { NetworkError } from "../errors.ts";
import { familyOf } from "../prefixes.ts";
import type { ClusterStatus, JoinRequest, Node, Nodes, RemoteEndpoint } from "../types.ts";
import { Etcd, parseEtcdUrl } from "./etcd/index.ts";
import { Overlay, type OverlayParts } from "./overlay.ts";
import { Keys, type NodeRecord, nodeName, parseNode } from "./records.ts";
import { sourceAddress } from "./source-address.ts";
import { ClusterStore, type Joined } from "./store.ts";
import { generatePrivateKey, publicKeyOf, WIREGUARD_PORT } from "./wireguard.ts";

/** RFC 7348 section 5. */
const VXLAN_PORT = 4789;
const ALIVE_SECONDS = 30;
const ADDRESS_SECONDS = 86_400;
/** How long a host may take to become a member, in milliseconds. */
const JOIN_MS = 15_000;

const invalid = (message: string): NetworkError => new NetworkError("node_invalid", message);

export interface ClusterNodesParts extends OverlayParts {
  /** Of `cluster.db`. */
  readonly path: string;
}

export class ClusterNodes implements Nodes {
  readonly #parts: ClusterNodesParts;
  #overlay: Overlay | null = null;
  #joining = false;

  /** A host that was a member is one. */
  constructor(parts: ClusterNodesParts) {
    this.#parts = parts;
    const store = ClusterStore.open(parts.path, parts.log);
    if (store !== null) this.#overlay = new Overlay(parts, store);
  }

  /** Null: no member. */
  get overlay(): Overlay | null {
    return this.#overlay;
  }

  /** @throws NetworkError node_invalid for a host that is no member */
  get member(): Overlay {
    if (this.#overlay !== null) return this.#overlay;
    throw invalid("this host shares no networks with others yet: onggi node join etcd://HOST:2379");
  }

  async join(request: JoinRequest): Promise<Node> {
    if (this.#overlay !== null || this.#joining) {
      const where = this.#overlay?.cluster.node.name;
      throw new NetworkError(
        "node_exists",
        `this host is in a cluster already${where ? `, as ${where}` : ""}: onggi node leave first`,
      );
    }
    this.#joining = true;
    try {
      return await this.#join(await this.#prepare(request));
    } finally {
      this.#joining = false;
    }
  }

  /** What a host is to be a member as: looked at together with what the cluster has. @throws NetworkError */
  async #prepare(request: JoinRequest): Promise<Joined> {
    const { endpoints, user, password, prefix } = parseEtcdUrl(request.url, request);
    const { ca, cert, key, name = hostname(), port = VXLAN_PORT } = request;
    const { aliveSeconds: alive = ALIVE_SECONDS, addressSeconds: addresses = ADDRESS_SECONDS } = request;
    if (!nodeName.test(name))
      throw invalid(`node name "${name}": it has letters, digits, "_", "." and "-", and begins with one of the first two`);
    if ((cert === undefined) !== (key === undefined)) throw invalid("a certificate and its key go together: give both or none");
    if (!(port > 0 && port < 65_535)) throw invalid(`port ${port}: give 1 to 65534`);
    if (!(alive >= 2 && addresses >= alive))
      throw invalid("a node counts as up for 2 seconds at least, and keeps its addresses as long or longer");
    const credentials = { ...(user === undefined ? {} : { user }), ...(password === undefined ? {} : { password }) };
    const pems = {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    };
    const etcd = { endpoints, ...credentials, ...pems };
    const others = await this.#othersIn(etcd, prefix);
    const address = request.address ?? (await sourceAddress(endpoints));
    if (!this.#parts.kernel.net.addressList().some(({ ip }) => ip === address)) {
      throw invalid(`address ${address} is none of this host: give the one that other hosts reach by --address`);
    }
    if (/^127\.|^::1$/.test(address)) {
      throw invalid("etcd is reached by this host's loopback address: give the address that other hosts reach by --address");
    }
    for (const other of others) {
      if (other.name === name)
        throw new NetworkError("node_exists", `the cluster has a node ${name} already: choose another by --name`);
      if (other.address === address) {
        throw new NetworkError(
          "node_exists",
          `node ${other.name} of the cluster has address ${address}: if it is gone, onggi node rm ${other.name}`,
        );
      }
      if (familyOf(other.address) !== familyOf(address)) {
        throw invalid(
          `address ${address}: the cluster's nodes have addresses of IPv${familyOf(other.address)}, as ${other.address}`,
        );
      }
    }
    const id = Buffer.from(crypto.getRandomValues(new Uint8Array(8))).toString("hex");
    const privateKey = generatePrivateKey();
    const seal = { key: publicKeyOf(privateKey), sealPort: request.sealPort ?? WIREGUARD_PORT };
    const node = { id, name, address, ...seal, joined: Math.floor(Date.now() / 1000) };
    return { node, privateKey, etcd, prefix, port, leases: { alive, addresses } };
  }

  async #othersIn(options: Joined["etcd"], prefix: string): Promise<NodeRecord[]> {
    const etcd = new Etcd(options);
    try {
      const { entries } = await etcd.list(new Keys(prefix).nodes);
      return entries.flatMap(({ value }) => parseNode(value) ?? []);
    } catch (error) {
      if (!(error instanceof OnggiError)) throw error;
      throw new NetworkError("cluster_unavailable", `joining the cluster: ${messageOf(error)}`, { cause: error });
    } finally {
      etcd.close();
    }
  }

  async #join(joined: Joined): Promise<Node> {
    const { path, log } = this.#parts;
    const overlay = new Overlay(this.#parts, ClusterStore.make(path, joined, log));
    overlay.start();
    try {
      await within(overlay.cluster.connected(), JOIN_MS);
    } catch (error) {
      await overlay.leave().catch(() => overlay.discard());
      throw new NetworkError("cluster_unavailable", `joining the cluster: ${messageOf(error)}`, { cause: error });
    }
    this.#overlay = overlay;
    return this.#view(overlay, overlay.cluster.node);
  }

  async leave(): Promise<Node> {
    const overlay = this.member;
    const { state, forget } = this.#parts;
    const networks = state.networks().filter(({ driver }) => driver === "overlay");
    const used = networks.find(({ id }) => state.endpointsIn(id).length > 0);
    if (used !== undefined) {
      const who = state.endpointsIn(used.id).map(({ record }) => record.container.slice(0, 12));
      throw new NetworkError(
        "node_in_use",
        `network ${used.name} has containers ${who.slice(0, 5).join(", ")} of this host: disconnect them first`,
      );
    }
    const node = this.#view(overlay, overlay.cluster.node);
    await overlay.leave();
    for (const network of networks) forget(network);
    this.#overlay = null;
    return node;
  }

  status(): ClusterStatus | null {
    const overlay = this.#overlay;
    if (overlay === null) return null;
    const { endpoints, prefix } = overlay.where;
    return { node: this.#view(overlay, overlay.cluster.node), endpoints, prefix, ...overlay.cluster.status };
  }

  list(): readonly Node[] {
    const overlay = this.member;
    const nodes = overlay.cluster.mirror.nodes().map((node) => this.#view(overlay, node));
    return nodes.sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  async remove(reference: string): Promise<Node> {
    const overlay = this.member;
    const node = this.#view(overlay, overlay.cluster.findNode(reference));
    await overlay.cluster.removeNode(reference);
    return node;
  }

  remote(network: string): readonly RemoteEndpoint[] {
    return this.#overlay?.remote(network) ?? [];
  }

  #view({ cluster }: Overlay, { id, name, address, joined }: NodeRecord): Node {
    const isSelf = id === cluster.node.id;
    const isUp = isSelf ? cluster.status.connected : cluster.mirror.isAlive(id);
    const containers = new Set(cluster.mirror.claimsOf(id).map(({ container }) => container)).size;
    return { id, name, address, joined: new Date(joined * 1000).toISOString(), status: isUp ? "up" : "down", isSelf, containers };
  }

  async close(): Promise<void> {
    await this.#overlay?.close();
  }
}

async function within<T>(work: Promise<T>, milliseconds: number): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${milliseconds / 1000} s`)), milliseconds);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
