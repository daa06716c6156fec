import { expect, test } from "bun:test";
import fc from "fast-check";
import { encode, HEADER_SIZE, kinds, OP_SIZE, PLAN_MAGIC } from "./encode.ts";
import { type ArgType, AT_FDCWD, type Kind, type Op, type Plan, signatures } from "./ops.ts";

const supervision = { tty: false, openStdin: false, stdinOnce: false, log: null, exitPath: null, durable: false } as const;
const planOf = (child: readonly Op[]): Plan => ({ before: [], clone: { flags: 0 }, after: [], child, supervision });

const values: { [T in ArgType]: fc.Arbitrary<unknown> } = {
  reg: fc.oneof(fc.integer({ min: 0, max: 254 }), fc.constant(AT_FDCWD)),
  int: fc.oneof(fc.nat(), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
  str: fc.string({ unit: "binary" }).filter((text) => !text.includes("\0")),
  bytes: fc.uint8Array({ maxLength: 100 }),
  strs: fc.array(
    fc.string().filter((text) => !text.includes("\0")),
    { maxLength: 5 },
  ),
};

const arbitraryOp: fc.Arbitrary<Op> = fc.constantFrom(...kinds).chain((kind: Kind) => {
  const args = Object.fromEntries(Object.entries(signatures[kind].args).map(([name, type]) => [name, values[type as ArgType]]));
  const accept = fc.array(fc.integer({ min: 1, max: 133 }), { maxLength: 4 });
  return fc
    .record({ ...args, out: fc.integer({ min: 0, max: 254 }), accept })
    .map((fields) => ({ kind, group: "process", why: "test", ...fields }) as unknown as Op);
});

/** Reads an argument back by the format's description, independently of the encoder. */
function decodeArg(bytes: Uint8Array, at: number, type: ArgType): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const number = view.getBigUint64(at, true);
  if (type === "reg") return number === 0xffffff9cn ? AT_FDCWD : Number(number);
  if (type === "int") return number;
  const offset = Number(number & 0xffffffffn);
  const length = Number(number >> 32n);
  expect(offset % 8).toBe(0);
  const data = bytes.slice(offset, offset + length);
  if (type === "bytes") return data;
  if (type === "str") {
    expect(bytes[offset + length]).toBe(0);
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(data);
  }
  const count = view.getUint32(offset, true);
  return Array.from({ length: count }, (_, i) => decodeArg(bytes, offset + 8 + 8 * i, "str"));
}

test("every operation can be read back as it was written", () => {
  fc.assert(
    fc.property(fc.array(arbitraryOp, { maxLength: 20 }), (ops) => {
      const bytes = encode(planOf(ops));
      const view = new DataView(bytes.buffer);
      expect(new TextDecoder().decode(bytes.subarray(0, 8))).toBe(PLAN_MAGIC);
      expect(view.getUint32(12, true)).toBe(bytes.length);
      expect(view.getUint32(36, true)).toBe(ops.length);
      ops.forEach((op, index) => {
        const at = HEADER_SIZE + OP_SIZE * index;
        expect(kinds[view.getUint16(at, true)]).toBe(op.kind);
        expect(view.getUint8(at + 2)).toBe(op.out as number);
        expect([0, 1, 2, 3].map((i) => view.getUint16(at + 4 + 2 * i, true)).filter((errno) => errno !== 0)).toEqual([
          ...(op.accept ?? []),
        ]);
        const fields = op as unknown as Record<string, unknown>;
        Object.entries(signatures[op.kind].args).forEach(([name, type], i) => {
          const wanted = type === "int" ? BigInt(fields[name] as number) : fields[name];
          expect(decodeArg(bytes, at + 16 + 8 * i, type as ArgType)).toEqual(wanted);
        });
      });
    }),
    { numRuns: 200 },
  );
});

test("supervision and clone lie where the format says", () => {
  const bytes = encode({
    ...planOf([]),
    clone: { flags: 0x7c020000, cgroup: 30 },
    supervision: {
      tty: true,
      openStdin: true,
      stdinOnce: false,
      durable: true,
      exitPath: "exit",
      log: { format: "cri", path: "a.log", maxSize: 2 ** 33, maxFiles: 3 },
      runtime: { pidPath: "init.pid", consolePath: "console.sock", started: true },
    },
  });
  const view = new DataView(bytes.buffer);
  expect(view.getBigUint64(16, true)).toBe(0x7c020000n);
  expect(view.getUint32(24, true)).toBe(30);
  expect(view.getUint32(44, true)).toBe(1 | 2 | 8 | 16);
  expect(view.getUint32(48, true)).toBe(2);
  expect(view.getUint32(52, true)).toBe(3);
  expect(view.getBigUint64(56, true)).toBe(2n ** 33n);
  expect(decodeArg(bytes, 64, "str")).toBe("a.log");
  expect(decodeArg(bytes, 72, "str")).toBe("exit");
  expect(decodeArg(bytes, 80, "str")).toBe("init.pid");
  expect(decodeArg(bytes, 88, "str")).toBe("console.sock");
  expect(new Uint8Array(encode(planOf([])).slice(64, 96)).every((byte) => byte === 0)).toBe(true);
});

test("what the format cannot carry is refused", () => {
  const common = { group: "process", why: "test" } as const;
  expect(() => encode(planOf([{ kind: "chdir", path: "a\0b", ...common }]))).toThrow("cannot hold a NUL byte");
  expect(() => encode(planOf([{ kind: "fchdir", fd: 255, ...common }]))).toThrow("no such register: 255");
  expect(() => encode(planOf([{ kind: "setsid", accept: [1, 2, 3, 4, 5], ...common }]))).toThrow("at most four");
});
