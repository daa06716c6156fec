import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import fc from "fast-check";
import { OnggiError } from "../../lib/errors.ts";
import { Dbus, systemBusPath } from "./dbus.ts";
import {
  decodeMessage,
  encodeMessage,
  MESSAGE,
  type Message,
  messageSize,
  Reader,
  typesOf,
  variant,
  Writer,
} from "./dbus-message.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("marshalling", () => {
  test("the specification's examples: strings, alignment, arrays", () => {
    // "Marshaling (Wire Format)": 'foo', '+', 'bar' as three strings.
    expect(hex(new Writer().append("sss", ["foo", "+", "bar"]).bytes)).toBe(
      "03000000666f6f00" + "010000002b000000" + "0300000062617200",
    );
    // An array of one INT64: length 8, padding to 8 which the length does not count, the number.
    expect(hex(new Writer().append("ax", [[5n]]).bytes)).toBe("0800000000000000" + "0500000000000000");
    expect(hex(new Writer().append("ax", [[]]).bytes)).toBe("0000000000000000");
    expect(hex(new Writer().append("v", [variant("u", 7)]).bytes)).toBe("01750000" + "07000000");
    expect(hex(new Writer().append("ybg", [1, true, "as"]).bytes)).toBe("01000000" + "01000000" + "02617300");
  });

  test("a call of StartTransientUnit, byte for byte", () => {
    const bytes = encodeMessage({
      type: MESSAGE.call,
      flags: 0,
      serial: 2,
      path: "/o",
      member: "M",
      destination: "d.e",
      signature: "sa(sv)",
      body: ["u", [["PIDs", variant("au", [9])]]],
    });
    const fields =
      "01016f00020000002f6f0000" +
      "00000000" + // 1: o "/o"
      "03017300010000004d000000" +
      "00000000" + // 3: s "M"
      "0601730003000000642e6500" +
      "00000000" + // 6: s "d.e"
      "0801670006736128737629" +
      "00"; // 8: g "sa(sv)"
    const body = "010000007500000018000000" + "00000000" + "040000005049447300" + "02617500" + "000000" + "04000000" + "09000000";
    const fieldsLength = fields.length / 2;
    const start = `6c010001${hex(Uint8Array.of(body.length / 2, 0, 0, 0))}02000000${hex(Uint8Array.of(fieldsLength, 0, 0, 0))}`;
    const padding = "00".repeat((8 - (fieldsLength % 8)) % 8);
    expect(hex(bytes)).toBe(start + fields + padding + body);
    expect(messageSize(bytes)).toBe(bytes.length);
  });

  const scalar = fc.oneof(
    fc.tuple(fc.constant("u"), fc.nat()),
    fc.tuple(
      fc.constant("s"),
      fc.string().filter((text) => !text.includes("\0") && text.isWellFormed()),
    ),
    fc.tuple(fc.constant("t"), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
    fc.tuple(fc.constant("b"), fc.boolean()),
    fc.tuple(fc.constant("y"), fc.integer({ min: 0, max: 255 })),
    fc.tuple(fc.constant("n"), fc.integer({ min: -32768, max: 32767 })),
    fc.tuple(fc.constant("x"), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
  ) as fc.Arbitrary<[string, unknown]>;
  const value: fc.Arbitrary<[string, unknown]> = fc.oneof(
    scalar,
    scalar.map(([type, value]): [string, unknown] => [`a${type}`, [value, value, value]]),
    fc
      .array(scalar, { minLength: 1, maxLength: 4 })
      .map((all): [string, unknown] => [`(${all.map(([type]) => type).join("")})`, all.map(([, value]) => value)]),
    scalar.map(([type, value]): [string, unknown] => ["a(sv)", [["k", variant(type, value)]]]),
  );

  test("what is written is read", () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 8 }), (values) => {
        const signature = values.map(([type]) => type).join("");
        const body = values.map(([, value]) => value);
        const bytes = encodeMessage({
          type: MESSAGE.signal,
          flags: 1,
          serial: 5,
          path: "/x",
          interface: "a.b",
          member: "C",
          ...(signature ? { signature } : {}),
          body,
        });
        expect(decodeMessage(bytes).body).toEqual(body);
      }),
    );
  });

  test("foreign bytes are a message or dbus_protocol", () => {
    const good = encodeMessage({
      type: MESSAGE.reply,
      flags: 0,
      serial: 1,
      replySerial: 7,
      signature: "sa(sv)",
      body: ["abc", [["k", variant("as", ["v", "w"])]]],
    });
    const damaged = fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 0, max: 255 })).map(([at, value]) => {
      const copy = good.slice();
      copy[at] = value;
      return copy;
    });
    fc.assert(
      fc.property(
        fc.oneof(
          damaged,
          damaged.map((bytes) => bytes.subarray(0, bytes.length / 2)),
          fc.uint8Array(),
        ),
        (bytes) => {
          try {
            messageSize(bytes);
            decodeMessage(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(OnggiError);
          }
        },
      ),
      { numRuns: 2000 },
    );
    const deep = "a".repeat(200);
    expect(() => new Reader(new Uint8Array(4000)).read(`${deep}y`)).not.toThrow(RangeError);
    expect(() => typesOf("a{sv")).toThrow(/ends early/);
    expect(() => typesOf("()")).toThrow(/empty structure/);
  });
});

/** A bus for one client: answers every call as `answer` says, after the handshake. */
async function withBus(
  answer: (message: Message) => Omit<Message, "flags" | "serial">[],
  run: (path: string) => Promise<void> | void,
): Promise<void> {
  const directory = mkdtempSync(`${tmpdir()}/onggi-dbus-`);
  const script = `${directory}/bus.ts`;
  await Bun.write(
    script,
    `import { decodeMessage, encodeMessage, messageSize, variant } from ${JSON.stringify(`${import.meta.dir}/dbus-message.ts`)};
     const answer = ${answer.toString()};
     Bun.listen({ unix: ${JSON.stringify(`${directory}/bus`)}, socket: {
       open(socket) { socket.data = { text: "", bytes: Buffer.alloc(0), open: false }; },
       data(socket, chunk) {
         const state = socket.data;
         if (!state.open) {
           state.text += chunk.toString("latin1");
           if (/AUTH EXTERNAL 30\\r\\n$/.test(state.text)) { socket.write("OK 1234\\r\\n"); state.text = ""; return; }
           if (/AUTH EXTERNAL \\w+\\r\\n$/.test(state.text)) { socket.write("REJECTED EXTERNAL\\r\\n"); return; }
           if (!state.text.startsWith("BEGIN\\r\\n")) return;
           state.open = true;
           chunk = Buffer.from(state.text.slice(7), "latin1");
         }
         state.bytes = Buffer.concat([state.bytes, chunk]);
         for (let size; (size = messageSize(state.bytes)) !== null && state.bytes.length >= size; ) {
           const message = decodeMessage(state.bytes.subarray(0, size));
           state.bytes = state.bytes.subarray(size);
           const answers = message.member === "Hello" ? [{ type: 2, signature: "s", body: [":1.5"] }] : answer(message);
           for (const one of answers) socket.write(encodeMessage({ flags: 0, serial: 1, replySerial: message.serial, ...one }));
         }
       } } });
     console.log("ready");`,
  );
  const bus = Bun.spawn([process.execPath, script], { stdout: "pipe", stderr: "inherit" });
  try {
    await bus.stdout.getReader().read();
    await run(`${directory}/bus`);
  } finally {
    bus.kill();
    await bus.exited;
    rmSync(directory, { recursive: true });
  }
}

describe("the client", () => {
  test("no bus is a clear error", () => {
    expect(() => new Dbus("/nowhere/bus")).toThrow(
      /the systemd driver needs systemd's bus at \/nowhere\/bus.*ENOENT.*use the cgroupfs driver/,
    );
  });

  test("the address of the environment", () => {
    expect(systemBusPath({})).toBe("/run/dbus/system_bus_socket");
    expect(systemBusPath({ DBUS_SYSTEM_BUS_ADDRESS: "unix:path=/x/y" })).toBe("/x/y");
    expect(systemBusPath({ DBUS_SYSTEM_BUS_ADDRESS: "tcp:host=a" })).toBe("/run/dbus/system_bus_socket");
  });

  test.skipIf(process.getuid?.() !== 0)("calls, errors, and signals that came before their turn", async () => {
    await withBus(
      (message) => {
        const signal = (job: string) => ({
          type: 4,
          path: "/a",
          interface: "a.b",
          member: "JobRemoved",
          signature: "uos",
          body: [1, job, "done"],
        });
        if (message.member === "Fail") return [{ type: 3, error: "a.b.NoSuchUnit", signature: "s", body: ["no unit"] }];
        return [
          signal("/job/0"),
          signal("/job/1"),
          { type: 2, signature: "v", body: [{ signature: "s", value: `${message.destination} ${message.body.join()}` }] },
        ];
      },
      (path) => {
        const bus = new Dbus(path);
        const to = { destination: "x.y", path: "/o", interface: "a.b" };
        expect(bus.call({ ...to, member: "Echo", signature: "su", body: ["hello", 5] })).toEqual([variant("s", "x.y hello,5")]);
        expect(bus.waitFor("JobRemoved", (body) => body[1] === "/job/1")).toEqual([1, "/job/1", "done"]);
        expect(() => bus.call({ ...to, member: "Fail" })).toThrow(/x.y Fail: a.b.NoSuchUnit: no unit/);
        bus.close();
      },
    );
  });
});
