import { expect, test } from "bun:test";
import { Channel } from "./channel.ts";
import { until } from "./until.ts";

test("who asks several times at once is answered in turn, then by the end", async () => {
  const channel = new Channel<number>();
  const asked = [channel.next(), channel.next(), channel.next(), channel.next()];
  for (const value of [1, 2]) channel.push(value);
  channel.end();
  expect((await Promise.all(asked)).map(({ value }) => value)).toEqual([1, 2, undefined, undefined]);
});

test("of those who wait for more the first hears what went wrong", async () => {
  const channel = new Channel<number>();
  const asked = [channel.next(), channel.next()];
  channel.end({ error: new Error("cracked") });
  const [first, second] = await Promise.allSettled(asked);
  expect(first).toMatchObject({ status: "rejected", reason: new Error("cracked") });
  expect(second).toMatchObject({ status: "fulfilled", value: { done: true } });
  expect(await channel.next()).toEqual({ done: true, value: undefined });
});

test("a source is left when what it is read for is over, also while it has nothing", async () => {
  let left = 0;
  async function* source() {
    try {
      yield 1;
      yield 2;
      await new Promise((resolve) => setTimeout(resolve, 50));
      yield 3;
    } finally {
      left += 1;
    }
  }
  const got: number[] = [];
  for await (const value of until(Bun.sleep(10), source())) got.push(value);
  expect(got).toEqual([1, 2]);
  await Bun.sleep(60);
  expect(left).toBe(1);
  for await (const _ of until(new Promise(() => {}), source())) break;
  expect(left).toBe(2);
});

test("what a source throws is thrown", async () => {
  const broken = (function* () {
    yield 1;
    throw new Error("dry");
  })();
  const read = async () => await Array.fromAsync(until(new Promise(() => {}), broken));
  expect(read()).rejects.toThrow("dry");
});
