/** The firewall's table in the kernel: its words, other people's tables, losses, a thousand containers. Needs root; nft is the judge. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Firewall, type FirewallPort } from "../../src/networks/firewall/index.ts";
import { deleteTable, NetlinkError, Nfnetlink, newChain, newTable } from "../../src/sys/index.ts";
import { slowness } from "../kit/command.ts";
import { ask, type Netns, tryTcp, tryUdp } from "../kit/netns.ts";
import { FirewallHost, networks, port } from "./firewall-host.ts";

const TABLE = "onggi_0a1b2c3d";
let made: FirewallHost;
let host: Netns;
let firewall: Firewall;
const all = Object.values(networks);

beforeAll(async () => {
  made = await FirewallHost.make();
  ({ host, firewall } = made);
  firewall.ensure(all, []);
});
afterAll(() => made?.close());

const nft = (...command: readonly string[]): Promise<string> => host.output("nft", ...command);
const list = (): Promise<string> => nft("list", "table", "inet", TABLE);

/** Elements in one order, one a line: nft's depends on hashes. */
const normal = (text: string): string =>
  text.replace(/elements = \{([^}]*)\}/g, (_, inner: string) =>
    [
      "elements:",
      ...inner
        .split(",")
        .map((element) => element.trim())
        .sort(),
    ].join("\n"),
  );

const until = async (condition: () => boolean | Promise<boolean>): Promise<void> => {
  for (const end = Date.now() + 10_000 * slowness; !(await condition()); await Bun.sleep(5)) {
    if (Date.now() > end) throw new Error("it never came");
  }
};

describe("the table", () => {
  const ports = [
    port(8080),
    port(53, { protocol: "udp", hostIp: "192.0.2.3" }),
    port(8080, { hostIp: "::" }),
    port(443, { protocol: "sctp", hostIp: "2001:db8::3" }),
    port(8083, { containerIp: "172.21.0.11", interface: "nb" }),
  ];

  test("is what nft prints", async () => {
    firewall.ensure(all, ports);
    expect(normal(await list())).toBe(normal(firewall.describe()));
  });

  test("is what docs/networks.md shows", async () => {
    using other = host.inside(() => new Firewall("d0c5d0c5"));
    const { spanningMac: _, ...plain } = networks.a;
    const network = { ...plain, interface: "og-0a1b2c3d", subnets4: ["172.17.0.0/16"], subnets6: ["fd00:17::/64"] };
    const within = { ...networks.i, interface: "br-91c2d3e4f5a6", subnets4: ["172.18.0.0/16"], subnets6: [] };
    const containerPort = (containerIp: string, number: number) => ({
      containerIp,
      containerPort: number,
      interface: "og-0a1b2c3d",
    });
    other.ensure(
      [network, within],
      [port(8080, containerPort("172.17.0.2", 80)), port(5432, { hostIp: "127.0.0.1", ...containerPort("172.17.0.3", 5432) })],
    );
    const shown = other.describe().replaceAll("\t", "    ").replaceAll("d0c5d0c5", "0a1b2c3d");
    expect(readFileSync(join(import.meta.dir, "../../docs/networks.md"), "utf8")).toContain(shown.replace(/^(?=.)/gm, "    "));
    other.remove();
  });

  test("of one network has its elements alone", async () => {
    const text = firewall.describe(networks.b.id);
    expect(text).toContain('elements = { "nb" }');
    expect(text).toContain("tcp . 8083 : 172.21.0.11 . 80");
    expect(text).not.toContain("172.20");
    expect(text).toContain("elements = { 172.21.0.0/24 }");
  });

  test("is the same by additions, by changes back and forth, and whole", async () => {
    const wanted = normal(await list());
    firewall.ensure([], []);
    for (const network of all) firewall.addNetwork({ ...network, internal: !network.internal, icc: false, masquerade: true });
    for (const network of all) firewall.addNetwork(network);
    firewall.publish(ports);
    firewall.publish(ports);
    expect(normal(await list())).toBe(wanted);
    expect(firewall.isWhole()).toBe(true);
    firewall.unpublish(ports);
    firewall.unpublish(ports);
    firewall.removeNetwork(networks.b.id);
    firewall.removeNetwork(networks.b.id);
    firewall.removeNetwork("nothing");
    const rest = normal(await list());
    firewall.ensure([networks.a, networks.i, networks.x], []);
    expect(normal(await list())).toBe(rest);
    expect(rest).not.toContain("nb");
    firewall.ensure(all, []);
  });

  test("keeps the nodes of tunnels, by changes back and forth and through all else", async () => {
    const nodes = { ports: [4789], addresses: ["192.0.2.7", "192.0.2.8", "2001:db8::7"], carriers: ["wg-0a1b2c3d"] };
    const without = normal(await list());
    firewall.setNodes({ ports: [4789, 8472], addresses: ["192.0.2.8", "192.0.2.9", "2001:db8::9"] });
    firewall.setNodes(nodes);
    firewall.setNodes(nodes);
    const wanted = normal(await list());
    expect(wanted).toBe(normal(firewall.describe()));
    expect(wanted).toContain("192.0.2.7");
    expect(wanted).not.toContain("192.0.2.9");
    expect(() => firewall.setNodes({ ports: [70_000], addresses: [] })).toThrow(TypeError);
    firewall.ensure(all, []);
    firewall.restore();
    await nft("delete", "element", "inet", TABLE, "nodes4", "{ 192.0.2.7 . 4789 }");
    expect(firewall.isWhole()).toBe(false);
    firewall.setNodes({ ...nodes, addresses: [] });
    firewall.setNodes(nodes);
    expect(normal(await list())).toBe(wanted);
    firewall.setNodes({ ports: [], addresses: [] });
    expect(normal(await list())).toBe(without);
  });

  test("that another version left is replaced; chains and sets of the same name too", async () => {
    const wanted = await list();
    await nft("delete", "table", "inet", TABLE);
    const old = `table inet ${TABLE} {
      set bridges { type ipv4_addr; }
      chain older { ip saddr @bridges drop; }
      chain old { jump older; }
      chain forward { type filter hook forward priority 5; drop; }
    }`;
    await nft(old);
    firewall.ensure(all, []);
    expect(await list()).toBe(wanted);
  });

  test("goes by remove, also twice", async () => {
    using other = host.inside(() => new Firewall("ffffffff"));
    other.ensure(all, [port(1)]);
    expect(await nft("list", "tables")).toBe(`table inet ${TABLE}\ntable inet onggi_ffffffff\n`);
    other.remove();
    other.remove();
    expect(await nft("list", "tables")).toBe(`table inet ${TABLE}\n`);
  });
});

describe("all or nothing", () => {
  test("a port that leads elsewhere is refused, and those beside it are not published", async () => {
    firewall.publish([port(7000)]);
    const before = await list();
    const other = port(7000, { containerPort: 81 });
    expect(() => firewall.publish([port(7001), other])).toThrow(
      expect.objectContaining({ code: "port_in_use", message: "0.0.0.0 port 7000/tcp leads to 172.20.0.11 port 80 already" }),
    );
    expect(() => firewall.publish([port(7002), port(7002, { containerPort: 81 })])).toThrow("port 7002/tcp leads to");
    firewall.unpublish([other]);
    expect(await list()).toBe(before);
    firewall.unpublish([port(7000)]);
  });

  test("what is no address, port or name changes nothing", async () => {
    const before = await list();
    for (const bad of [
      { containerIp: "10.0.0" },
      { containerIp: "fd00::1" },
      { hostIp: "x" },
      { hostPort: 0 },
      { containerPort: 65536 },
    ]) {
      expect(() => firewall.publish([port(7001), port(7000, bad)])).toThrow(TypeError);
    }
    expect(() => firewall.addNetwork({ ...networks.a, interface: "sixteen-letters!" })).toThrow(TypeError);
    expect(() => firewall.addNetwork({ ...networks.a, subnets4: ["10.0.0.0/33"] })).toThrow(TypeError);
    expect(() => firewall.ensure([networks.a, { ...networks.b, interface: "" }], [])).toThrow(TypeError);
    expect(await list()).toBe(before);
    expect(firewall.isWhole()).toBe(true);
  });

  test("what the kernel refuses has an error, and is as before", async () => {
    // overlaps the subnet of another network
    const overlapping = { ...networks.a, id: "o", interface: "no", subnets4: ["172.21.0.128/25"] };
    const before = await list();
    expect(() => firewall.addNetwork(overlapping)).toThrow(expect.objectContaining({ code: "network_failed" }));
    expect(await list()).toBe(before);
    expect(firewall.isWhole()).toBe(true);
  });

  test("a transaction fails by its first bad request and leaves nothing", async () => {
    using net = Nfnetlink.inNamespace(host.fd);
    const requests = [newTable("half"), newChain("half", "one"), newChain("nothing", "two"), deleteTable("nothing either")];
    const failures = net.tryCommit(requests);
    expect(failures.map(({ index, code }) => [index, code])).toEqual([
      [2, "ENOENT"],
      [3, "ENOENT"],
    ]);
    expect(() => net.commit(requests)).toThrow(NetlinkError);
    expect(await nft("list", "tables")).not.toContain("half");
    net.commit(requests.slice(0, 2));
    expect(await nft("list", "tables")).toContain("table inet half");
    net.commit([deleteTable("half")]);
  });
});

describe("other people's rules", () => {
  const others = `
    table ip filter {
      chain FORWARD {
        type filter hook forward priority filter; policy drop;
        oifname "na" tcp dport 80 accept
        ct state established,related counter accept
      }
    }
    table inet firewalld {
      set x { type ipv4_addr; }
      chain in { type filter hook input priority 10; ip saddr @x drop; }
    }`;

  test("are never touched, and what they drop is dropped", async () => {
    await nft(others);
    const rest = async () => (await nft("-s", "list", "ruleset")).replace(await nft("-s", "list", "table", "inet", TABLE), "");
    const before = await rest();
    firewall.ensure(all, []);
    firewall.publish([port(8080), port(8081, { containerPort: 81 })]);
    expect(await rest()).toBe(before);
    expect(await ask(made.outside, "192.0.2.1", 8080)).toBe("a1 192.0.2.2");
    // accepted by us, but not by them
    expect(firewall.obstacles()).toEqual(["table ip filter, chain FORWARD"]);
    expect(await tryTcp(made.outside, "192.0.2.1", 8081)).toBe("silence");
    await nft("delete", "table", "ip", "filter");
    await nft("delete", "table", "inet", "firewalld");
    expect(firewall.obstacles()).toEqual([]);
    expect(await ask(made.outside, "192.0.2.1", 8080)).toBe("a1 192.0.2.2");
    firewall.unpublish([port(8080), port(8081, { containerPort: 81 })]);
    expect(await tryTcp(made.outside, "192.0.2.1", 8080)).toBe("refused");
  });

  test("of another engine: both work, and their networks are apart", async () => {
    using other = host.inside(() => new Firewall("ffffffff"));
    const [a, ...rest] = all;
    firewall.ensure([a!], [port(8080)]);
    other.ensure(rest, [port(8083, { containerIp: "172.21.0.11", interface: "nb" })]);
    expect(await ask(made.outside, "192.0.2.1", 8080)).toBe("a1 192.0.2.2");
    expect(await ask(made.outside, "192.0.2.1", 8083)).toBe("b1 192.0.2.2");
    expect(await ask(made.container("b1"), "192.0.2.1", 8080)).toStartWith("a1 ");
    expect(await ask(made.container("a1"), "192.0.2.1", 8083)).toStartWith("b1 ");
    const answers = [tryTcp(made.container("a1"), "172.21.0.11", 80), tryTcp(made.container("b1"), "172.20.0.11", 80)];
    expect(await Promise.all(answers)).toEqual(["silence", "silence"]);
    other.remove();
    firewall.ensure(all, []);
  });
});

describe("losses", () => {
  test("are told of and put back: a rule, the ruleset, the table, a chain's rules, an element", async () => {
    firewall.ensure(all, [port(8080)]);
    const wanted = await list();
    let lost = 0;
    firewall.watch(() => lost++);
    const losses = [
      ["flush", "ruleset"],
      ["delete", "table", "inet", TABLE],
      ["flush", "chain", "inet", TABLE, "forward"],
      ["delete", "element", "inet", TABLE, "any4", "{ tcp . 8080 }"],
    ];
    const replaced = /accept # handle (\d+)/.exec(await nft("-a", "list", "chain", "inet", TABLE, "forward"))![1]!;
    losses.push(["replace", "rule", "inet", TABLE, "forward", "handle", replaced, "counter"]);
    losses.unshift(losses.pop()!);
    for (const [index, command] of losses.entries()) {
      expect(firewall.isWhole()).toBe(true);
      await nft(...command);
      await until(() => lost === index + 1);
      expect(await list()).toBe(wanted);
    }
    expect(made.log.at(-1)).toMatch(/^table inet onggi_0a1b2c3d was changed by nft \(process \d+\), and has been put back$/);
    // Our own changes are no loss, nor what others do to their tables, nor what they add to ours.
    firewall.unpublish([port(8080)]);
    firewall.publish([port(8080)]);
    await nft("add", "table", "inet", "theirs");
    await nft("delete", "table", "inet", "theirs");
    await nft("insert", "rule", "inet", TABLE, "guard", "meta", "nftrace", "set", "0");
    const added = await list();
    await nft("insert", "rule", "inet", TABLE, "guard", "counter");
    const handle = /counter .* # handle (\d+)/.exec(await nft("-a", "list", "table", "inet", TABLE))![1]!;
    await nft("delete", "rule", "inet", TABLE, "guard", "handle", handle);
    expect(firewall.isWhole()).toBe(true);
    expect(await list()).toBe(added);
    await nft("delete", "element", "inet", TABLE, "any4", "{ tcp . 8080 }");
    await until(() => lost > losses.length);
    expect(lost).toBe(losses.length + 1);
    expect(await list()).toBe(wanted);
  });

  test("are found when the news of them were lost", async () => {
    firewall.ensure(all, [port(8080)]);
    const wanted = await list();
    let lost = 0;
    firewall.watch(() => lost++);
    // More news than the kernel keeps, while nobody takes them; then the loss.
    const many = Array.from({ length: 20_000 }, (_, index) => `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`);
    const flood = `table ip flood {\n set s {\n type ipv4_addr\n elements = { ${many.join(", ")} }\n }\n }\n`;
    for (const ruleset of [flood, "flush ruleset\n"]) {
      const { stderr } = host.inside(() => Bun.spawnSync(["nft", "-f", "-"], { stdin: Buffer.from(ruleset) }));
      expect(stderr.toString()).toBe("");
    }
    await until(() => lost > 0);
    expect(await list()).toBe(wanted);
    expect(made.log.at(-1)).toContain("changed by somebody");
    // and it goes on listening
    lost = 0;
    await nft("flush", "ruleset");
    await until(() => lost > 0);
    expect(await list()).toBe(wanted);
  });

  test("that cannot be mended are mended as soon as they can", async () => {
    firewall.ensure(all, [port(8080)]);
    const wanted = await list();
    firewall.watch();
    // A table that has an owner is nobody else's, and goes with its owner.
    const owner = host.inside(() => Bun.spawn(["nft", "-i"], { stdin: "pipe", stdout: "ignore", stderr: "ignore" }));
    owner.stdin.write(`flush ruleset; add table inet ${TABLE} { flags owner; }\n`);
    await owner.stdin.flush();
    await until(() => made.log.at(-1)!.includes("cannot be put back"));
    await owner.stdin.end();
    await owner.exited;
    await until(() => firewall.isWhole());
    expect(await list()).toBe(wanted);
  });

  test("are watched without a descriptor left over", async () => {
    const open = (): number => readdirSync("/proc/self/fd").length;
    const watchOnce = async (): Promise<void> => {
      const other = host.inside(() => new Firewall("dddddddd"));
      other.ensure([], []);
      other.watch();
      await Bun.sleep(1);
      other.remove();
      other.close();
    };
    await watchOnce();
    const before = open();
    for (let round = 0; round < 10; round++) await watchOnce();
    await until(() => open() <= before);
  });

  test("do not end connections", async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    let text = "";
    const socket = await made.outside.inside(() =>
      Bun.connect({
        hostname: "192.0.2.1",
        port: 8080,
        socket: {
          data(_, bytes) {
            text += bytes;
            if (text.endsWith("still here\n")) resolve(text);
          },
        },
      }),
    );
    await until(() => text.length > 0);
    await nft("flush", "ruleset");
    await until(async () => (await nft("list", "ruleset")).includes("8080"));
    firewall.ensure(all, [port(8080)]);
    socket.write("still here\n");
    expect(await promise).toBe("a1 192.0.2.2\nstill here\n");
    socket.end();
  });

  test("unwatched are found by what is done next", async () => {
    using other = host.inside(() => new Firewall("eeeeeeee", { log: (message) => void made.log.push(message) }));
    other.ensure([networks.a], [port(1)]);
    await nft("delete", "table", "inet", "onggi_eeeeeeee");
    expect(other.isWhole()).toBe(false);
    other.publish([port(2)]);
    expect(other.isWhole()).toBe(true);
    expect(made.log.at(-1)).toContain("has been made anew");
    await nft("delete", "element", "inet", "onggi_eeeeeeee", "any4", "{ tcp . 1 }");
    other.unpublish([port(1)]);
    expect(other.isWhole()).toBe(true);
    expect(normal(await nft("list", "table", "inet", "onggi_eeeeeeee"))).toBe(normal(other.describe()));
    other.remove();
  });
});

test("UDP senders that were known before go where the port leads now", async () => {
  firewall.ensure(all, []);
  const { outside } = made;
  const from = (wait: number) => tryUdp(outside, "192.0.2.1", 5353, wait, 40_000);
  const asked = async (): Promise<string> => {
    for (const end = Date.now() + 10_000 * slowness; ; ) {
      const answer = await from(500);
      if ((answer !== "silence" && answer !== "refused") || Date.now() > end) return answer;
    }
  };
  expect(["refused", "silence"]).toContain(await from(200));
  const first = port(5353, { protocol: "udp" });
  firewall.publish([first]);
  expect(await asked()).toBe("a1 192.0.2.2");
  firewall.unpublish([first]);
  expect(["refused", "silence"]).toContain(await from(200));
  const second = port(5353, { protocol: "udp", containerIp: "172.20.0.12" });
  firewall.publish([second, port(5354, { protocol: "udp" })]);
  expect(await asked()).toBe("a2 192.0.2.2");
  firewall.unpublish([second, port(5354, { protocol: "udp" })]);
});

test("a thousand containers with two ports each: the last costs what the first did", async () => {
  const ports = (index: number): FirewallPort[] =>
    [0, 1].map((which) => port(10_000 + index * 2 + which, { containerIp: `172.20.${1 + (index >> 7)}.${index & 127}` }));
  const median = (list: number[]): number => list.toSorted((one, other) => one - other)[list.length >> 1]!;
  let ratio = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 5 && ratio > 1.5; attempt++) {
    firewall.ensure(all, []);
    // warm
    for (let round = 0; round < 200; round++) {
      firewall.publish(ports(0));
      firewall.unpublish(ports(0));
    }
    const times = Array.from({ length: 1000 }, (_, index) => {
      const list = ports(index);
      const before = Bun.nanoseconds();
      firewall.publish(list);
      return (Bun.nanoseconds() - before) / 1000;
    });
    const [first, last] = [median(times.slice(0, 100)), median(times.slice(-100))];
    ratio = last / first;
    console.log(`two ports published: the first hundred ${first.toFixed(1)} us, the last ${last.toFixed(1)} us`);
  }
  expect(ratio).toBeLessThan(1.5);
  expect(firewall.isWhole()).toBe(true);
  expect((await nft("list", "map", "inet", TABLE, "any4")).match(/tcp \. \d+ : /g)).toHaveLength(2000);
  const before = Bun.nanoseconds();
  firewall.restore();
  console.log(`2,000 ports made anew: ${((Bun.nanoseconds() - before) / 1e6).toFixed(1)} ms`);
  expect(firewall.isWhole()).toBe(true);
  firewall.ensure(all, []);
});
