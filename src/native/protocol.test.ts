import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { OnggiError } from "../lib/errors.ts";
import {
  decodeCreated,
  decodeDropped,
  decodeError,
  decodeExit,
  decodeFailed,
  decodeHello,
  decodeStarted,
  decodeStatus,
  encodeFrame,
  type Frame,
  FrameDecoder,
  logLimits,
  MAX_PAYLOAD,
  MAX_PLAN,
  reply,
  request,
  size,
  waitStatus,
  words,
} from "./protocol.ts";

const decodeAll = (pieces: readonly Uint8Array[]): Frame[] => {
  const frames: Frame[] = [];
  const decoder = new FrameDecoder();
  for (const piece of pieces) decoder.push(piece, (frame) => frames.push({ ...frame, payload: frame.payload.slice() }));
  expect(decoder.pending).toBe(0);
  return frames;
};

/** Cuts bytes at the given places. */
const cut = (bytes: Uint8Array, places: readonly number[]): Uint8Array[] => {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, i) => bytes.slice(at[i], end));
};

const anyFrame = fc.record({
  type: fc.nat(65535),
  process: fc.nat(65535),
  payload: fc.uint8Array({ maxLength: 300 }),
});

describe("frames", () => {
  test("are eight bytes and a payload, little-endian", () => {
    expect(encodeFrame(request.kill, 0x0102, words(9, 1))).toEqual(Uint8Array.of(8, 0, 0, 0, 7, 0, 2, 1, 9, 0, 0, 0, 1, 0, 0, 0));
    expect(encodeFrame(request.start, 0)).toEqual(Uint8Array.of(0, 0, 0, 0, 2, 0, 0, 0));
    expect(size(24, 300)).toEqual(Uint8Array.of(24, 0, 44, 1));
    expect(logLimits(2 ** 33, 5)).toEqual(Uint8Array.of(0, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0));
  });

  test("come out as they went in, wherever the stream is cut", () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 12 }), (frames, places) => {
        const bytes = Buffer.concat(frames.map(({ type, process, payload }) => encodeFrame(type, process, payload)));
        expect(decodeAll(cut(bytes, places))).toEqual(frames);
      }),
    );
  });

  test("are limited, by type when sent", () => {
    expect(() => encodeFrame(request.stdin, 0, new Uint8Array(MAX_PAYLOAD + 1))).toThrow(RangeError);
    expect(encodeFrame(request.exec, 0, new Uint8Array(MAX_PLAN)).length).toBe(MAX_PLAN + 8);
    const huge = encodeFrame(reply.stdout, 0);
    new DataView(huge.buffer).setUint32(0, MAX_PAYLOAD + 1, true);
    for (const pieces of [[huge], [huge.slice(0, 3), huge.slice(3)]]) {
      expect(() => decodeAll(pieces)).toThrow(OnggiError);
    }
  });

  test("of any content are decoded or refused, never misread", () => {
    const decoders = [
      decodeHello,
      decodeCreated,
      decodeStarted,
      decodeFailed,
      decodeExit,
      decodeDropped,
      decodeError,
      decodeStatus,
    ];
    fc.assert(
      fc.property(anyFrame, fc.constantFrom(...decoders), (frame, decode) => {
        try {
          decode(frame);
        } catch (error) {
          expect(error).toBeInstanceOf(OnggiError);
          expect((error as OnggiError).code).toBe("shim_protocol");
        }
      }),
    );
  });
});

const frame = (type: number, payload: Uint8Array, process = 0): Frame => ({ type, process, payload });
const join = (...parts: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(parts));
const u64 = (...values: readonly bigint[]) => new Uint8Array(BigUint64Array.from(values).buffer);

describe("replies", () => {
  test("are read, and what a newer shim appends is not", () => {
    const more = Uint8Array.of(1, 2, 3);
    expect(decodeHello(frame(reply.hello, join(words(1, 77, 0, 0), more)))).toEqual({ version: 1, pid: 77 });
    expect(decodeCreated(frame(reply.created, join(words(5, 0), u64(1n, 2n, 3n, 4n, 5n), more)))).toEqual({
      pid: 5,
      shimStart: 1n,
      decoded: 2n,
      cloned: 3n,
      setUp: 4n,
      created: 5n,
    });
    expect(decodeStarted(frame(reply.started, join(words(5, 0), u64(9n))))).toEqual({ pid: 5, at: 9n });
    expect(decodeFailed(frame(reply.failed, join(words(3, 7, 2, 0), Buffer.from("open"))))).toEqual({
      section: "child",
      index: 7,
      errno: 2,
      text: "open",
    });
    expect(decodeFailed(frame(reply.failed, words(255, 0xffffffff, 22, 0)))).toMatchObject({ section: "decode", index: null });
    expect(decodeExit(frame(reply.exit, join(words(9, 1), u64(123n), words(0))))).toEqual({
      waitStatus: 9,
      exitCode: 137,
      signal: 9,
      oomKilled: true,
      at: 123n,
      neverStarted: false,
    });
    expect(decodeDropped(frame(reply.dropped, u64(10n)))).toBe(10);
    expect(decodeError(frame(reply.error, join(words(7, 3), Buffer.from("no"))))).toEqual({ request: 7, errno: 3, text: "no" });
    expect(decodeStatus(frame(reply.status, join(words(0, 5, 3, 0, 0), u64(0n), words(2, 6, 4, 256, 1), u64(8n))))).toEqual([
      { process: 0, pid: 5, state: "running", waitStatus: 0, oomKilled: false, exitedAt: 0n },
      { process: 2, pid: 6, state: "exited", waitStatus: 256, oomKilled: true, exitedAt: 8n },
    ]);
  });

  test.each([
    [0, 0, 0],
    [256, 1, 0],
    [0xff00, 255, 0],
    [15, 143, 15],
    [0x80 | 11, 139, 11],
  ])("wait status %d is exit code %d, signal %d", (status, exitCode, signal) => {
    expect(waitStatus(status)).toEqual({ exitCode, signal });
  });
});
