/** Run by sys.test.ts in a process of its own, which moves itself into new network namespaces. Prints what it found. */
import {
  addAddress,
  addRoute,
  CLONE,
  close,
  IFA,
  type NetlinkError,
  NTF,
  newLink,
  newVeth,
  O,
  open,
  RT,
  Rtnetlink,
  setBridgePort,
  setLink,
  unshare,
} from "../src/sys/index.ts";

const newNamespace = (): number => {
  unshare(CLONE.CLONE_NEWNET);
  return open("/proc/thread-self/ns/net", O.O_RDONLY);
};
const inside = newNamespace();
close(newNamespace());

using net = new Rtnetlink();
const bridge = net.createBridge({ name: "bridge0", up: true }, { stp: false, multicastSnooping: false });
net.createVeth(
  { name: "veth0", master: bridge.index, up: true, mtu: 1400 },
  { name: "eth0", address: "02:42:0a:09:00:02", netns: { fd: inside } },
);
const veth = net.requireLink("veth0");
net.batch([
  addAddress({ index: bridge.index, prefix: "10.9.0.1/24" }),
  addAddress({ index: bridge.index, prefix: "fd00:9::1/64", flags: IFA.IFA_F_NODAD }),
  setBridgePort(veth.index, { hairpin: true, isolated: true }),
  setLink({ index: veth.index, alias: "the host's end" }),
]);

using peer = Rtnetlink.inNamespace(inside);
const eth0 = peer.requireLink("eth0");
peer.linkUp("lo");
peer.batch([
  addAddress({ index: eth0.index, prefix: "10.9.0.2/24", broadcast: "10.9.0.255" }),
  addAddress({ index: eth0.index, prefix: "fd00:9::2/64", flags: IFA.IFA_F_NODAD }),
  setLink({ index: eth0.index, up: true }),
  addRoute({ to: "default", gateway: "10.9.0.1", mtu: 1300 }),
  addRoute({ to: "default", gateway: "fd00:9::1" }),
  addRoute({ to: "10.77.0.0/16", type: RT.RTN_BLACKHOLE }),
  addRoute({ to: "10.78.0.0/16", index: eth0.index, table: 1000 }),
]);

const vxlan = net.createVxlan({ name: "vxlan0", up: true, master: bridge.index }, { id: 42, local: "10.9.0.1", learning: false });
for (const mac of ["00:00:00:00:00:00", "02:42:0a:09:00:09"]) {
  net.addNeighbour({ index: vxlan.index, mac, ip: "10.9.0.7", fdb: true, flags: NTF.NTF_SELF, append: true });
}
net.addNeighbour({ index: bridge.index, mac: "02:42:0a:09:00:09", ip: "10.9.0.9" });

const refusals = net.tryBatch([
  addAddress({ index: bridge.index, prefix: "10.9.0.1/24" }),
  newVeth({ name: "spare0" }, { name: "spare1" }),
  newLink({ name: "x", kind: "no-such-kind" }),
  addRoute({ to: "10.1.2.3/8", gateway: "10.9.0.2" }),
  setLink({ index: veth.index, mtu: 1234567 }),
]);
const many = Array.from({ length: 300 }, (_, index) =>
  addRoute({ to: `10.100.${index >> 8}.${index & 255}/32`, gateway: "10.9.0.2" }),
);
net.batch(many);

const spare = net.requireLink("spare0");
net.setLinkNetns(spare.index, inside, "moved0");
const moved = peer.linkByName("moved0")?.kind;
peer.deleteLink({ name: "moved0" });

console.log(
  JSON.stringify({
    bridge,
    veth: net.linkByName("veth0"),
    eth0: peer.linkByName("eth0"),
    addresses: peer.addressList(eth0.index).filter(({ scope }) => scope === RT.RT_SCOPE_UNIVERSE),
    routes: peer.routeList().filter(({ to }) => to !== "fe80::/64"),
    otherTable: peer.routeList(1000, 4).map(({ to }) => to),
    fdb: net.neighbourList({ index: vxlan.index, fdb: true }).filter(({ ip }) => ip !== undefined),
    neighbours: net.neighbourList({ index: bridge.index }).filter(({ ip }) => ip === "10.9.0.9"),
    refusals: refusals.map((refusal?: NetlinkError) =>
      refusal === undefined ? null : [refusal.code, refusal.detail, refusal.index],
    ),
    manyRoutes: net.routeList().filter(({ to }) => to.startsWith("10.100.")).length,
    moved,
    gone: peer.linkByName("moved0"),
  }),
);
