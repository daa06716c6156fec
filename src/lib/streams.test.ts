import { expect, test } from "bun:test";
import { begun, produced } from "./streams.ts";

const never = new AbortController().signal;
const read = async <T>(source: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = [];
  for await (const value of source) all.push(value);
  return all;
};

test("a write returns when the reader wants more: one buffer serves for all", async () => {
  const buffer = new Uint8Array(1);
  const source = produced<Uint8Array>(async (write) => {
    for (let i = 0; i < 5; i += 1) {
      buffer[0] = i;
      await write(buffer);
    }
  }, never);
  const seen: number[] = [];
  for await (const chunk of source) {
    await Bun.sleep(0);
    seen.push(chunk[0]!);
  }
  expect(seen).toEqual([0, 1, 2, 3, 4]);
});

test("a failure comes behind what was written; before the first value it is the beginning's", async () => {
  const failing = (count: number) =>
    produced<number>(async (write) => {
      for (let i = 0; i < count; i += 1) await write(i);
      throw new Error("broken");
    }, never);
  expect(begun(failing(0))).rejects.toThrow("broken");
  const seen: number[] = [];
  const reading = (async () => {
    for await (const value of await begun(failing(2))) seen.push(value);
  })();
  await expect(reading).rejects.toThrow("broken");
  expect(seen).toEqual([0, 1]);
  expect(await read(await begun(produced<number>(async () => {}, never)))).toEqual([]);
});

test("a reader that stops, or a signal, ends the writing", async () => {
  const endless = (signal: AbortSignal) => {
    let why: unknown;
    const source = produced<number>(async (write) => {
      try {
        for (let i = 0; ; i += 1) await write(i);
      } catch (error) {
        why = error;
      }
    }, signal);
    return { source, why: () => why };
  };
  const left = endless(never);
  for await (const value of left.source) if (value === 3) break;
  expect(String(left.why())).toContain("nobody reads");
  const controller = new AbortController();
  const aborted = endless(controller.signal);
  await aborted.source.next();
  controller.abort(new Error("gone"));
  // nobody reads on, and yet it ends
  for (let i = 0; i < 100 && aborted.why() === undefined; i += 1) await Bun.sleep(1);
  expect(String(aborted.why())).toContain("gone");
});
