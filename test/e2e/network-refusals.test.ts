/** Networks, addresses and ports that cannot be: what the command line says of them, and with which status. As root. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { Netns } from "../kit/netns.ts";

const host = new Netns("host");
let engine: Engine;
beforeAll(async () => {
  engine = startEngine({ under: host.enter });
  await bootstrapBusybox(engine);
  await engine.ok(["network", "create", "--subnet", "10.95.0.0/24", "web"]);
  await engine.ok(["network", "create", "--subnet", "10.98.0.0/30", "tiny"]);
  const first = ["--name", "first", "--network", "web", "--ip", "10.95.0.7", "-p", "8099:80"];
  await engine.ok(["run", "-d", ...first, "busybox", "sleep", "100000"]);
  await engine.ok(["run", "-d", "--name", "last", "--network", "tiny", "busybox", "sleep", "100000"]);
  host.keep(host.inside(() => Bun.listen({ hostname: "0.0.0.0", port: 8098, socket: { data() {} } })));
}, 120_000);
afterAll(async () => {
  await engine.close();
  host.close();
}, 60_000);

const create = (...words: string[]): string[] => ["network", "create", ...words];
const run = (...words: string[]): string[] => ["run", "--rm", ...words, "busybox", "true"];
const web = (...words: string[]): string[] => run("--network", "web", ...words);

test.each<[words: string[], code: number, message: string | RegExp]>([
  [create("--subnet", "10.95.0.128/25", "x"), 1, "overlaps network web with 10.95.0.0/24"],
  [create("--subnet", "10.0.0.0/8", "x"), 1, /overlaps network (web|tiny)/],
  [create("--subnet", "10.96.0.0/33", "x"), 1, "is no subnet"],
  [create("--subnet", "10.96.0.5/24", "x"), 1, "it should be 10.96.0.0/24"],
  [create("--subnet", "127.0.0.0/8", "x"), 1, "which are this host's own"],
  [create("--subnet", "0.0.0.0/0", "x"), 1, "which are this host's own"],
  [create("--ipv6", "--subnet", "fe80::/64", "x"), 1, "which are of each link by itself"],
  [create("--subnet", "10.96.0.0/24", "--gateway", "10.97.0.1", "x"), 1, "gateway 10.97.0.1 is not one of 10.96.0.0/24"],
  [create("--subnet", "10.96.0.0/24", "--gateway", "here", "x"), 1, 'gateway "here" is no IP address'],
  [create("--subnet", "10.96.0.0/24", "--ip-range", "10.97.0.0/25", "x"), 1, "is not part of subnet"],
  [create("-d", "weave", "x"), 1, 'no network driver "weave"'],
  [create("-o", "com.docker.network.bridge.colour=red", "x"), 1, "has no option"],
  [create("-o", "com.docker.network.driver.mtu=big", "x"), 1, "give 68 to 65535"],
  [create("--colour", "x"), 125, "--colour"],
  [create("n".repeat(256)), 1, "at most 255"],
  [create("a b"), 1, "begins with a letter or digit"],
  [create("web"), 1, "there is a network web already"],
  [create("host"), 1, "there is a network host already"],
  [create("default"), 1, "stands for network bridge"],
  [["network", "rm", "web"], 1, "has containers"],
  [["network", "rm", "bridge"], 1, "cannot be removed"],
  [["network", "rm", "nothing"], 1, "no such network: nothing"],
  [["network", "connect", "web", "first"], 1, "is in network web already"],
  [["network", "connect", "web", "nobody"], 1, "no such container: nobody"],
  [["network", "connect", "tiny", "first"], 1, "no address of 10.98.0.0/30 is free"],
  [["network", "connect", "--ip", "10.95.0.7", "web", "last"], 1, "10.95.0.7 of network web is in use"],
  [["network", "disconnect", "tiny", "first"], 1, "is not in network tiny"],
  [run("--network", "nothing"), 125, "no such network: nothing"],
  [run("--network", "tiny"), 125, "no address of 10.98.0.0/30 is free"],
  [run("--ip", "172.17.0.9"), 125, "fixed addresses are for networks made with a subnet"],
  [web("--ip", "10.99.0.1"), 125, "is not one of subnet 10.95.0.0/24"],
  [web("--ip", "10.95.0.1"), 125, "is the gateway's"],
  [web("--ip", "10.95.0.255"), 125, "is not one of subnet"],
  [web("--ip", "here"), 125, "is no IP address"],
  [web("--ip", "10.95.0.7"), 125, "in use by container"],
  [web("--mac-address", "zz"), 125, 'MAC address "zz"'],
  [run("-p", "8099:80"), 125, "is published by container first"],
  [run("-p", "8098:80"), 125, /8098.*is in use/],
  [run("-p", "70000:80"), 125, "no port between 1 and 65535"],
  [run("-p", "80/dccp"), 125, 'protocol "dccp"'],
  [run("-p", "192.0.2.99:80:80"), 125, "this host has no address 192.0.2.99"],
  [run("-p", "8000-8001:80-82"), 125, "as many of each"],
  [run("--dns", "here"), 125, "--dns here: write the address of a name server"],
  [run("--add-host", "here"), 125, "NAME:ADDRESS"],
  [run("--network", "container:nobody"), 125, "no such container: nobody"],
])("%j: %i", async (words, code, message) => {
  const { stdout, stderr, code: found } = await engine.onggi(words);
  expect([found, stdout, stderr]).toEqual([
    code,
    "",
    typeof message === "string" ? expect.stringContaining(message) : expect.stringMatching(message),
  ]);
});

test("nothing of what was refused is there", async () => {
  expect(await engine.ok(["network", "ls", "--format", "{{.Name}}"])).toBe("bridge\nhost\nnone\ntiny\nweb");
  expect((await engine.ok(["ps", "-a", "--format", "{{.Names}}"])).split("\n").sort()).toEqual(["first", "last"]);
  const ports = await engine.ok(["port", "first"]);
  expect(ports).toBe("80/tcp -> 0.0.0.0:8099");
});
