import { expect, test } from "bun:test";
import { counted } from "./progress.ts";

test("the first bytes are told, many, and the last ones", () => {
  const told: number[] = [];
  const count = counted((current) => told.push(current), 1_200_000);
  for (const bytes of [10, 10, 600_000, 20, 599_960]) count(bytes);
  expect(told).toEqual([10, 600_020, 1_200_000]);
});

test("few bytes are told when time has passed", async () => {
  const told: number[] = [];
  const count = counted((current) => told.push(current));
  count(1);
  count(1);
  await Bun.sleep(210);
  count(1);
  count(1);
  expect(told).toEqual([1, 3]);
});
