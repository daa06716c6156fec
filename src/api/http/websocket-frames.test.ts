import { expect, test } from "bun:test";
import fc from "fast-check";
import { closeFrame, FrameDecoder, FrameError, frameOf, opcode } from "./websocket-frames.ts";

interface Sent {
  code: number;
  payload: Uint8Array;
  fin?: boolean;
  mask?: Uint8Array;
}

/** A frame as a client sends it. */
function masked({ code, payload, fin = true, mask = Uint8Array.of(1, 2, 3, 4) }: Sent): Uint8Array {
  const plain = frameOf(code, payload);
  const header = plain.slice(0, plain.length - payload.length);
  if (!fin) header[0]! &= 0x7f;
  header[1]! |= 0x80;
  return Buffer.concat([header, mask, payload.map((byte, index) => byte ^ mask[index & 3]!)]);
}

function decode(bytes: Uint8Array, cuts: readonly number[] = []): { data: number[]; pings: string[]; closed: unknown } {
  const found: { data: number[]; pings: string[]; closed: unknown } = { data: [], pings: [], closed: null };
  const decoder = new FrameDecoder({
    data: (part) => found.data.push(...part),
    ping: (payload) => found.pings.push(Buffer.from(payload).toString("hex")),
    close: (code) => {
      found.closed = code;
    },
  });
  const ends = [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
  let start = 0;
  for (const end of ends) {
    decoder.push(bytes.subarray(start, end));
    start = end;
  }
  return found;
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

test("messages, in parts too, with control frames between; nothing counts behind a close", () => {
  const bytes = Buffer.concat([
    masked({ code: opcode.binary, payload: text("one "), fin: false }),
    masked({ code: opcode.ping, payload: text("p") }),
    masked({ code: opcode.continuation, payload: text("message "), fin: false }),
    masked({ code: opcode.pong, payload: text("") }),
    masked({ code: opcode.continuation, payload: text("") }),
    masked({ code: opcode.text, payload: text("x".repeat(70_000)) }),
    masked({ code: opcode.close, payload: Uint8Array.of(0x03, 0xe8, 0x61) }),
    text("no frame at all"),
  ]);
  const { data, pings, closed } = decode(bytes);
  expect(Buffer.from(data).toString()).toBe(`one message ${"x".repeat(70_000)}`);
  expect([pings, closed]).toEqual([["70"], 1000]);
  expect(decode(masked({ code: opcode.close, payload: text("") })).closed).toBeUndefined();
});

test("what was sent comes out, wherever it was cut, whatever the masks", () => {
  const payload = fc.uint8Array({ maxLength: 300 });
  const mask = fc.uint8Array({ minLength: 4, maxLength: 4 });
  const frame = fc.record({ payload, mask, ping: fc.boolean() });
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 8 }), (frames, cuts) => {
      const sent = frames.map(({ payload, mask, ping }) =>
        masked({ code: ping ? opcode.ping : opcode.binary, payload: ping ? payload.slice(0, 125) : payload, mask }),
      );
      const { data, pings } = decode(Buffer.concat(sent), cuts);
      expect(Buffer.from(data)).toEqual(Buffer.concat(frames.filter(({ ping }) => !ping).map((one) => one.payload)));
      expect(pings).toEqual(
        frames.filter(({ ping }) => ping).map((one) => Buffer.from(one.payload.slice(0, 125)).toString("hex")),
      );
    }),
  );
});

test("what the protocol forbids is refused", () => {
  const ping = masked({ code: opcode.ping, payload: text("x") });
  const forbidden: Record<string, Uint8Array> = {
    "no mask": frameOf(opcode.binary, text("x")),
    "reserved bit": Uint8Array.of(0xc2, 0x80),
    "reserved opcode": Uint8Array.of(0x83, 0x80),
    "control in parts": Uint8Array.of(ping[0]! & 0x7f, ...ping.slice(1)),
    "long control": Uint8Array.of(0x89, 0xfe, 0, 126),
    "continuation of nothing": masked({ code: opcode.continuation, payload: text("x") }),
    "message in a message": Buffer.concat([
      masked({ code: opcode.text, payload: text("x"), fin: false }),
      masked({ code: opcode.text, payload: text("x") }),
    ]),
    "half a code": masked({ code: opcode.close, payload: text("x") }),
    "too long": Uint8Array.of(0x82, 0xff, ...Array(8).fill(0xff), 0, 0, 0, 0),
  };
  for (const [what, bytes] of Object.entries(forbidden)) expect(() => decode(bytes), what).toThrow(FrameError);
});

test("anything is read or refused, whole or in parts alike", () => {
  const outcome = (bytes: Uint8Array, cuts: number[]): unknown => {
    try {
      return decode(bytes, cuts);
    } catch (error) {
      expect(error).toBeInstanceOf(FrameError);
      return (error as Error).message;
    }
  };
  const byte = fc.oneof(fc.constantFrom(0x81, 0x82, 0x02, 0x80, 0x88, 0x89, 0xfe, 0xff, 0x85), fc.nat(255));
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 60 }), fc.array(fc.nat(), { maxLength: 6 }), (bytes, cuts) => {
      expect(outcome(Uint8Array.from(bytes), cuts)).toEqual(outcome(Uint8Array.from(bytes), []));
    }),
  );
});

test("what a server sends has no mask, and the length in the shortest form", () => {
  expect([...closeFrame(1000)]).toEqual([0x88, 2, 0x03, 0xe8]);
  expect([...closeFrame()]).toEqual([0x88, 0]);
  expect([...frameOf(opcode.binary, new Uint8Array(125)).slice(0, 2)]).toEqual([0x82, 125]);
  expect([...frameOf(opcode.binary, new Uint8Array(126)).slice(0, 4)]).toEqual([0x82, 126, 0, 126]);
  expect([...frameOf(opcode.binary, new Uint8Array(0x1_0000)).slice(0, 10)]).toEqual([0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
});
