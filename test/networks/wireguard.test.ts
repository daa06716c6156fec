/**
 * Tunnels between hosts that seal what they send each other, with real traffic. Needs root and a kernel with WireGuard: `make test-vm`
 * has one.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { tunnelMtu } from "../../src/networks/overlay/tunnel.ts";
import {
  generatePrivateKey,
  type Node,
  publicKeyOf,
  Sealed,
  sealedAddress,
  sealedMtu,
} from "../../src/networks/overlay/wireguard.ts";
import { RT, Rtnetlink, Wireguard } from "../../src/sys/index.ts";
import { ask, Netns, serve, tryTcp } from "../kit/netns.ts";
import { skipLoudly } from "../kit/skip.ts";
import { refusal, until } from "./networks-host.ts";
import {
  forgedPacket,
  Lan,
  listen,
  overlayNetwork,
  Sniffer,
  send,
  TAG,
  type TestContainer,
  TunnelHost,
  VNI,
} from "./tunnel-hosts.ts";

const isRoot = process.geteuid?.() === 0;
const exists = ((): boolean => {
  using wireguard = new Wireguard();
  return wireguard.exists();
})();
if (!exists) skipLoudly("encryption between hosts: this kernel has no WireGuard");

const PORT = 51820;
const SECRET = "attack at dawn";

/** A host whose tunnels are sealed. */
class SealedHost extends TunnelHost {
  readonly sealed: Sealed;
  readonly number: number;
  readonly lan: Lan;
  privateKey = generatePrivateKey();

  constructor(lan: Lan, number: number) {
    super(lan, number, { ...overlayNetwork(6), mtu: tunnelMtu(sealedMtu(1500), 6) });
    this.lan = lan;
    this.number = number;
    this.sealed = this.netns.inside(() => new Sealed(this.kernel.net, TAG));
    this.seal();
  }

  seal(): void {
    this.address = this.netns.inside(() =>
      this.sealed.ensure({ privateKey: this.privateKey, port: PORT, cluster: "test", underlay: 1500 }),
    );
    this.tunnel = { ...this.tunnel, local: this.address };
    this.ensure();
  }

  get node(): Node {
    return { publicKey: publicKeyOf(this.privateKey), address: this.lan.addressOf(this.number), port: PORT };
  }

  override close(): void {
    this.sealed.close();
    super.close();
  }
}

describe.skipIf(!isRoot || !exists).each([4, 6] as const)("sealed tunnels over IPv%d", (family) => {
  let lan: Lan;
  let hosts: [SealedHost, SealedHost, SealedHost];
  let containers: [TestContainer, TestContainer, TestContainer];

  const tell = (): void => {
    for (const host of hosts) {
      const others = hosts.filter((other) => other !== host);
      host.sealed.setNodes(others.map(({ node }) => node));
      host.tunnels.setPeers(
        host.network,
        others.flatMap((other) => other.containers.map((one) => other.peerOf(one))),
      );
      host.firewall.setNodes({ ports: [], sealedPorts: [4789], addresses: [], carriers: [host.sealed.interface] });
    }
  };
  const contains = (frames: readonly Uint8Array[], text: string): boolean =>
    frames.some((frame) => Buffer.from(frame).includes(text));

  beforeAll(() => {
    lan = new Lan(family);
    hosts = [new SealedHost(lan, 1), new SealedHost(lan, 2), new SealedHost(lan, 3)];
    containers = [hosts[0].start(11), hosts[1].start(12), hosts[2].start(13)];
    for (const { netns } of containers) serve(netns, 80);
    tell();
  });
  afterAll(() => {
    for (const host of hosts) host.close();
    lan.close();
  });

  test("containers reach each other, and the wire sees nothing of it", async () => {
    using sniffer = new Sniffer(lan);
    for (const from of containers) {
      for (const to of containers) {
        expect(await ask(from.netns, to.ipv4, 80)).toBe(`${to.netns.name} ${from.ipv4}`);
        expect(await ask(from.netns, to.ipv6, 80)).toBe(`${to.netns.name} ${from.ipv6}`);
      }
    }
    const [a, b] = containers;
    const got = await listen(b.netns, 5000);
    await until("it arrives", () => send(a.netns, b.ipv4, 5000, Buffer.from(SECRET)) && got.length > 0);
    expect(got[0]).toBe(SECRET);
    const frames = sniffer.takeFrames();
    expect(frames.length).toBeGreaterThan(20);
    expect(contains(frames, SECRET)).toBe(false);
    expect(contains(frames, "c12 10.1.0.11")).toBe(false);
    // Whole packets on the wire, although the network's are as large as they may be.
    const large = await listen(b.netns, 5001);
    const payload = hosts[0].network.mtu - 28;
    await until("a large one arrives", () => send(a.netns, b.ipv4, 5001, new Uint8Array(payload)) && large.length > 0);
    expect(large[0]).toHaveLength(payload);
    const sizes = sniffer.takeFrames().map(({ length }) => length - 14);
    expect(Math.max(...sizes)).toBeGreaterThan(1460);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(1500);
  });

  test("the kernel has the keys, and the addresses follow from them", () => {
    using wireguard = hosts[0].netns.inside(() => new Wireguard());
    const device = wireguard.device(hosts[0].netns.net.requireLink(`wg-${TAG}`).index);
    expect(device).toMatchObject({ publicKey: publicKeyOf(hosts[0].privateKey), port: PORT });
    expect(device.peers.toSorted((one, other) => one.endpoint!.address.localeCompare(other.endpoint!.address))).toEqual(
      [hosts[1], hosts[2]].map(({ node: { publicKey, address }, address: inside }) => ({
        publicKey,
        endpoint: { address, port: PORT },
        allowed: [`${inside}/128`],
        keepalive: 0,
      })),
    );
    for (const { address, privateKey } of hosts) expect(address).toBe(sealedAddress("test", publicKeyOf(privateKey)));
  });

  test("nothing but tunnels comes by it", async () => {
    const [one, two] = hosts;
    serve(two.netns, 90);
    expect(await ask(one.netns, lan.addressOf(2), 90)).toBe(`host2 ${lan.addressOf(1)}`);
    expect(await tryTcp(one.netns, two.address, 90)).toBe("silence");
    // a container's packets have the host's address, as to everywhere
    expect(await tryTcp(containers[0].netns, two.address, 90)).toBe("silence");
  });

  test("a node's address in the clear is not believed", async () => {
    const [one, two] = hosts;
    const [a, b] = containers;
    using stranger = new Netns("stranger");
    lan.join(stranger, 66);
    stranger.address("eth0", `${two.address}/128`);
    const { index } = stranger.net.requireLink("eth0");
    stranger.net.addRoute({ to: `${one.address}/128`, gateway: "2001:db8::1", index, source: two.address });
    const got = await listen(a.netns, 5002);
    const forge = (text: string): boolean => send(stranger, one.address, 4789, forgedPacket(VNI, a, b.ipv4, 5002, text));
    one.firewall.setNodes({ ports: [], addresses: [] });
    await until("it is believed without rules", () => forge("believed") && got.includes("believed"));
    tell();
    for (let count = 0; count < 3; count++) forge("forged");
    await until("the last", () => send(b.netns, a.ipv4, 5002, Buffer.from("by itself")) && got.includes("by itself"));
    expect(got).not.toContain("forged");
  });

  test("a host that is no node any more is not heard, nor one with another key", async () => {
    const [one, two, three] = hosts;
    const [a, b] = containers;
    one.sealed.setNodes([three.node]);
    expect(await tryTcp(a.netns, b.ipv4, 80)).toBe("silence");
    expect(await tryTcp(b.netns, a.ipv4, 80)).toBe("silence");
    expect(await ask(containers[2].netns, a.ipv4, 80)).toBe(`c11 ${containers[2].ipv4}`);
    // An impostor: at the node's place, with a key of its own.
    one.sealed.setNodes([{ ...two.node, publicKey: publicKeyOf(generatePrivateKey()) }, three.node]);
    expect(await tryTcp(b.netns, a.ipv4, 80)).toBe("silence");
    tell();
    expect(await ask(a.netns, b.ipv4, 80)).toBe(`c12 ${a.ipv4}`);
    // A new key is a new address.
    const before = two.address;
    two.privateKey = generatePrivateKey();
    two.seal();
    expect(two.address).not.toBe(before);
    expect(two.netns.net.addressList(two.netns.net.requireLink(`wg-${TAG}`).index).map(({ ip }) => ip)).toEqual([two.address]);
    tell();
    expect(await ask(a.netns, b.ipv4, 80)).toBe(`c12 ${a.ipv4}`);
    expect(await ask(b.netns, a.ipv6, 80)).toBe(`c11 ${b.ipv6}`);
  });

  test("where the link is gone nothing leaves in the clear; it is made again", async () => {
    const [one] = hosts;
    const [a, b] = containers;
    // There is a way to everywhere.
    one.netns.net.addRoute({ to: "default", gateway: "2001:db8::2" });
    one.netns.net.deleteLink({ name: `wg-${TAG}` });
    using sniffer = new Sniffer(lan);
    for (let count = 0; count < 3; count++) send(a.netns, b.ipv4, 5000, Buffer.from(SECRET));
    expect(await tryTcp(a.netns, b.ipv4, 80)).toBe("silence");
    const frames = sniffer.takeFrames();
    expect(contains(frames, SECRET)).toBe(false);
    one.seal();
    tell();
    expect(await ask(a.netns, b.ipv4, 80)).toBe(`c12 ${a.ipv4}`);
    const { index } = one.netns.net.requireLink(`wg-${TAG}`);
    one.seal();
    tell();
    expect(one.netns.net.requireLink(`wg-${TAG}`).index).toBe(index);
  });

  test("what cannot be had is said, and all goes away", async () => {
    const [, , three] = hosts;
    const { netns, sealed, privateKey } = three;
    const seal = { privateKey, port: PORT, cluster: "test", underlay: 1500 };
    await listen(netns, 51821);
    expect(await refusal(() => netns.inside(() => sealed.ensure({ ...seal, port: 51821 })))).toStartWith(
      "network_failed: encryption between hosts cannot be set up: UDP port 51821 is in use",
    );
    expect(await refusal(() => netns.inside(() => sealed.ensure({ ...seal, privateKey: "x" })))).toContain(
      "not a private key of WireGuard",
    );
    const others = netns.inside(() => new Sealed(netns.net, TAG));
    expect(await refusal(() => others.setNodes([]))).toBe("network_failed: encryption between hosts is not set up yet");
    others.close();
    await netns.inside(() => sealed.remove());
    await netns.inside(() => sealed.remove());
    expect(netns.net.linkByName(`wg-${TAG}`)).toBeNull();
    expect(netns.net.routeList().filter(({ to }) => to.startsWith("fd") && !to.startsWith("fd00:1::"))).toEqual([]);
    netns.net.createBridge({ name: `wg-${TAG}` });
    expect(await refusal(() => netns.inside(() => sealed.ensure(seal)))).toBe(
      `network_failed: interface wg-${TAG} is another's (bridge): rename or remove it`,
    );
  });
});

test.skipIf(!isRoot || exists)("a kernel without WireGuard is told so", async () => {
  using host = new Netns("host");
  using net = Rtnetlink.inNamespace(host.fd);
  using sealed = host.inside(() => new Sealed(net, TAG));
  const seal = { privateKey: generatePrivateKey(), port: PORT, cluster: "test", underlay: 1500 };
  expect(await refusal(() => host.inside(() => sealed.ensure(seal)))).toStartWith(
    "encryption_unavailable: this kernel has no WireGuard",
  );
  expect(net.linkByName(`wg-${TAG}`)).toBeNull();
  expect(net.routeList(RT.RT_TABLE_MAIN, 6)).toEqual([]);
  await host.inside(() => sealed.remove());
});
