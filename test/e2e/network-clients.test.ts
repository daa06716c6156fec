/** Containers in networks, asked by the clients that everybody has: curl, nc and dig of Debian, on a host of the test's own. As root. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { Netns } from "../kit/netns.ts";

const host = new Netns("host");
const outside = new Netns("outside");
/** As many addresses of one name as no datagram of 512 bytes has room for. */
const MANY = Array.from({ length: 40 }, (_, index) => `10.9.0.${index + 1}`);

let engine: Engine;
beforeAll(async () => {
  host.cable("wan", outside, "eth0");
  for (const prefix of ["192.0.2.1/24", "2001:db8::1/64"]) host.address("wan", prefix);
  for (const prefix of ["192.0.2.2/24", "2001:db8::2/64"]) outside.address("eth0", prefix);
  engine = startEngine({ under: host.enter });
  await bootstrapBusybox(engine);
  await engine.ok(["network", "create", "--subnet", "10.95.0.0/24", "--ipv6", "--subnet", "fd00:95::/64", "web"]);
  const page = "mkdir /w; echo hello > /w/index.html; exec httpd -f -p 80 -h /w";
  await engine.ok([
    ...["run", "-d", "--name", "server", "--network", "name=web,alias=www,ip=10.95.0.10,ip6=fd00:95::10"],
    ...["-p", "8080:80", "-p", "5353:53/udp", "busybox", "sh", "-c", page],
  ]);
  const hosts = MANY.flatMap((address) => ["--add-host", `many:${address}`]);
  await engine.ok(["run", "-d", "--name", "asker", "--network", "web", ...hosts, "busybox", "sleep", "100000"]);
}, 120_000);
afterAll(async () => {
  await engine.close();
  for (const namespace of [host, outside]) namespace.close();
}, 60_000);

const inside = async (container: string): Promise<string[]> => [
  "nsenter",
  "-n",
  "-t",
  await engine.ok(["inspect", "-f", "{{.State.Pid}}", container]),
];

test("curl: by both families, by the host's addresses, by localhost, from outside and from a container", async () => {
  const curl = async (from: Netns, url: string): Promise<string> => (await from.run("curl", "-sgm", "5", url)).stdout.trim();
  await eventually("the server answers", async () => (await curl(host, "http://10.95.0.10/")) === "hello");
  const names = ["127.0.0.1", "localhost", "192.0.2.1", "[2001:db8::1]"];
  // Where frames of bridges pass the rules of IP, ::1 is not served, and refused at once.
  const { exitCode } = await host.run("curl", "-sgm", "5", "-o", "/dev/null", "http://[::1]:8080/");
  expect([0, 7]).toContain(exitCode);
  for (const name of names) expect([name, await curl(host, `http://${name}:8080/`)]).toEqual([name, "hello"]);
  for (const name of names.slice(2)) expect([name, await curl(outside, `http://${name}:8080/`)]).toEqual([name, "hello"]);
  const command = [...(await inside("asker")), "curl", "-sgm", "5"];
  for (const url of ["http://192.0.2.1:8080/", "http://10.95.0.10/", "http://[fd00:95::10]/"])
    expect([url, await host.output(...command, url)]).toEqual([url, "hello\n"]);
});

test("nc: datagrams to a published port, and the answers", async () => {
  const server = Bun.spawn([...(await inside("server")), "sh", "-c", "echo pong | nc -u -l -w 3 53"], { stdin: "ignore" });
  // It may not listen yet: then the kernel says so, and nothing comes.
  const ask = (): Promise<string> =>
    host.output("sh", "-c", "{ echo ping; sleep 0.5; } | nc -u -W 1 -w 10 127.0.0.1 5353 || true");
  await eventually("the answer", async () => (await ask()) === "pong\n");
  expect(await server.stdout.text()).toStartWith("ping\n");
});

test("dig: names, addresses, back to names; what does not fit a datagram is cut off, and whole by TCP", async () => {
  const dig = [...(await inside("asker")), "dig", "@127.0.0.11"];
  const short = async (...words: string[]) => (await host.output(...dig, "+short", ...words)).split("\n").filter(Boolean);
  for (const name of ["server", "www", "server.web", "SERVER"]) expect(await short(name)).toEqual(["10.95.0.10"]);
  expect(await short("www", "AAAA")).toEqual(["fd00:95::10"]);
  for (const address of ["10.95.0.10", "fd00:95::10"]) expect(await short("-x", address)).toEqual(["server.web."]);
  expect(await host.output(...dig, "server", "MX")).toMatch(/status: NOERROR[\s\S]*ANSWER: 0/);
  const cut = await host.output(...dig, "+noedns", "+ignore", "many");
  expect(cut).toMatch(/flags: [a-z ]*\btc\b/);
  for (const flag of ["+noedns", "+tcp", "+bufsize=4096"]) expect((await short(flag, "many")).sort()).toEqual([...MANY].sort());
  expect(await host.output(...dig, "+tcp", "+keepopen", "+short", "server", "www")).toBe("10.95.0.10\n10.95.0.10\n");
});
