/** Published ports and the host's own rules, in a network namespace that stands for the host, with another one outside of it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox, sh } from "../kit/images.ts";
import { Netns } from "../kit/netns.ts";

let host: Netns;
let outside: Netns;
let engine: Engine;
beforeAll(async () => {
  host = new Netns("host");
  outside = new Netns("outside");
  host.cable("wan", outside, "eth0");
  host.address("wan", "192.0.2.1/24");
  host.address("wan", "2001:db8::1/64");
  outside.address("eth0", "192.0.2.2/24");
  outside.address("eth0", "2001:db8::2/64");
  engine = startEngine({ under: host.enter });
  await bootstrapBusybox(engine);
  await engine.ok(["network", "create", "--ipv6", "--subnet", "10.211.9.0/24", "behind"]);
  await engine.ok(["network", "create", "--subnet", "10.211.8.0/24", "--opt", "publish=open", "open"]);
}, 60_000);
afterAll(async () => {
  await engine.close();
  host.close();
  outside.close();
}, 120_000);

/** The host's own table, as an administrator writes it. */
function rules(...lines: readonly string[]): void {
  const text = [
    "table inet own {",
    "chain input {",
    "type filter hook input priority filter; policy accept;",
    ...lines,
    "}",
    "}",
  ];
  sh([...host.enter, "sh", "-c", `nft delete table inet own 2>/dev/null; printf '${text.join("\\n")}\\n' | nft -f -`]);
}

async function serve(name: string, network: string, port: number, ...more: string[]): Promise<void> {
  const who = "printf '#!/bin/sh\\necho; echo $REMOTE_ADDR\\n' > /www/cgi-bin/who; chmod +x /www/cgi-bin/who";
  const page = `mkdir -p /www/cgi-bin; echo ${name} > /www/index.html; ${who}; exec httpd -f -p 80 -h /www`;
  const published = ["-p", `${port}:80`, ...more];
  await engine.ok(["run", "-d", "--name", name, "--network", network, ...published, "busybox", "sh", "-c", page]);
  await eventually("it serves", async () => (await asks(host, `127.0.0.1:${port}`)) === name);
}

/** What somebody is answered there; "" if he is not. */
async function asks(from: Netns, address: string, path = "/"): Promise<string> {
  const call = Bun.spawn([...from.enter, "curl", "-s", "-m", "1", "--connect-timeout", "1", `http://${address}${path}`], {
    stdout: "pipe",
  });
  return (await new Response(call.stdout).text()).trim();
}

test("a port behind the host's firewall is reached by whom the host's input rules let in; another one by everybody", async () => {
  await serve("pots", "behind", 8080);
  await serve("jars", "open", 8090);
  rules();
  for (const address of ["192.0.2.1:8080", "[2001:db8::1]:8080"])
    expect([address, await asks(outside, address)]).toEqual([address, "pots"]);
  expect(await asks(outside, "192.0.2.1:8090")).toBe("jars");
  // the container knows who asks
  expect(await asks(outside, "192.0.2.1:8080", "/cgi-bin/who")).toContain("192.0.2.2");

  rules("tcp dport { 8080, 8090 } drop");
  for (const address of ["192.0.2.1:8080", "[2001:db8::1]:8080"])
    expect([address, await asks(outside, address)]).toEqual([address, ""]);
  expect(await asks(outside, "192.0.2.1:8090")).toBe("jars");
  // the host itself and its containers are not outside
  expect([await asks(host, "127.0.0.1:8080"), await asks(host, "192.0.2.1:8080")]).toEqual(["pots", "pots"]);
  const get = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc 192.0.2.1 8080";
  expect(await engine.ok(["exec", "jars", "sh", "-c", get])).toContain("pots");

  rules('iifname "wan" ip saddr 192.0.2.2 tcp dport 8080 accept', "tcp dport 8080 drop");
  expect([await asks(outside, "192.0.2.1:8080"), await asks(outside, "[2001:db8::1]:8080")]).toEqual(["pots", ""]);
});

test("so it stays without the engine, with the next one, and after the rules were flushed", async () => {
  rules("ip saddr 192.0.2.3 drop");
  await engine.murder();
  expect(await asks(outside, "192.0.2.1:8080")).toBe("pots");
  await engine.pid();
  expect(await asks(outside, "192.0.2.1:8080")).toBe("pots");
  sh([...host.enter, "nft", "flush", "ruleset"]);
  await eventually("the rules are back", async () => (await asks(outside, "192.0.2.1:8080")) === "pots");
  rules("tcp dport 8080 drop");
  expect(await asks(outside, "192.0.2.1:8080")).toBe("");
  await engine.ok(["rm", "-f", "pots"]);
  rules();
  expect(await asks(outside, "192.0.2.1:8080")).toBe("");
});

test("network explain shows the way round as the kernel has it", async () => {
  await serve("told", "behind", 8081, "-p", "127.0.0.1:8082:80");
  const text = await engine.ok(["network", "explain", "behind"]);
  for (const family of ["ip", "ip6"]) {
    const [, table = ""] = new RegExp(`^# nft list table ${family} (\\S+_detour)$`, "m").exec(text) ?? [];
    const there = Bun.spawnSync([...host.enter, "nft", "list", "table", family, table]).stdout.toString();
    expect(there).toContain("dup to");
    expect(`${text}\n`).toContain(there);
  }
  const [, link = ""] = /^ip link add (od-\S+) up type veth/m.exec(text) ?? [];
  expect(sh([...host.enter, "ip", "-br", "link", "show", link]).toString()).toContain(link);
  await engine.ok(["rm", "-f", "told"]);
});
