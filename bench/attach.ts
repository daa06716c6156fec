/**
 * What it costs to give a container its network: microseconds of `Networks.attach`, and what of them are the kernel's, in a network
 * namespace of its own. Needs root: bun bench/attach.ts [containers, 1000 at most]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openNetworks, type Publication } from "../src/networks/index.ts";
import { CLONE, close, O, open, setns, unshare } from "../src/sys/index.ts";

const count = Number(process.argv[2] ?? 1000);
const home = open("/proc/thread-self/ns/net", O.O_RDONLY);
const namespace = (): number => {
  unshare(CLONE.CLONE_NEWNET);
  return open("/proc/thread-self/ns/net", O.O_RDONLY);
};
const containers = Array.from({ length: count }, (_, index) => ({
  container: index.toString(16).padStart(64, "0"),
  netns: namespace(),
}));
close(namespace());
const root = mkdtempSync(join(tmpdir(), "onggi-bench-"));
const networks = openNetworks({ root, tag: "beefbeef", log: () => {} });
await networks.reconcile([]);

const port = (containerPort: number): Publication => ({
  protocol: "tcp",
  containerPort,
  hostIp: "0.0.0.0",
  hostPort: 0,
  hostPortEnd: 0,
});
const samples: Record<string, number[]> = {};
const measure = async <T>(what: string, work: () => Promise<T> | T): Promise<T> => {
  const start = Bun.nanoseconds();
  const result = await work();
  samples[what] ??= [];
  samples[what].push((Bun.nanoseconds() - start) / 1000);
  return result;
};

for (const [index, sandbox] of containers.entries()) {
  const published = index % 2 === 1;
  const publish = published ? [port(80), port(81)] : [];
  await measure("connect", () => networks.connect({ network: "bridge", container: sandbox.container, transient: true }));
  await measure(published ? "attach, two ports" : "attach", () => networks.attach(sandbox, publish));
}
for (const { container } of containers) await measure("detach", () => networks.detach(container));

const median = (list: readonly number[]): number => [...list].sort((one, other) => one - other)[list.length >> 1] ?? Number.NaN;
console.log(`${"us".padEnd(20)} median  first 50  last 50`);
for (const [what, list] of Object.entries(samples)) {
  const columns = [median(list), median(list.slice(0, 50)), median(list.slice(-50))];
  console.log(`${what.padEnd(20)} ${columns.map((value) => value.toFixed(0).padStart(6)).join("   ")}`);
}
await networks.close();
rmSync(root, { recursive: true });
setns(home, CLONE.CLONE_NEWNET);
process.exit(0);
