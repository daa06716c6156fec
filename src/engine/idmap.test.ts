import { expect, test } from "bun:test";
import fc from "fast-check";
import { IdSlots, RANGE_SIZE, rangeOf, reservedSlots } from "./idmap.ts";

test("the lowest free slot is taken, released ones come back", () => {
  const slots = new IdSlots([1]);
  expect([slots.take(), slots.take(), slots.take()]).toEqual([0, 2, 3]);
  slots.release(2);
  expect([slots.take(), slots.take()]).toEqual([2, 4]);
});

test("a slot that several have is free when the last one lets go of it", () => {
  const slots = new IdSlots([]);
  const slot = slots.take();
  slots.claim(slot);
  slots.release(slot);
  expect(slots.take()).not.toBe(slot);
  slots.release(slot);
  expect(slots.take()).toBe(slot);
});

test("no slot overlaps what /etc/subuid hands out", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 31 }), fc.integer({ min: 1, max: 2 ** 20 }), (start, count) => {
      const slots = new IdSlots(reservedSlots(`somebody:${start}:${count}\n# comment\nbroken line\n`));
      const { hostId } = rangeOf(slots.take());
      expect(hostId + RANGE_SIZE <= start || hostId >= start + count).toBe(true);
    }),
  );
});
