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
 *       44  u32      supervision flags: 1 tty, 2 openStdin, 4 stdinOnce, 8 durable, 16 started by its runtime
 *       48  u32      log format: 0 none, 1 json-file, 2 cri
 *       52  u32      log files kept
 *       56  u64      log size at which it is rotated, bytes, 0: never
 *       64  u64      log path   (reference)
 *       72  u64      exit path  (reference)
 *       80  u64      path of the pid that a runtime writes (reference)
 *       88  u64      path of the socket that a runtime sends the terminal to (reference)
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

interface Layout {
  readonly number: number;
  readonly args: readonly (readonly [name: string, type: ArgType])[];
}
const layouts = Object.fromEntries(
  kinds.map((kind, number) => [kind, { number, args: Object.entries(signatures[kind].args) as [string, ArgType][] }]),
) as unknown as Record<Kind, Layout>;

const logFormats = { none: 0, "json-file": 1, cri: 2 } as const;
const utf8 = new TextEncoder();

/** Offset and length of a value in the data area. */
interface Reference {
  readonly offset: number;
  readonly length: number;
}

/** Grows as values are appended; every value starts 8-aligned and is addressed by a reference. */
class DataArea {
  private bytes = new Uint8Array(16384);
  private used = 0;
  private readonly strings = new Map<string, Reference>();
  private readonly base: number;

  constructor(base: number) {
    this.base = base;
  }

  /** Equal strings share one place. */
  string(value: string): Reference {
    const known = this.strings.get(value);
    if (known !== undefined) return known;
    if (value.includes("\0")) throw new RangeError(`a string in a plan cannot hold a NUL byte: ${JSON.stringify(value)}`);
    const start = this.room(value.length * 3 + 1);
    const { written } = utf8.encodeInto(value, this.bytes.subarray(start));
    this.bytes[start + written] = 0;
    this.used = start + written + 1;
    const reference = { offset: this.base + start, length: written };
    this.strings.set(value, reference);
    return reference;
  }

  raw(value: Uint8Array): Reference {
    const start = this.room(value.length);
    this.bytes.set(value, start);
    this.used = start + value.length;
    return { offset: this.base + start, length: value.length };
  }

  stringList(values: readonly string[]): Reference {
    const references = values.map((value) => this.string(value));
    const list = new DataView(new ArrayBuffer(8 + 8 * references.length));
    list.setUint32(0, references.length, true);
    references.forEach((reference, i) => {
      putReference(list, 8 + 8 * i, reference);
    });
    return this.raw(new Uint8Array(list.buffer));
  }

  finish(): Uint8Array {
    return this.bytes.subarray(0, this.used);
  }

  /** Makes room for `length` bytes; returns where they go. */
  private room(length: number): number {
    const start = (this.used + 7) & ~7;
    if (start + length > this.bytes.length) {
      const grown = new Uint8Array(Math.max(this.bytes.length * 2, start + length));
      grown.set(this.bytes);
      this.bytes = grown;
    }
    return start;
  }
}

function putReference(view: DataView, at: number, { offset, length }: Reference): void {
  view.setUint32(at, offset, true);
  view.setUint32(at + 4, length, true);
}

/** Numbers that need no more than 32 bits, nearly all of them, are written without a bigint. */
function putInt(view: DataView, at: number, value: number | bigint): void {
  if (typeof value === "number" && value >= 0 && value <= 0xffffffff) view.setUint32(at, value, true);
  else view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), true);
}

function putReg(view: DataView, at: number, value: Reg): void {
  if (value === AT_FDCWD) view.setUint32(at, 0xffffff9c, true);
  else if (Number.isInteger(value) && value >= 0 && value <= MAX_REG) view.setUint32(at, value, true);
  else throw new RangeError(`no such register: ${value}`);
}

const putters: { [T in ArgType]: (view: DataView, at: number, value: never, data: DataArea) => void } = {
  reg: putReg,
  int: putInt,
  str: (view, at, value: string, data) => putReference(view, at, data.string(value)),
  bytes: (view, at, value: Uint8Array, data) => putReference(view, at, data.raw(value)),
  strs: (view, at, value: readonly string[], data) => putReference(view, at, data.stringList(value)),
};

function putOp(op: Op, at: number, view: DataView, data: DataArea): void {
  const { number, args } = layouts[op.kind];
  const accept = op.accept ?? [];
  if (accept.length > 4) throw new RangeError(`${op.kind}: at most four accepted errno numbers, got ${accept.length}`);
  view.setUint16(at, number, true);
  view.setUint8(at + 2, op.out ?? 255);
  view.setUint8(at + 3, args.length);
  for (let i = 0; i < accept.length; i++) view.setUint16(at + 4 + 2 * i, accept[i] as number, true);
  const values = op as unknown as Record<string, never>;
  let place = at + 16;
  for (const [name, type] of args) {
    putters[type](view, place, values[name] as never, data);
    place += 8;
  }
}

/** Encodes a plan. Throws RangeError for what the format cannot carry; any plan the compiler makes it can. */
export function encode(plan: Plan): Uint8Array {
  const ops = [...plan.before, ...plan.after, ...plan.child];
  const dataOffset = HEADER_SIZE + OP_SIZE * ops.length;
  const head = new Uint8Array(dataOffset);
  const view = new DataView(head.buffer);
  const data = new DataArea(dataOffset);
  ops.forEach((op, i) => {
    putOp(op, HEADER_SIZE + OP_SIZE * i, view, data);
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
    flag(supervision.tty, 1) |
    flag(supervision.openStdin, 2) |
    flag(supervision.stdinOnce, 4) |
    flag(supervision.durable, 8) |
    flag(supervision.runtime?.started ?? false, 16);
  view.setUint32(44, flags, true);
  if (supervision.log) {
    view.setUint32(48, logFormats[supervision.log.format], true);
    view.setUint32(52, supervision.log.maxFiles, true);
    view.setBigUint64(56, BigInt(supervision.log.maxSize), true);
    putReference(view, 64, data.string(supervision.log.path));
  }
  if (supervision.exitPath !== null) putReference(view, 72, data.string(supervision.exitPath));
  const { pidPath, consolePath = null } = supervision.runtime ?? {};
  if (pidPath !== undefined) putReference(view, 80, data.string(pidPath));
  if (consolePath !== null) putReference(view, 88, data.string(consolePath));

  const tail = data.finish();
  view.setUint32(12, dataOffset + tail.length, true);
  const bytes = new Uint8Array(dataOffset + tail.length);
  bytes.set(head);
  bytes.set(tail, dataOffset);
  return bytes;
}
