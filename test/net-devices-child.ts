/** Run by net-devices.test.ts in a process of its own, which moves itself into new network namespaces. Prints what it found. */
import { messageOf } from "../src/lib/errors.ts";
import { moveNetDevices } from "../src/runtime/net-devices.ts";
import { addAddress, CLONE, close, IFA, O, open, RT, Rtnetlink, setLink, unshare } from "../src/sys/index.ts";

const newNamespace = (): number => {
  unshare(CLONE.CLONE_NEWNET);
  return open("/proc/thread-self/ns/net", O.O_RDONLY);
};
const container = newNamespace();
const host = newNamespace();

using outside = new Rtnetlink();
using inside = Rtnetlink.inNamespace(container);
outside.createVeth({ name: "eth1", mtu: 1400, address: "02:00:00:00:00:01" }, { name: "other1" });
outside.createVeth({ name: "eth2" }, { name: "other2" });
const { index } = outside.requireLink("eth1");
outside.batch([
  addAddress({ index, prefix: "10.7.0.2/24", broadcast: "10.7.0.255" }),
  addAddress({ index, prefix: "10.8.0.1/32", peer: "10.8.0.2" }),
  addAddress({ index, prefix: "169.254.1.1/16", scope: RT.RT_SCOPE_LINK }),
  addAddress({ index, prefix: "fd00:7::2/64", flags: IFA.IFA_F_NODAD }),
  setLink({ index, alias: "uplink", up: true }),
]);

const attempt = (devices: Record<string, { name?: string }>, netns = container): string => {
  try {
    moveNetDevices(netns, devices);
    return "moved";
  } catch (error) {
    return messageOf(error);
  }
};
const outsideNames = () =>
  outside
    .linkList()
    .map(({ name }) => name)
    .sort();

const refusals = {
  missing: attempt({ nothing: {} }),
  loopback: attempt({ lo: { name: "lo1" } }),
  collision: attempt({ eth1: { name: "lo" } }),
  twice: attempt({ eth1: { name: "x" }, eth2: { name: "x" } }),
  own: attempt({ eth1: {} }, host),
};
const untouched = outsideNames();
// a bridge cannot leave its namespace: what was moved before it comes back
outside.createBridge({ name: "bridge0" });
const failed = attempt({ eth1: { name: "container0" }, bridge0: {} });
const back = outside.requireLink("eth1");
const addressesOf = (net: Rtnetlink, of: number) =>
  net
    .addressList(of)
    .filter(({ scope }) => scope === RT.RT_SCOPE_UNIVERSE)
    .map(({ ip, prefixLength, peer, broadcast }) => ({ ip, prefixLength, peer, broadcast }));
const restored = { up: back.up, addresses: addressesOf(outside, back.index).length, inside: inside.linkList().length };

const moved = attempt({ eth1: { name: "container0" }, eth2: { name: "port%d" } });
const link = inside.requireLink("container0");
console.log(
  JSON.stringify({
    refusals,
    untouched,
    failed,
    restored,
    moved,
    left: outsideNames(),
    link: { up: link.up, mtu: link.mtu, address: link.address, alias: link.alias },
    template: inside.linkByName("port0")?.up,
    addresses: addressesOf(inside, link.index),
    linkLocal: inside.addressList(link.index).some(({ ip }) => ip === "169.254.1.1"),
  }),
);
close(container);
