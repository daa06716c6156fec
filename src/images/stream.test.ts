import { expect, test } from "bun:test";
import fc from "fast-check";
import { OnggiError } from "../lib/errors.ts";
import { type Chunks, chunksOf, compressionOf, decompressed, peek } from "./stream.ts";

async function* inChunks(data: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size);
}

const all = async (source: Chunks): Promise<Buffer> => {
  const parts: Uint8Array[] = [];
  for await (const chunk of source) parts.push(chunk);
  return Buffer.concat(parts);
};

const packers: Record<string, (data: Uint8Array<ArrayBuffer>) => Uint8Array> = {
  none: (data) => data,
  gzip: (data) => Bun.gzipSync(data),
  zstd: (data) => Bun.zstdCompressSync(data),
};

for (const [name, pack] of Object.entries(packers)) {
  test(`${name}: what was packed comes out, however the stream is cut`, async () => {
    const noMagic = fc.uint8Array({ maxLength: 5000 }).filter((data) => compressionOf(data) === "none");
    await fc.assert(
      fc.asyncProperty(noMagic, fc.integer({ min: 1, max: 3000 }), async (data, size) => {
        const packed = pack(new Uint8Array(data));
        expect((await all(decompressed(inChunks(packed, size)))).equals(Buffer.from(data))).toBe(true);
      }),
      { numRuns: 60 },
    );
  });
}

test("random bytes behind a magic number give bytes or OnggiError", async () => {
  const magic = fc.constantFrom([0x1f, 0x8b, 8], [0x1f, 0x8b], [0x28, 0xb5, 0x2f, 0xfd]);
  await fc.assert(
    fc.asyncProperty(magic, fc.uint8Array({ maxLength: 300 }), async (head, tail) => {
      try {
        await all(decompressed(inChunks(Buffer.concat([new Uint8Array(head), tail]), 50)));
      } catch (error) {
        expect(error).toBeInstanceOf(OnggiError);
      }
    }),
    { numRuns: 60 },
  );
});

test("several gzip members are one stream", async () => {
  const packed = Buffer.concat([Bun.gzipSync("one "), Bun.gzipSync("two")]);
  expect((await all(decompressed(inChunks(packed, 10)))).toString()).toBe("one two");
});

test("growth is limited by ratio, beyond what is free", async () => {
  const packed = Bun.gzipSync(new Uint8Array(1 << 20));
  const limits = { freeBytes: 1000, ratio: 10 };
  expect(all(decompressed(inChunks(packed, 100), limits))).rejects.toThrow(/10 times/);
  expect((await all(decompressed(inChunks(packed, 100), { freeBytes: 2 << 20, ratio: 10 }))).length).toBe(1 << 20);
});

test("peek takes the head and gives it back", async () => {
  const { head, whole } = await peek(inChunks(Buffer.from("abcdefgh"), 3), 4);
  expect(Buffer.from(head).toString()).toBe("abcdef");
  expect((await all(whole)).toString()).toBe("abcdefgh");
});

test("leaving a stream early tells its source", async () => {
  let cancelled = false;
  const source = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(10)),
    cancel: () => {
      cancelled = true;
    },
  });
  for await (const _ of chunksOf(source)) break;
  expect(cancelled).toBe(true);
});
