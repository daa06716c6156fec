/** How fast containers send and receive, through the command line. As root. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
}, 120_000);
afterEach(async () => {
  await engine.expectClean();
  await engine.ok(["network", "prune", "-f"]);
});
afterAll(() => engine.close(), 60_000);

const BYTES = 1_500_000;
const SLEEP = ["busybox", "sleep", "1000"];

interface Limits {
  ReceiveBytesPerSecond: number;
  SendBytesPerSecond: number;
}

async function limits(container: string, network = "bridge"): Promise<number[]> {
  const format = `{{json (index .NetworkSettings.Networks "${network}").Onggi}}`;
  const { ReceiveBytesPerSecond, SendBytesPerSecond }: Limits = JSON.parse(await engine.ok(["inspect", "-f", format, container]));
  return [ReceiveBytesPerSecond, SendBytesPerSecond];
}

/** Seconds that a container's bytes take to arrive at the host. */
async function sending(container: string): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  let [first, received] = [0, 0];
  const data = (_: unknown, bytes: Uint8Array) => {
    if (received === 0) first = performance.now();
    received += bytes.length;
    if (received >= BYTES) resolve((performance.now() - first) / 1000);
  };
  const server = Bun.listen({ hostname: "0.0.0.0", port: 0, socket: { data } });
  try {
    const gateway = await engine.ok(["inspect", "-f", "{{.NetworkSettings.Gateway}}", container]);
    const script = `head -c ${BYTES} /dev/zero | nc -w 10 ${gateway} ${server.port}`;
    await engine.onggi(["exec", container, "sh", "-c", script]);
    return await promise;
  } finally {
    server.stop(true);
  }
}

test("a limit of what it sends: changed while it runs, kept by the next engine, taken away", async () => {
  await engine.ok(["run", "-d", "--name", "slow", "--network-send", "20mbit", "--network-receive", "2mb", ...SLEEP]);
  expect(await limits("slow")).toEqual([2 * 2 ** 20, 2_500_000]);
  // 0.57 s without what may be sent at once
  expect(await sending("slow")).toBeGreaterThan(0.4);
  await engine.ok(["update", "--network-send", "10mbit", "slow"]);
  expect(await limits("slow")).toEqual([2 * 2 ** 20, 1_250_000]);
  await engine.murder();
  expect(await sending("slow")).toBeGreaterThan(0.8);
  await engine.ok(["update", "--network-send", "0", "slow"]);
  expect(Math.min(await sending("slow"), await sending("slow"), await sending("slow"))).toBeLessThan(0.8);
  expect(await limits("slow")).toEqual([2 * 2 ** 20, 0]);
}, 60_000);

test("networks with limits of their own; one that is connected later; a stopped one; --privileged changes nothing", async () => {
  for (const name of ["web", "back", "late"]) await engine.ok(["network", "create", name]);
  const networks = ["--network", "name=web,send=1mbit", "--network", "back", "--network-send", "8mbit"];
  await engine.ok(["run", "-d", "--name", "both", "--privileged", ...networks, ...SLEEP]);
  await engine.ok(["network", "connect", "--receive", "16mbit", "late", "both"]);
  expect(await limits("both", "web")).toEqual([0, 125_000]);
  expect(await limits("both", "back")).toEqual([0, 1_000_000]);
  expect(await limits("both", "late")).toEqual([2_000_000, 1_000_000]);
  await engine.ok(["stop", "-t", "0", "both"]);
  await engine.ok(["update", "--network-send", "2mbit", "both"]);
  for (const network of ["web", "back", "late"]) expect((await limits("both", network))[1]).toBe(250_000);
  await engine.ok(["start", "both"]);
  expect((await limits("both", "late"))[0]).toBe(2_000_000);
});

test("what cannot be", async () => {
  for (const [args, what] of [
    [["--network", "host", "--network-send", "1mbit"], "not for --network host"],
    [["--network-send", "fast"], "is not a rate"],
    [["--network", "name=bridge,send=1mbps"], "is not a rate"],
  ] as const) {
    const { code, stderr } = await engine.onggi(["create", ...args, "busybox", "true"]);
    expect([code, stderr]).toEqual([125, expect.stringContaining(what)]);
  }
  await engine.ok(["create", "--name", "none", "--network", "none", "busybox", "true"]);
  expect((await engine.onggi(["update", "--network-receive", "1mbit", "none"])).stderr).toContain("not for --network none");
});
