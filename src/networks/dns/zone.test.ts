import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatIp } from "../../sys/ipaddress.ts";
import { decodeQuery, encodeName } from "./message.ts";
import { reverseAddress, Zones } from "./zone.ts";

const id = (letter: string): string => letter.repeat(64);
const a = id("a");
const b = id("b");
const c = id("c");

function zones(): Zones {
  const all = new Zones();
  all.setNetwork({ id: "n1", name: "web", internal: false, gateway4: "10.1.0.1", gateway6: null });
  all.setNetwork({ id: "n2", name: "Back", internal: true, gateway4: "10.2.0.1", gateway6: "fd00:2::1" });
  all.join("n1", { container: a, names: ["alpha", "www"], ipv4: "10.1.0.2", ipv6: null });
  all.join("n1", { container: b, names: ["Beta", "www"], ipv4: "10.1.0.3", ipv6: "fd00:1::3" });
  all.join("n2", { container: b, names: ["Beta", "db"], ipv4: "10.2.0.3", ipv6: null });
  all.join("n2", { container: c, names: ["gamma"], ipv4: "10.2.0.4", ipv6: null });
  return all;
}

const show = (all: Zones, who: string, name: string) => {
  const found = all.find(who, name);
  return found && [...found.ipv4, ...found.ipv6].map(formatIp).sort();
};
const pointers = (all: Zones, who: string, name: string) =>
  all.find(who, name)?.pointers.map((pointer) => {
    const asked = Uint8Array.from([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...pointer, 0, 12, 0, 1]);
    const query = decodeQuery(asked, asked.length);
    return query !== null && typeof query !== "number" ? query.name : "";
  });

describe("names", () => {
  test("are those of the networks that a container is in", () => {
    const all = zones();
    expect(show(all, a, "beta")).toEqual(["10.1.0.3", "fd00:1::3"]);
    expect(show(all, c, "beta")).toEqual(["10.2.0.3"]);
    expect(show(all, a, "gamma")).toBeNull();
    expect(show(all, a, "db")).toBeNull();
    expect(show(all, c, "db")).toEqual(["10.2.0.3"]);
    expect(show(all, a, "bbbbbbbbbbbb")).toEqual(["10.1.0.3", "fd00:1::3"]);
    expect(show(all, a, "beta.web")).toEqual(["10.1.0.3", "fd00:1::3"]);
    expect(show(all, a, "beta.back")).toBeNull();
    expect(show(all, b, "gamma.back")).toEqual(["10.2.0.4"]);
    expect(show(all, id("d"), "beta")).toBeNull();
  });

  test("several containers of one name are all found, in any order", () => {
    const all = zones();
    expect(show(all, a, "www")).toEqual(["10.1.0.2", "10.1.0.3", "fd00:1::3"]);
    const first = new Set(Array.from({ length: 200 }, () => formatIp(all.find(a, "www")!.ipv4[0]!)));
    expect([...first].sort()).toEqual(["10.1.0.2", "10.1.0.3"]);
  });

  test("of the host, links and extra hosts are the asker's", () => {
    const all = zones();
    expect(show(all, a, "host.docker.internal")).toEqual(["10.1.0.1"]);
    expect(show(all, b, "host.onggi.internal")).toEqual(["10.1.0.1", "fd00:2::1"]);
    all.setClient({
      id: a,
      upstreams: [],
      extraHosts: [
        { name: "Beta", address: "192.0.2.1" },
        { name: "beta", address: "2001:db8::1" },
      ],
      links: [
        { name: "store", container: b },
        { name: "hidden", container: c },
      ],
    });
    expect(show(all, a, "beta")).toEqual(["192.0.2.1", "2001:db8::1"]);
    expect(show(all, a, "store")).toEqual(["10.1.0.3", "fd00:1::3"]);
    expect(show(all, a, "hidden")).toBeNull();
    expect(show(all, b, "store")).toBeNull();
    all.removeClient(a);
    expect(show(all, a, "store")).toBeNull();
  });

  test("links by name follow whoever is called so, in the network they are for", () => {
    const all = zones();
    const links = [
      { name: "Store", container: "beta", network: "n1" },
      { name: "far", container: "gamma", network: "n1" },
      { name: "many", container: "www", network: "n1" },
    ];
    all.setClient({ id: a, upstreams: [], extraHosts: [], links });
    expect(show(all, a, "store")).toEqual(["10.1.0.3", "fd00:1::3"]);
    expect(show(all, a, "many")).toEqual(["10.1.0.2", "10.1.0.3", "fd00:1::3"]);
    expect(show(all, a, "far")).toBeNull();
    all.leave("n1", b);
    expect(show(all, a, "store")).toBeNull();
    all.join("n1", { container: c, names: ["beta"], ipv4: "10.1.0.77", ipv6: null });
    expect(show(all, a, "store")).toEqual(["10.1.0.77"]);
    expect(show(all, c, "store")).toBeNull();
    all.setClient({ id: b, upstreams: [], extraHosts: [], links: [{ name: "n", container: "gamma", network: "n2" }] });
    all.join("n1", { container: b, names: ["b"], ipv4: "10.1.0.3", ipv6: null });
    expect(show(all, b, "n")).toEqual(["10.2.0.4"]);
  });

  test("of addresses", () => {
    const all = zones();
    expect(pointers(all, a, "3.0.1.10.in-addr.arpa")).toEqual(["beta.web"]);
    const reverse = [..."fd000001000000000000000000000003"].reverse().join(".");
    expect(pointers(all, a, `${reverse}.ip6.arpa`)).toEqual(["beta.web"]);
    expect(pointers(all, a, "4.0.2.10.in-addr.arpa")).toBeUndefined();
    expect(pointers(all, c, "4.0.2.10.in-addr.arpa")).toEqual(["gamma.back"]);
  });

  test("change with those who come and go", () => {
    const all = zones();
    all.join("n1", { container: b, names: ["other"], ipv4: "10.1.0.9", ipv6: null });
    expect(show(all, a, "beta")).toBeNull();
    expect(show(all, a, "other")).toEqual(["10.1.0.9"]);
    expect(pointers(all, a, "3.0.1.10.in-addr.arpa")).toBeUndefined();
    all.leave("n1", b);
    expect(show(all, a, "other")).toBeNull();
    expect(show(all, b, "alpha")).toBeNull();
    expect(show(all, b, "gamma")).toEqual(["10.2.0.4"]);
    expect([all.mayForward(a), all.mayForward(b)]).toEqual([true, false]);
    expect([all.isAddressOf(c, "10.2.0.4"), all.isAddressOf(c, "10.2.0.3")]).toEqual([true, false]);
    all.removeNetwork("n2");
    expect(show(all, b, "gamma")).toBeNull();
    expect(all.networks).toEqual(["n1"]);
  });

  test("who has no names in a network is not found there, and may ask out of it", () => {
    const all = zones();
    all.join("n1", { container: c, names: [], ipv4: "10.1.0.4", ipv6: null });
    expect(show(all, a, "cccccccccccc")).toBeNull();
    expect(pointers(all, a, "4.0.1.10.in-addr.arpa")).toEqual([]);
    expect(show(all, c, "alpha")).toEqual(["10.1.0.2"]);
    expect(all.mayForward(c)).toBe(true);
    expect(zones().mayForward(c)).toBe(false);
  });

  test("an address that was given on is the new container's", () => {
    const all = zones();
    all.join("n1", { container: c, names: ["gamma"], ipv4: "10.1.0.3", ipv6: null });
    all.leave("n1", b);
    expect(pointers(all, a, "3.0.1.10.in-addr.arpa")).toEqual(["gamma.web"]);
  });

  test("whoever comes and goes, a name is found if and only if somebody has it", () => {
    const container = fc.constantFrom(a, b, c);
    const step = fc.tuple(fc.boolean(), container, fc.subarray(["x", "y", "z"]), fc.integer({ min: 2, max: 9 }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const all = new Zones();
        const model = new Map<string, { names: string[]; ip: string }>();
        all.setNetwork({ id: "n", name: "net", internal: false, gateway4: null, gateway6: null });
        all.join("n", { container: id("d"), names: [], ipv4: null, ipv6: null });
        for (const [comes, who, names, number] of steps) {
          const ip = `10.0.0.${number}`;
          if (comes) {
            all.join("n", { container: who, names, ipv4: ip, ipv6: null });
            model.set(who, { names, ip });
          } else {
            all.leave("n", who);
            model.delete(who);
          }
        }
        for (const name of ["x", "y", "z"]) {
          const wanted = [...model.values()].filter(({ names }) => names.includes(name)).map(({ ip }) => ip);
          expect(show(all, id("d"), name)).toEqual(wanted.length === 0 ? null : wanted.sort());
        }
      }),
    );
  });
});

test("names below in-addr.arpa and ip6.arpa are addresses or nothing", () => {
  expect(reverseAddress("4.3.2.1.in-addr.arpa")).toBe("1.2.3.4");
  expect(reverseAddress("4.3.2.256.in-addr.arpa")).toBeNull();
  expect(reverseAddress("3.2.1.in-addr.arpa")).toBeNull();
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (address) => {
      const digits = [...address].flatMap((byte) => [byte >> 4, byte & 15]).map((digit) => digit.toString(16));
      expect(reverseAddress(`${digits.reverse().join(".")}.ip6.arpa`)).toBe(formatIp(address));
    }),
  );
  expect(encodeName("a.b")).toEqual(Uint8Array.of(1, 0x61, 1, 0x62, 0));
});
