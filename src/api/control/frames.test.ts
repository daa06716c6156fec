import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { OnggiError } from "../../lib/errors.ts";
import { decodeJson, encodeFrame, encodeRequest, FrameDecoder, HEADER, startsLikeHttp } from "./frames.ts";

const payloads = fc.array(fc.tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 300 })), { maxLength: 20 });

function decodeAll(decoder: FrameDecoder, chunks: Uint8Array[]): [number, number[]][] {
  const seen: [number, number[]][] = [];
  for (const chunk of chunks) {
    decoder.push(chunk);
    for (let next = decoder.next(); next; next = decoder.next()) seen.push([next.type, [...next.payload]]);
  }
  return seen;
}

/** `bytes` cut into pieces at the given places. */
function cut(bytes: Uint8Array, places: number[]): Uint8Array[] {
  const ends = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...ends, bytes.length].map((end, index) => bytes.slice(index === 0 ? 0 : ends[index - 1], end));
}

describe("FrameDecoder", () => {
  test("gives the frames that were encoded, wherever the stream is cut", () => {
    fc.assert(
      fc.property(payloads, fc.array(fc.nat(), { maxLength: 30 }), (frames, places) => {
        const bytes = Buffer.concat(frames.map(([type, payload]) => encodeFrame(type, payload)));
        const decoder = new FrameDecoder();
        expect(decodeAll(decoder, cut(new Uint8Array(bytes), places))).toEqual(
          frames.map(([type, payload]) => [type, [...payload]]),
        );
        expect(decoder.pending).toBe(0);
      }),
    );
  });

  test("takes a frame byte by byte", () => {
    const bytes = encodeFrame(7, new Uint8Array([1, 2, 3]));
    expect(
      decodeAll(
        new FrameDecoder(),
        [...bytes].map((byte) => new Uint8Array([byte])),
      ),
    ).toEqual([[7, [1, 2, 3]]]);
  });

  test("never throws anything but protocol_error on garbage, and never holds more than it was given", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }), (chunks) => {
        const decoder = new FrameDecoder(1000);
        let given = 0;
        try {
          for (const chunk of chunks) {
            given += chunk.length;
            decodeAll(decoder, [chunk]);
            expect(decoder.pending).toBeLessThanOrEqual(Math.min(given, 1000 + HEADER));
          }
        } catch (error) {
          expect((error as OnggiError).code).toBe("protocol_error");
        }
      }),
    );
  });

  test("refuses a length above the limit as soon as it is announced", () => {
    const decoder = new FrameDecoder(100);
    decoder.push(new Uint8Array([101, 0, 0, 0, 1]));
    expect(() => decoder.next()).toThrow(OnggiError);
  });
});

test("a request never starts like HTTP and is still the same JSON", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 400 }), (text) => {
      const bytes = encodeRequest(1, { text });
      expect(startsLikeHttp(bytes[0]!)).toBe(false);
      const decoder = new FrameDecoder();
      decoder.push(bytes);
      expect(decodeJson(decoder.next()!)).toEqual({ text });
    }),
  );
});
