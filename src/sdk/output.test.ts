import { expect, test } from "bun:test";
import fc from "fast-check";
import { Channel, follow } from "./channel.ts";
import { callOutput, Output } from "./output.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function filled(chunks: readonly Uint8Array[]): Output {
  return callOutput(async (push) => {
    for (const chunk of chunks) await push(chunk);
  });
}

test("lines are the text's, however it is cut into chunks", () =>
  fc.assert(
    fc.asyncProperty(fc.array(fc.string({ unit: "grapheme", maxLength: 8 })), fc.array(fc.nat(6)), async (parts, cuts) => {
      const lines = parts.map((part) => part.replace(/[\r\n]/g, ""));
      const all = bytes(lines.map((line) => `${line}\n`).join(""));
      const chunks: Uint8Array[] = [];
      for (let at = 0, i = 0; at < all.length; i++) {
        const length = (cuts[i] ?? 3) + 1;
        chunks.push(all.subarray(at, at + length));
        at += length;
      }
      const got: string[] = [];
      for await (const line of filled(chunks).lines()) got.push(line);
      expect(got).toEqual(lines);
    }),
  ));

test("a last line needs no end, CRLF is one", async () => {
  const got: string[] = [];
  for await (const line of filled([bytes("a\r"), bytes("\nb")]).lines()) got.push(line);
  expect(got).toEqual(["a", "b"]);
});

test("whoever writes waits for a reader that has begun, and loses nothing", async () => {
  const { output, sink } = Output.make();
  const reader = output[Symbol.asyncIterator]();
  const chunk = new Uint8Array(1 << 19).fill(7);
  expect(sink.push(chunk)).toBeUndefined();
  expect(sink.push(chunk)).toBeUndefined();
  const third = sink.push(chunk);
  expect(third).toBeInstanceOf(Promise);
  let went = false;
  void third?.then(() => {
    went = true;
  });
  await Promise.resolve();
  expect(went).toBe(false);
  expect((await reader.next()).value).toEqual(chunk);
  await third;
  sink.end();
  expect((await reader.next()).done).toBe(false);
  expect((await reader.next()).done).toBe(false);
  expect((await reader.next()).done).toBe(true);
});

test("an output that nobody reads holds nobody back, and says what it has lost", async () => {
  const { output, sink } = Output.make();
  for (let i = 0; i < 10; i++) expect(sink.push(new Uint8Array(1 << 18))).toBeUndefined();
  sink.end();
  await expect(output.text()).rejects.toThrow("are lost");
});

test("a call begins with its reader", async () => {
  let calls = 0;
  const output = callOutput(async () => {
    calls += 1;
  });
  expect(calls).toBe(0);
  expect(await output.text()).toBe("");
  expect(calls).toBe(1);
});

test("it is read once", async () => {
  const output = filled([bytes("x")]);
  expect(await output.text()).toBe("x");
  await expect(output.text()).rejects.toThrow("it can be read once");
});

test("a chunk is the reader's own", async () => {
  const { output, sink } = Output.make();
  const buffer = bytes("before");
  void sink.push(buffer);
  buffer.set(bytes("after!"));
  sink.end();
  expect(await output.text()).toBe("before");
});

test("a reader that leaves ends the call, also while it waits", async () => {
  let signal: AbortSignal | undefined;
  const iterator = follow<number>(async (_, given) => {
    signal = given;
    await new Promise((_, reject) => given.addEventListener("abort", () => reject(given.reason)));
  });
  const waiting = iterator.next();
  await iterator.return?.();
  expect(signal?.aborted).toBe(true);
  expect((await waiting).done).toBe(true);
});

test("what the call throws comes behind what it has told", async () => {
  const got: number[] = [];
  const read = async () => {
    for await (const value of follow<number>(async (push) => {
      await push(1);
      await push(2);
      throw new Error("the kiln is cold");
    }))
      got.push(value);
  };
  await expect(read()).rejects.toThrow("the kiln is cold");
  expect(got).toEqual([1, 2]);
});

test("a channel holds no more than its limit and the value that passed it", async () => {
  const channel = new Channel<number>({ limit: 2 });
  expect(channel.push(1)).toBeUndefined();
  expect(channel.push(2)).toBeUndefined();
  expect(channel.push(3)).toBeInstanceOf(Promise);
  expect(channel.isFull).toBe(true);
});
