import { expect, test } from "bun:test";
import { parseOptions } from "./options.ts";
import { checkFixed, checkRequest } from "./request.ts";
import type { EndpointRequest, NetworkRequest } from "./types.ts";

const bridge = "com.docker.network.bridge.";

test("what is not told", () => {
  const { driver, ipv4, ipv6, internal, missing, parsed } = checkRequest({ name: "web" });
  expect({ driver, ipv4, ipv6, internal, missing }).toEqual({
    driver: "bridge",
    ipv4: true,
    ipv6: false,
    internal: false,
    missing: [4],
  });
  expect(parsed).toEqual({
    interfacePrefix: "eth",
    icc: true,
    masquerade: true,
    encrypted: false,
    parent: "",
    mode: "bridge",
    ipvlanFlag: "bridge",
  });
});

test("a subnet of IPv6 switches IPv6 on; what is on and has no subnet is to get one", () => {
  expect(checkRequest({ name: "web", pools: [{ subnet: "fd00::/64" }] })).toMatchObject({ ipv4: true, ipv6: true, missing: [4] });
  expect(checkRequest({ name: "web", ipv4: false, ipv6: true }).missing).toEqual([6]);
});

test.each<[Partial<NetworkRequest>, string]>([
  [{ name: "" }, "begins with a letter or digit"],
  [{ name: "-a" }, "begins with a letter or digit"],
  [{ name: "a b" }, "begins with a letter or digit"],
  [{ name: "a/b" }, "begins with a letter or digit"],
  [{ name: "n".repeat(256) }, "network name of 256 characters: it has at most 255"],
  [{ name: "default" }, "stands for network bridge"],
  [{ driver: "overlay2" }, 'no network driver "overlay2"; there are bridge, overlay, macvlan and ipvlan'],
  [{ driver: "host" }, "it is there already"],
  [{ driver: "macvlan" }, "--opt parent=NAME"],
  [{ driver: "ipvlan" }, "an ipvlan network lies on an interface"],
  [{ driver: "ipvlan", options: { parent: "eth0", ipvlan_mode: "l4" } }, "l2 is the only one"],
  [{ driver: "ipvlan", options: { parent: "eth0", ipvlan_flag: "passthru" } }, "give bridge, private or vepa"],
  [{ ipv4: false }, "neither IPv4 nor IPv6 is on"],
  [{ ipv6: false, pools: [{ subnet: "fd00::/64" }] }, "but IPv6 is off"],
  [{ pools: [{ subnet: "10.0.0.0/24" }, { subnet: "10.1.0.0/24" }] }, "one subnet for each of IPv4 and IPv6"],
  [{ options: { parent: "eth0" } }, 'driver bridge has no option "parent"; it has com.docker.network.driver.mtu'],
  [{ options: { [`${bridge}enable_icc`]: "maybe" } }, "give true or false"],
  [{ options: { [`${bridge}name`]: "a name" } }, "1 to 15 bytes, no space"],
  [{ options: { [`${bridge}name`]: "sixteen-bytes-xx" } }, "1 to 15 bytes"],
  [{ options: { [`${bridge}host_binding_ipv4`]: "::1" } }, "no address of IPv4"],
  [{ options: { "com.docker.network.driver.mtu": "67" } }, "give 68 to 65535 bytes"],
  [{ options: { "com.docker.network.driver.mtu": "1e3x" } }, "give 68 to 65535 bytes"],
  [{ driver: "macvlan", options: { parent: "eth0", macvlan_mode: "l2" } }, "give bridge, private, vepa or passthru"],
])("network %p is refused", (changes, why) => {
  expect(() => checkRequest({ name: "web", ...changes })).toThrow(why);
});

test("options by their meaning", () => {
  const options = {
    [`${bridge}name`]: "br-mine",
    [`${bridge}enable_icc`]: "False",
    [`${bridge}enable_ip_masquerade`]: "0",
    [`${bridge}host_binding_ipv4`]: "127.0.0.1",
    "com.docker.network.driver.mtu": "1400",
    "com.docker.network.container_iface_prefix": "net",
  };
  expect(parseOptions("bridge", options)).toMatchObject({
    bridgeName: "br-mine",
    icc: false,
    masquerade: false,
    hostBinding: "127.0.0.1",
    mtu: 1400,
    interfacePrefix: "net",
  });
});

const endpoint = (changes: Partial<EndpointRequest>): EndpointRequest => ({ network: "web", container: "c", ...changes });

test("fixed addresses in canonical text", () => {
  expect(checkFixed(endpoint({ ipv4: "10.0.0.2", ipv6: "FD00::0:2", mac: "02:AA:00:00:00:01" }))).toEqual({
    ipv4: "10.0.0.2",
    ipv6: "fd00::2",
    mac: "02:aa:00:00:00:01",
  });
});

test.each<[Partial<EndpointRequest>, string]>([
  [{ ipv4: "10.0.0" }, "is no IP address"],
  [{ ipv4: "fd00::2" }, "is not one of IPv4"],
  [{ ipv6: "10.0.0.2" }, "is not one of IPv6"],
  [{ mac: "02:42" }, "give it as 02:42:ac:11:00:02"],
  [{ mac: "01:00:5e:00:00:01" }, "not one of a single interface"],
  [{ mac: "00:00:00:00:00:00" }, "not one of a single interface"],
  [{ interface: "lo" }, "is not lo"],
  [{ interface: "a/b" }, "none of / : %"],
])("endpoint %p is refused", (changes, why) => {
  expect(() => checkFixed(endpoint(changes))).toThrow(why);
});
