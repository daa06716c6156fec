import { expect, test } from "bun:test";
import fc from "fast-check";
import { OnggiError } from "../lib/errors.ts";
import { decodeExitRecord } from "./exit-record.ts";

const record = (...words: readonly number[]) => new Uint8Array(Uint32Array.from(words).buffer);
const MAGIC = 0x31474e4f;

test("a record tells how the process ended", () => {
  expect(decodeExitRecord(record(MAGIC, 137 << 8, 1, 0, 5, 1, 0, 0))).toEqual({
    waitStatus: 137 << 8,
    exitCode: 137,
    signal: 0,
    oomKilled: true,
    at: 0x1_0000_0005n,
    neverStarted: false,
    failure: null,
  });
});

test("a record of a failed set-up names the operation", () => {
  expect(decodeExitRecord(record(MAGIC, 255 << 8, 2, 13, 5, 0, 3, 21))).toMatchObject({
    neverStarted: true,
    failure: { section: "child", index: 21, errno: 13, text: "" },
  });
  expect(decodeExitRecord(record(MAGIC, 0, 2, 0, 0, 0, 1, 0xffffffff)).failure).toMatchObject({ section: "clone", index: null });
});

test("anything else is refused", () => {
  expect(() => decodeExitRecord(record(MAGIC, 0, 0, 0, 0, 0, 0))).toThrow(/28 bytes/);
  expect(() => decodeExitRecord(record(1, 0, 0, 0, 0, 0, 0, 0))).toThrow(/magic 0x1$/);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      expect(() => decodeExitRecord(bytes)).toThrow(OnggiError);
    }),
  );
});
