import { expect, test } from "bun:test";
import fc from "fast-check";
import { Mirror, type MirroredKey, type MirrorStore } from "./mirror.ts";
import { type Claim, claimValues, Keys } from "./records.ts";

const keys = new Keys("/p");
const network = "ab".repeat(32);
const nodes = ["0000000000000001", "0000000000000002"];

class Memory implements MirrorStore {
  readonly entries = new Map<string, MirroredKey>();

  write({ put, removed, all }: Parameters<MirrorStore["write"]>[0]): void {
    if (all) this.entries.clear();
    for (const key of removed) this.entries.delete(key);
    for (const entry of put) this.entries.set(entry.key, entry);
  }

  read(): MirroredKey[] {
    return [...this.entries.values()];
  }
}

const claimOf = (last: number, node: string): Claim => ({
  ...{ network, node, container: last.toString(16).padStart(64, "0"), mac: `02:42:0a:00:00:0${last}` },
  ...{ ipv4: `10.0.0.${last}`, ipv6: last % 2 ? `fd00::${last}` : null, names: [`c${last}`] },
});

const entriesOf = (claim: Claim, modRevision: number): MirroredKey[] =>
  keys.ofClaim(claim).map((key, at) => ({ key, value: claimValues(claim)[at]!, modRevision }));

test("changes say what came, went and became another's; addresses are free before they are taken", () => {
  const mirror = new Mirror(keys, new Memory());
  expect(mirror.replace(entriesOf(claimOf(1, nodes[0]!), 1), 1)).toMatchObject({
    ...{ claims: [claimOf(1, nodes[0]!)], claimsGone: [], free: [] },
    taken: [{ ip: "10.0.0.1" }, { ip: "fd00::1" }],
  });
  const moved = mirror.change(entriesOf(claimOf(1, nodes[1]!), 2), [], 2);
  expect(moved).toMatchObject({ claims: [claimOf(1, nodes[1]!)], claimsGone: [claimOf(1, nodes[0]!)] });
  expect(moved.free.map(({ node }) => node)).toEqual([nodes[0]!, nodes[0]!]);
  expect(moved.taken.map(({ node }) => node)).toEqual([nodes[1]!, nodes[1]!]);
  expect(mirror.claimsOf(nodes[0]!)).toEqual([]);
  expect(mirror.revision).toBe(2);
});

test("what is there already is no change", () => {
  const mirror = new Mirror(keys, new Memory());
  const entries = [...entriesOf(claimOf(1, nodes[0]!), 1), { key: `${keys.alive}${nodes[0]}`, value: "", modRevision: 1 }];
  mirror.replace(entries, 1);
  const again = mirror.replace(entries, 5);
  expect([again.claims, again.claimsGone, again.taken, again.free, again.nodes]).toEqual([[], [], [], [], []]);
  expect(mirror.isAlive(nodes[0]!)).toBe(true);
});

test("what a mirror knows follows from what was told, however it was told, and the next one knows it too", () => {
  const event = fc.record({ last: fc.integer({ min: 1, max: 5 }), node: fc.constantFrom(...nodes), gone: fc.boolean() });
  fc.assert(
    fc.property(fc.array(event), fc.nat(), (events, cut) => {
      const store = new Memory();
      const mirror = new Mirror(keys, store);
      const truth = new Map<string, MirroredKey>();
      const taken = new Map<string, string>();
      const follow = ({ taken: now, free }: ReturnType<Mirror["change"]>): void => {
        for (const { ip } of free) taken.delete(ip);
        for (const { ip, node } of now) taken.set(ip, node);
      };
      for (const [at, { last, node, gone }] of events.entries()) {
        const entries = entriesOf(claimOf(last, node), at + 1);
        for (const entry of entries) {
          if (gone) truth.delete(entry.key);
          else truth.set(entry.key, entry);
        }
        if (at === cut % (events.length + 1)) follow(mirror.replace([...truth.values()], at + 1));
        else
          follow(
            gone
              ? mirror.change(
                  [],
                  entries.map(({ key }) => key),
                  at + 1,
                )
              : mirror.change(entries, [], at + 1),
          );
      }
      const want = [...truth.values()].flatMap(({ value }) => ("of" in JSON.parse(value) ? [] : [JSON.parse(value)]));
      const sorted = (claims: readonly Claim[]) => [...claims].sort((one, other) => (one.mac < other.mac ? -1 : 1));
      expect(sorted(mirror.claims(network))).toEqual(sorted(want));
      expect(sorted(new Mirror(keys, store).claims(network))).toEqual(sorted(want));
      expect([...taken.keys()].sort()).toEqual([...truth.keys()].map((key) => key.split("/").at(-1)!).sort());
    }),
  );
});
