import { expect, test } from "bun:test";
import fc from "fast-check";
import { FrameDecoder } from "./frames.ts";
import { Outbox } from "./outbox.ts";

/** A socket that takes as much as it is told to, and keeps it. */
class Narrow {
  room = 0;
  readonly taken: number[] = [];
  write(bytes: Uint8Array): number {
    const count = Math.min(this.room, bytes.length);
    this.taken.push(...bytes.subarray(0, count));
    this.room -= count;
    return count;
  }
}

test("frames leave whole and in order however little the socket takes, even if the sender reuses its buffer", () => {
  const step = fc.oneof(
    fc.record({ send: fc.integer({ min: 0, max: 9000 }) }),
    fc.record({ room: fc.integer({ min: 0, max: 7000 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const socket = new Narrow();
      const outbox = new Outbox(socket);
      const sent: [type: number, length: number][] = [];
      const buffer = new Uint8Array(9000);
      for (const [index, action] of steps.entries()) {
        if ("send" in action) {
          const payload = buffer.subarray(0, action.send).fill(index);
          outbox.sendData(index, payload);
          sent.push([index, action.send]);
          buffer.fill(255);
        } else {
          socket.room = action.room;
          outbox.drained();
        }
      }
      socket.room = Number.POSITIVE_INFINITY;
      outbox.drained();
      const decoder = new FrameDecoder();
      decoder.push(Uint8Array.from(socket.taken));
      for (const [type, length] of sent) {
        const frame = decoder.next()!;
        expect([frame.type, frame.payload.length, frame.payload.every((byte) => byte === type)]).toEqual([type, length, true]);
      }
      expect(decoder.pending).toBe(0);
    }),
  );
});

test("a wait ends when everything has left, and when the socket closes", async () => {
  const socket = new Narrow();
  const outbox = new Outbox(socket);
  let left = false;
  const waiting = outbox.sendData(1, new Uint8Array(10))!.then(() => {
    left = true;
  });
  await Bun.sleep(1);
  expect(left).toBe(false);
  socket.room = 100;
  outbox.drained();
  await waiting;
  expect(outbox.sendData(1, new Uint8Array(10))).toBeUndefined();
  const stuck = outbox.sendData(1, new Uint8Array(1000));
  outbox.close();
  await stuck;
  expect(outbox.sendData(1, new Uint8Array(10))).toBeUndefined();
});
