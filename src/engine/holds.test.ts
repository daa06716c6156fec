import { expect, test } from "bun:test";
import { Holds } from "./holds.ts";

test("one at a time, in turn; who has left does not hold it", async () => {
  const holds = new Holds();
  const order: string[] = [];
  const [first, second, third] = [new AbortController(), new AbortController(), new AbortController()];
  const all = [first, second, third].map((one, index) => holds.hold("a", () => order.push(`${index}`), one.signal));
  const other = new AbortController();
  const apart = holds.hold("b", () => order.push("b"), other.signal);
  await Bun.sleep(1);
  expect(order).toEqual(["0", "b"]);
  second.abort();
  first.abort();
  await Promise.all(all.slice(0, 2));
  await Bun.sleep(1);
  expect(order).toEqual(["0", "b", "2"]);
  third.abort();
  other.abort();
  await Promise.all([...all, apart]);
});
