/** Two hundred connects and disconnects at once, of twenty containers that run and five networks, on a host of the test's own. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Engine, slowness, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { Netns } from "../kit/netns.ts";
import { type Connected, expectTruth } from "../kit/network-truth.ts";
import { seededRandom } from "../kit/random.ts";

const CALLS = 200;
const containers = Array.from({ length: 20 }, (_, index) => `c${index}`);
const networks = Array.from({ length: 5 }, (_, index) => `n${index}`);

const host = new Netns("host");
let engine: Engine;
beforeAll(async () => {
  engine = startEngine({ under: host.enter });
  await bootstrapBusybox(engine);
  for (const [index, name] of networks.entries()) await engine.ok(["network", "create", "--subnet", `10.95.${index}.0/24`, name]);
  await Promise.all(
    containers.map((name, index) =>
      engine.ok(["run", "-d", "--name", name, "-p", `${8000 + index}:80`, "--network", "n0", "busybox", "sleep", "100000"]),
    ),
  );
}, 120_000);
afterAll(async () => {
  await engine.close();
  host.close();
}, 120_000);

const memberships = (all: readonly Connected[]): string[] =>
  all.flatMap(({ Name, NetworkSettings }) =>
    Object.keys(NetworkSettings.Networks).map((network) => `${Name.slice(1)} ${network}`),
  );

test(
  `${CALLS} at once are all answered, and each does as it says`,
  async () => {
    const random = seededRandom("networks at once");
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
    const counts = new Map(memberships(await expectTruth(engine, host)).map((membership) => [membership, 1]));
    const call = async (): Promise<void> => {
      const [container, network, connects] = [pick(containers), pick(networks), random() < 0.6];
      const words = connects ? ["connect", "--alias", `all-${network}`] : ["disconnect"];
      const { code, stderr } = await engine.onggi(["network", ...words, network, container], { timeout: 60_000 });
      const key = `${container} ${network}`;
      if (code === 0) counts.set(key, (counts.get(key) ?? 0) + (connects ? 1 : -1));
      // All others are refused for the one reason that there is: it is there already, or not.
      else expect([code, stderr]).toEqual([1, expect.stringMatching(connects ? /already/ : /is not in/)]);
    };
    await Promise.all(Array.from({ length: CALLS }, call));
    // Each connect that was acknowledged has put in one, each disconnect has taken out one: whatever their order was.
    const expected = [...counts].filter(([, count]) => count !== 0);
    expect(expected.every(([, count]) => count === 1)).toBe(true);
    const all = await expectTruth(engine, host);
    expect(memberships(all).sort()).toEqual(expected.map(([key]) => key).sort());
    // A new engine says the same.
    await engine.murder();
    expect(memberships(await expectTruth(engine, host)).sort()).toEqual(memberships(all).sort());
  },
  120_000 * slowness,
);
