/**
 * Programs of other architectures: which entry of binfmt_misc, if any, the kernel starts one with.
 * Sources: Linux Documentation/admin-guide/binfmt-misc.rst, fs/binfmt_misc.c; elf(5), the generic ABI's machine numbers.
 */
import { lookUp } from "../lib/tables.ts";

/** An entry, as its file below binfmt_misc tells it. */
export interface BinfmtEntry {
  readonly name: string;
  readonly enabled: boolean;
  /** Path of the program that takes over. */
  readonly interpreter: string;
  /** "F" among them: the interpreter was opened when the entry was made, and a container needs none of its own. */
  readonly flags: string;
  readonly offset: number;
  readonly magic: Uint8Array;
  /** As long as `magic`. */
  readonly mask: Uint8Array;
}

/** The kernel matches within the first so many bytes of a program. */
const HEAD = 256;

const fieldOf = (text: string, name: string): string | undefined => new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1];

const isHex = (text: string): boolean => /^(?:[0-9a-f]{2})+$/.test(text);

/** Reads an entry's file; null for one that goes by a file's extension, or that says something unknown. */
export function parseBinfmt(name: string, text: string): BinfmtEntry | null {
  const [interpreter, magic, offset = "0"] = [fieldOf(text, "interpreter"), fieldOf(text, "magic"), fieldOf(text, "offset")];
  if (!interpreter || !magic || !isHex(magic) || !/^\d{1,3}$/.test(offset)) return null;
  const mask = fieldOf(text, "mask") ?? "ff".repeat(magic.length / 2);
  if (!isHex(mask) || mask.length !== magic.length) return null;
  return {
    ...{ name, interpreter, flags: fieldOf(text, "flags:") ?? "", offset: Number(offset) },
    enabled: text.startsWith("enabled\n"),
    magic: Buffer.from(magic, "hex"),
    mask: Buffer.from(mask, "hex"),
  };
}

/** ELF by Go's names of architectures: machine number, bits, big-endian or not. */
const machines: Readonly<Record<string, readonly [machine: number, bits: 32 | 64, order: "little" | "big"]>> = {
  "386": [3, 32, "little"],
  amd64: [62, 64, "little"],
  arm: [40, 32, "little"],
  arm64: [183, 64, "little"],
  loong64: [258, 64, "little"],
  mips: [8, 32, "big"],
  mipsle: [8, 32, "little"],
  mips64: [8, 64, "big"],
  mips64le: [8, 64, "little"],
  ppc64: [21, 64, "big"],
  ppc64le: [21, 64, "little"],
  riscv64: [243, 64, "little"],
  s390x: [22, 64, "big"],
};

/** How an executable of an architecture begins; undefined for one that is not known. */
export function elfHead(architecture: string): Uint8Array | undefined {
  const found = lookUp(machines, architecture);
  if (!found) return undefined;
  const [machine, bits, order] = found;
  const head = Buffer.alloc(HEAD);
  head.set([0x7f, 0x45, 0x4c, 0x46, bits / 32, order === "little" ? 1 : 2, 1]);
  const put = (value: number, at: number): void => {
    if (order === "little") head.writeUInt16LE(value, at);
    else head.writeUInt16BE(value, at);
  };
  put(2, 16); // e_type: an executable file
  put(machine, 18);
  if (order === "little") head.writeUInt32LE(1, 20);
  else head.writeUInt32BE(1, 20);
  return head;
}

/** Whether the kernel would give a program that begins so to the entry. */
export const takes = ({ enabled, offset, magic, mask }: BinfmtEntry, head: Uint8Array): boolean =>
  enabled && offset + magic.length <= head.length && magic.every((byte, i) => ((byte ^ head[offset + i]!) & mask[i]!) === 0);
