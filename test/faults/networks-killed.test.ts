/**
 * The engine is killed with SIGKILL while it connects, publishes, disconnects, removes, and makes and removes networks, each round at
 * another moment. What was acknowledged holds; what was not is so or not, never half, and can be asked for again; of neither an address,
 * cable, rule, port, namespace or process stays behind. The containers that ran go on answering.
 *
 * 2 x ONGGI_ROUNDS rounds (default 200) in all, on a host of the test's own.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Engine, eventually, gone, isAlive, slowness, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { findLeaks, formatLeaks, snapshot } from "../kit/leaks.ts";
import { ask, Netns, tryTcp } from "../kit/netns.ts";
import { expectTruth } from "../kit/network-truth.ts";
import { seededRandom } from "../kit/random.ts";

const OPERATIONS = 6;
const rounds = Math.max(2, Math.round((2 * Number(process.env.ONGGI_ROUNDS ?? 100)) / OPERATIONS));
const limit = rounds * 6000 * slowness + 60_000;

/** Says its hostname to whoever connects. */
const SERVER = ["busybox", "nc", "-ll", "-p", "80", "-e", "hostname"];
const [WITNESS_PORT, PORT] = [8080, 8081];

const host = new Netns("host");
const before = snapshot();
const random = seededRandom("networks killed by command");
let engine: Engine;
let quiet: ReturnType<typeof counts>;

beforeAll(async () => {
  engine = startEngine({ under: host.enter });
  await bootstrapBusybox(engine);
  await engine.ok(["network", "create", "--subnet", "10.95.0.0/28", "kept"]);
  await engine.ok(["network", "create", "--subnet", "10.96.0.0/28", "side"]);
  const witness = ["--name", "witness", "-h", "witness", "--network", "kept", "-p", `${WITNESS_PORT}:80`];
  await engine.ok(["run", "-d", ...witness, ...SERVER]);
  await expectTruth(engine, host);
  quiet = counts();
}, 120_000);
afterAll(async () => {
  await engine.close();
  host.close();
}, 120_000);

/** How much of the engine is on the machine; a server that loses a race with its first child never reaps it. */
function counts() {
  const { processes, networkNamespaces, cgroups, mounts } = findLeaks(engine.base, before);
  return {
    processes: processes.filter((line) => !line.endsWith(" Z (zombie) [hostname]")).length,
    networkNamespaces: networkNamespaces.length,
    cgroups: cgroups.length,
    mounts: mounts.length,
  };
}

/** Whether the command was acknowledged before the engine was killed at a moment of it, or just after. */
async function killedIn(...args: string[]): Promise<boolean> {
  const pid = await engine.pid();
  const call = engine.spawn(args, { stdin: "", timeout: 30_000 });
  await Bun.sleep(random() * 60 * slowness);
  if (isAlive(pid)) process.kill(pid, "SIGKILL");
  await gone(pid);
  return (await call.done).code === 0;
}

/** With an engine that was started anew. */
async function expectWhole(): Promise<void> {
  const containers = await expectTruth(engine, host);
  expect(containers.find(({ Name }) => Name === "/witness")!.State).toMatchObject({ Status: "running" });
  expect(await ask(host, "127.0.0.1", WITNESS_PORT)).toBe("witness");
}

/** Once the round's containers and networks are gone, nothing of them stays. */
async function expectQuiet(): Promise<void> {
  await expectWhole();
  await eventually("what the round made is gone", () => Bun.deepEquals(counts(), quiet)).catch(() => {});
  if (Bun.deepEquals(counts(), quiet)) return;
  const there = formatLeaks(findLeaks(engine.base, before));
  throw new Error(`${JSON.stringify(counts())}, and not ${JSON.stringify(quiet)}:\n${there}`);
}

const networksOf = async (container: string): Promise<string[]> =>
  Object.keys(JSON.parse(await engine.ok(["inspect", "-f", "{{json .NetworkSettings.Networks}}", container]))).sort();
const there = async (...inspect: string[]): Promise<boolean> => (await engine.onggi(inspect)).code === 0;
const portIsFree = async (): Promise<boolean> => (await tryTcp(host, "127.0.0.1", PORT)) === "refused";

/** Lasts a round's container: made at its beginning, and removed at its end. */
async function each(work: (round: number) => Promise<void>): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    await work(round);
    await engine.onggi(["rm", "-f", "guest"]);
    await expectQuiet();
    expect(await portIsFree()).toBe(true);
  }
}

const create = (...more: string[]) =>
  engine.ok(["create", "--name", "guest", "-h", "guest", "--network", "kept", "-p", `${PORT}:80`, ...more, ...SERVER]);

test(
  "during network connect",
  () =>
    each(async () => {
      await create();
      await engine.ok(["start", "guest"]);
      const done = await killedIn("network", "connect", "--alias", "other", "side", "guest");
      await expectWhole();
      const is = await networksOf("guest");
      expect([["kept", "side"], ...(done ? [] : [["kept"]])]).toContainEqual(is);
      if (is.length === 1) await engine.ok(["network", "connect", "side", "guest"]);
      await expectWhole();
      expect(await ask(host, "127.0.0.1", PORT)).toBe("guest");
    }),
  limit,
);

test(
  "during network disconnect: published ports move to the network that is left, or stay",
  () =>
    each(async () => {
      await create();
      await engine.ok(["network", "connect", "side", "guest"]);
      await engine.ok(["start", "guest"]);
      const done = await killedIn("network", "disconnect", "kept", "guest");
      await expectWhole();
      expect([["side"], ...(done ? [] : [["kept", "side"]])]).toContainEqual(await networksOf("guest"));
      expect(await ask(host, "127.0.0.1", PORT)).toBe("guest");
      await engine.onggi(["network", "disconnect", "kept", "guest"]);
      await expectWhole();
      expect(await ask(host, "127.0.0.1", PORT)).toBe("guest");
    }),
  limit,
);

test(
  "during a start with a published port",
  () =>
    each(async () => {
      await create();
      const done = await killedIn("start", "guest");
      await expectWhole();
      const runs = (await engine.ok(["ps", "-q", "--filter", "name=^guest$"])) !== "";
      if (done) expect(runs).toBe(true);
      if (!runs) {
        expect(await portIsFree()).toBe(true);
        await engine.ok(["start", "guest"]);
      }
      expect(await ask(host, "127.0.0.1", PORT)).toBe("guest");
    }),
  limit,
);

test(
  "during rm -f: another container has the port and the address at once",
  () =>
    each(async () => {
      await create("--ip", "10.95.0.9");
      await engine.ok(["start", "guest"]);
      const done = await killedIn("rm", "-f", "guest");
      await expectWhole();
      if (done) expect(await there("inspect", "guest")).toBe(false);
      await engine.onggi(["rm", "-f", "guest"]);
      await create("--ip", "10.95.0.9");
      await engine.ok(["start", "guest"]);
      expect(await ask(host, "127.0.0.1", PORT)).toBe("guest");
    }),
  limit,
);

test(
  "during network create: the subnet is the network's, or free",
  () =>
    each(async () => {
      const network = ["network", "create", "--subnet", "10.97.0.0/28", "made"];
      const done = await killedIn(...network);
      await expectWhole();
      const is = await there("network", "inspect", "made");
      if (done) expect(is).toBe(true);
      if (!is) await engine.ok(network);
      await engine.ok(["run", "--rm", "--network", "made", "busybox", "true"]);
      await engine.ok(["network", "rm", "made"]);
    }),
  limit,
);

test(
  "during network rm: it is gone with its bridge, or can be removed",
  () =>
    each(async () => {
      const network = ["network", "create", "--subnet", "10.97.0.0/28", "made"];
      await engine.ok(network);
      const done = await killedIn("network", "rm", "made");
      await expectWhole();
      if (done) expect(await there("network", "inspect", "made")).toBe(false);
      await engine.onggi(["network", "rm", "made"]);
      await engine.ok(network);
      await engine.ok(["network", "rm", "made"]);
    }),
  limit,
);
