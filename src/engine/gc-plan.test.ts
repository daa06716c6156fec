import { expect, test } from "bun:test";
import { array, assert, boolean, integer, option, property, record } from "fast-check";
import { type CollectedImage, collectionPlan } from "./gc-plan.ts";

const image = (id: string, lastUsed: number, sizes: Record<string, number>, isFree = true): CollectedImage => ({
  ...{ id, lastUsed, isFree },
  layers: Object.entries(sizes).map(([diffId, size]) => ({ diffId, size })),
});

const images = [
  image("young", 900, { base: 100, young: 5 }),
  image("old", 100, { base: 100, old: 10 }),
  image("older", 50, { older: 20 }),
  image("used", 10, { used: 1000 }, false),
];

test("by age: what has not been used for that long, oldest first; shared layers stay", () => {
  expect(collectionPlan(images, { unusedFor: 500 }, 1000)).toEqual({ ids: ["older", "old"], bytes: 30 });
  expect(collectionPlan(images, { unusedFor: 901 }, 1000)).toEqual({ ids: ["older"], bytes: 20 } as never);
});

test("by size: the least recently used, until it fits; a shared layer goes with its last image", () => {
  expect(collectionPlan(images, { keepStorage: 1135 }, 1000)).toEqual({ ids: [], bytes: 0 });
  expect(collectionPlan(images, { keepStorage: 1134 }, 1000)).toEqual({ ids: ["older"], bytes: 20 });
  expect(collectionPlan(images, { keepStorage: 1105 }, 1000)).toEqual({ ids: ["older", "old"], bytes: 30 });
  expect(collectionPlan(images, { keepStorage: 1 }, 1000)).toEqual({ ids: ["older", "old", "young"], bytes: 135 });
});

test("by both, and by nothing", () => {
  expect(collectionPlan(images, { unusedFor: 500, keepStorage: 1104 }, 1000).ids).toEqual(["older", "old", "young"]);
  expect(collectionPlan(images, {}, 1000)).toEqual({ ids: [], bytes: 0 });
});

test("whatever there is: nothing that is not free goes, and what goes is as much as it says", () => {
  const layer = record({ diffId: integer({ min: 0, max: 9 }).map(String), size: integer({ min: 1, max: 100 }) });
  const any = array(
    record({ lastUsed: integer({ min: 0, max: 1000 }), layers: array(layer, { maxLength: 4 }), isFree: boolean() }),
    {
      maxLength: 12,
    },
  );
  const limits = record({
    unusedFor: option(integer({ min: 0, max: 1000 }), { nil: undefined }),
    keepStorage: option(integer({ min: 0, max: 500 }), { nil: undefined }),
  });
  assert(
    property(any, limits, (found, limit) => {
      const sizes = new Map<string, number>();
      const all = found.map((one, at) => ({
        ...one,
        id: String(at),
        layers: one.layers.map(({ diffId, size }) => {
          if (!sizes.has(diffId)) sizes.set(diffId, size);
          return { diffId, size: sizes.get(diffId)! };
        }),
      }));
      const bytesOf = (some: readonly CollectedImage[]): number =>
        [...new Set(some.flatMap(({ layers }) => layers.map(({ diffId }) => diffId)))].reduce(
          (sum, diffId) => sum + sizes.get(diffId)!,
          0,
        );
      const { ids, bytes } = collectionPlan(all, limit, 1000);
      const rest = all.filter(({ id }) => !ids.includes(id));
      expect(ids.every((id) => all[Number(id)]!.isFree)).toBe(true);
      expect(bytesOf(all) - bytesOf(rest)).toBe(bytes);
      if (limit.keepStorage !== undefined && rest.some(({ isFree }) => isFree))
        expect(bytesOf(rest)).toBeLessThanOrEqual(limit.keepStorage);
    }),
  );
});
