import { expect, test } from "bun:test";
import fc from "fast-check";
import { parsePairs } from "./files.ts";
import { sumBlkio, sumIoStat } from "./stats.ts";

test("blkio counters are summed over devices, without the totals", () => {
  const text = "8:0 Read 10\n8:0 Write 20\n8:0 Sync 1\n8:0 Total 30\n8:16 Read 1\n8:16 Write 2\nTotal 33\n";
  expect(sumBlkio(text)).toEqual({ read: 11, write: 22 });
});

test("io.stat is summed over devices", () => {
  const text = "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=9 dios=9\n8:16 rbytes=10 wbytes=20 rios=30 wios=40 dbytes=0 dios=0\n";
  expect(sumIoStat(text)).toEqual({ readBytes: 11, writeBytes: 22, readOps: 33, writeOps: 44 });
});

test("any text is read without a throw, into numbers", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const values = [...parsePairs(text).values(), ...Object.values(sumBlkio(text)), ...Object.values(sumIoStat(text))];
      expect(values.every(Number.isFinite)).toBe(true);
    }),
  );
});
