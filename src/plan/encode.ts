/**
 * Plan -> bytes, for the shim. All numbers little-endian.
 *
 *     header, 96 bytes
 *        0  8 bytes  magic "ONGGIPLN"
 *        8  u32      version (1)
 *       12  u32      total length in bytes
 *       16  u64      clone flags
 *       24  u32      cgroup register, 0xffffffff: none
 *       28  u32      number of operations in `before`
 *       32  u32      ... in `after`
 *       36  u32      ... in `child`
 *       40  u32      offset of the data area (operations lie between header and data)
 *       44  u32      supervision flags: 1 tty, 2 openStdin, 4 stdinOnce, 8 durable
 *       48  u32      log format: 0 none, 1 json-file, 2 cri
 *       52  u32      log files kept
 *       56  u64      log size at which it is rotated, bytes, 0: never
 *       64  u64      log path   (reference)
 *       72  u64      exit path  (reference)
 *       80  16 bytes zero
 *     operation, 64 bytes each
 *        0  u16      kind (index in `signatures`)
 *        2  u8       out register, 255: none
 *        3  u8       number of arguments
 *        4  u16 x 4  accepted errno numbers, 0: unused
 *       12  u32      zero
 *       16  u64 x 6  arguments
 *     data area
 *
 * An argument is, by its type: `reg` the register, or 0xffffff9c (AT_FDCWD); `int` the number; `str`, `bytes` and `strs` a
 * reference: the offset from the start of the plan in the low 32 bits, the length in bytes in the high 32. A `str` is
 * followed by a NUL that its length does not count and holds none itself. The bytes of a `strs` are
 * u32 count, then count references (u64, 8-aligned), each to a `str`. References are 8-aligned; zero means absent.
 */
import { type ArgType, AT_FDCWD, type Kind, MAX_REG, type Op, type Plan, type Reg, signatures } from "./ops.ts";

export const PLAN_VERSION = 1;
export const PLAN_MAGIC = "ONGGIPLN";
export const HEADER_SIZE = 96;
export const OP_SIZE = 64;
export const MAX_ARGS = 6;

/** Wire number of each kind. */
export const kinds = Object.keys(signatures) as Kind[];
const kindNumber = new Map(kinds.map((kind, index) => [kind, index]));
const logFormats = { none: 0, "json-file": 1, cri: 2 } as const;

const utf8 = new TextEncoder();

/** Grows as values are appended; every value starts 8-aligned and is addressed by a reference. */
class DataArea {
  private bytes = new Uint8Array(4096);
  private used = 0;
  private readonly strings = new Map<string, bigint>();

  private readonly base: number;

  constructor(base: number) {
    this.base = base;
  }

  /** Equal strings share one place. */
  string(value: string): bigint {
    const known = this.strings.get(value);
    if (known !== undefined) return known;
    if (value.includes("\0")) throw new RangeError(`a string in a plan cannot hold a NUL byte: ${JSON.stringify(value)}`);
    const encoded = utf8.encode(value);
    const reference = this.append(encoded, encoded.length + 1);
    this.strings.set(value, reference);
    return reference;
  }

  raw(value: Uint8Array): bigint {
    return this.append(value, value.length);
  }

  stringList(values: readonly string[]): bigint {
    const references = values.map((value) => this.string(value));
    const list = new DataView(new ArrayBuffer(8 + 8 * references.length));
    list.setUint32(0, references.length, true);
    references.forEach((reference, i) => {
      list.setBigUint64(8 + 8 * i, reference, true);
    });
    return this.raw(new Uint8Array(list.buffer));
  }

  finish(): Uint8Array {
    return this.bytes.subarray(0, this.used);
  }

  private append(value: Uint8Array, room: number): bigint {
    const start = (this.used + 7) & ~7;
    while (start + room > this.bytes.length) {
      const grown = new Uint8Array(this.bytes.length * 2);
      grown.set(this.bytes);
      this.bytes = grown;
    }
    this.bytes.set(value, start);
    this.used = start + room;
    return BigInt(this.base + start) | (BigInt(value.length) << 32n);
  }
}

const encodeReg = (value: Reg): bigint => {
  if (value === AT_FDCWD) return 0xffffff9cn;
  if (!Number.isInteger(value) || value < 0 || value > MAX_REG) throw new RangeError(`no such register: ${value}`);
  return BigInt(value);
};

const encoders: { [T in ArgType]: (value: never, data: DataArea) => bigint } = {
  reg: (value: Reg) => encodeReg(value),
  int: (value: number | bigint) => BigInt.asUintN(64, BigInt(value)),
  str: (value: string, data) => data.string(value),
  bytes: (value: Uint8Array, data) => data.raw(value),
  strs: (value: readonly string[], data) => data.stringList(value),
};

function encodeOp(op: Op, at: number, view: DataView, data: DataArea): void {
  const args = Object.entries(signatures[op.kind].args) as [string, ArgType][];
  const accept = op.accept ?? [];
  if (accept.length > 4) throw new RangeError(`${op.kind}: at most four accepted errno numbers, got ${accept.length}`);
  view.setUint16(at, kindNumber.get(op.kind) as number, true);
  view.setUint8(at + 2, op.out ?? 255);
  view.setUint8(at + 3, args.length);
  accept.forEach((errno, i) => {
    view.setUint16(at + 4 + 2 * i, errno, true);
  });
  const values = op as unknown as Record<string, never>;
  args.forEach(([name, type], i) => {
    view.setBigUint64(at + 16 + 8 * i, encoders[type](values[name] as never, data), true);
  });
}

/** Encodes a plan. Throws RangeError for what the format cannot carry; any plan the compiler makes it can. */
export function encode(plan: Plan): Uint8Array {
  const ops = [...plan.before, ...plan.after, ...plan.child];
  const dataOffset = HEADER_SIZE + OP_SIZE * ops.length;
  const head = new Uint8Array(dataOffset);
  const view = new DataView(head.buffer);
  const data = new DataArea(dataOffset);
  ops.forEach((op, i) => {
    encodeOp(op, HEADER_SIZE + OP_SIZE * i, view, data);
  });

  const { supervision, clone } = plan;
  const flag = (on: boolean, bit: number) => (on ? bit : 0);
  head.set(utf8.encode(PLAN_MAGIC));
  view.setUint32(8, PLAN_VERSION, true);
  view.setBigUint64(16, BigInt(clone.flags >>> 0), true);
  view.setUint32(24, clone.cgroup ?? 0xffffffff, true);
  view.setUint32(28, plan.before.length, true);
  view.setUint32(32, plan.after.length, true);
  view.setUint32(36, plan.child.length, true);
  view.setUint32(40, dataOffset, true);
  const flags =
    flag(supervision.tty, 1) | flag(supervision.openStdin, 2) | flag(supervision.stdinOnce, 4) | flag(supervision.durable, 8);
  view.setUint32(44, flags, true);
  if (supervision.log) {
    view.setUint32(48, logFormats[supervision.log.format], true);
    view.setUint32(52, supervision.log.maxFiles, true);
    view.setBigUint64(56, BigInt(supervision.log.maxSize), true);
    view.setBigUint64(64, data.string(supervision.log.path), true);
  }
  if (supervision.exitPath !== null) view.setBigUint64(72, data.string(supervision.exitPath), true);

  const tail = data.finish();
  view.setUint32(12, dataOffset + tail.length, true);
  const bytes = new Uint8Array(dataOffset + tail.length);
  bytes.set(head);
  bytes.set(tail, dataOffset);
  return bytes;
}
