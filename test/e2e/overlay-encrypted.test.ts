/** Encrypted overlay networks: `make test-vm` has a kernel with WireGuard for them. As root. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Wireguard } from "../../src/sys/index.ts";
import { Cluster, type Host, reached, SERVER } from "../kit/cluster.ts";
import { eventually } from "../kit/engine.ts";

let cluster: Cluster;
const [a, b] = [0, 1].map((at) => () => cluster.hosts[at]!) as [() => Host, () => Host];
beforeAll(async () => {
  cluster = await Cluster.start(["a", "b"], { alive: 30, addresses: 600 });
}, 120_000);
afterAll(() => cluster.close(), 60_000);

test("an encrypted network, where the kernel has WireGuard; an error that says so where it has not", async () => {
  using wireguard = new Wireguard();
  const create = () => a().onggi("network", "create", "-d", "overlay", "--opt", "encrypted=true", "secret");
  if (!wireguard.exists()) {
    const { code, stderr } = await create();
    expect(code).toBe(1);
    expect(stderr).toContain("this kernel has no WireGuard");
    expect(await a().ok("network", "ls", "-q", "-f", "name=secret")).toBe("");
    return;
  }
  expect((await create()).code).toBe(0);
  await eventually("it is there", async () => (await b().onggi("network", "inspect", "secret")).code === 0);
  await a().run("on-a", "secret", ...SERVER);
  await b().run("on-b", "secret", "sleep", "inf");
  const id = (await a().ok("inspect", "-f", "{{.Id}}", "on-a")).slice(0, 12);
  expect(await reached(b(), "on-b", "on-a")).toBe(id);
  const explained = await b().ok("network", "explain", "secret");
  expect(explained).toMatch(/^ip link add wg-[0-9a-f]{8} type wireguard$/m);
  expect(explained).toMatch(/ type vxlan id \d+ local fd[0-9a-f:]+ dstport 4790 /);
  const [link] = JSON.parse(await b().ns.output("ip", "-j", "-s", "link", "show", "type", "wireguard"));
  expect(link.stats64.rx.bytes).toBeGreaterThan(0);
  await Promise.all([a().ok("rm", "-f", "on-a"), b().ok("rm", "-f", "on-b")]);
  await eventually("it can be removed", async () => (await a().onggi("network", "rm", "secret")).code === 0);
}, 60_000);
