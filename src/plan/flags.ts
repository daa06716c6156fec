/** The numbers in a plan's arguments, as the manual pages spell them. */
import * as C from "../sys/constants.ts";
import type { Kind } from "./ops.ts";

type Table = Readonly<Record<string, number>>;
type Spell = (value: bigint) => string;

const hex = (value: bigint): string => `0x${value.toString(16)}`;

/** Names of single bits and of masks, joined by "|"; what has no name is added in hexadecimal. */
export function spellFlags(table: Table, value: bigint): string {
  if (value === 0n) return "0";
  const names: string[] = [];
  let rest = value;
  // masks of several bits first: O_TMPFILE holds O_DIRECTORY
  const entries = Object.entries(table).map(([name, bits]) => [name, BigInt(bits >>> 0 === bits ? bits : BigInt(bits))] as const);
  for (const [name, bits] of entries.sort(([, a], [, b]) => bitCount(b) - bitCount(a) || (a < b ? -1 : 1))) {
    if (bits !== 0n && (rest & bits) === bits) {
      names.push(name);
      rest &= ~bits;
    }
  }
  if (rest !== 0n) names.push(hex(rest));
  return names.join("|");
}

const bitCount = (value: bigint): number => value.toString(2).replaceAll("0", "").length;

const flags = (...tables: Table[]): Spell => {
  const table: Table = Object.assign({}, ...tables);
  return (value) => spellFlags(table, value);
};

const oneOf = (table: Table): Spell => {
  const names = new Map(Object.entries(table).map(([name, number]) => [BigInt(number), name]));
  return (value) => names.get(value) ?? hex(value);
};

const octal: Spell = (value) => (value === 0n ? "0" : `0${value.toString(8)}`);
const capabilityNames = new Map<number, string>(Object.entries(C.CAP).map(([name, number]) => [number, name]));

/** "CAP_CHOWN|CAP_KILL"; "all" when all 41 and more are set. */
const capabilities: Spell = (value) => {
  if (value === 0n) return "none";
  if ((value & 0x1ffffffffffn) === 0x1ffffffffffn) return "all";
  const names: string[] = [];
  for (let bit = 0; bit < 64; bit++) if ((value >> BigInt(bit)) & 1n) names.push(capabilityNames.get(bit) ?? `CAP_${bit}`);
  return names.join("|");
};

const openFlags: Spell = (value) => {
  const { O_RDONLY, O_WRONLY, O_RDWR, O_ACCMODE, O_LARGEFILE, O_TMPFILE, O_DSYNC, O_SYNC, ...rest } = C.O;
  const mode = Number(value & 3n);
  const others = spellFlags({ ...rest, O_TMPFILE, O_SYNC }, value & ~3n);
  const access = ["O_RDONLY", "O_WRONLY", "O_RDWR"][mode] ?? "3";
  if (others.includes("O_PATH")) return others;
  return others === "0" ? access : `${access}|${others}`;
};

const nodeMode: Spell = (value) => {
  const types: Table = { S_IFREG: C.S.S_IFREG, S_IFCHR: C.S.S_IFCHR, S_IFBLK: C.S.S_IFBLK, S_IFIFO: C.S.S_IFIFO };
  const type = oneOf(types)(value & 0o170000n);
  return `${type}|${octal(value & 0o7777n)}`;
};

const device: Spell = (value) => {
  const major = (value >> 8n) & 0xfffn;
  const minor = (value & 0xffn) | ((value >> 12n) & 0xfff00n);
  return `makedev(${major}, ${minor})`;
};

const id: Spell = (value) => (value === 0xffffffffn ? "-1" : String(value));
const limit: Spell = (value) => (value === 0xffffffffffffffffn ? "RLIM_INFINITY" : String(value));
const prctlOptions: Table = Object.fromEntries(
  Object.entries(C.PR).filter(([name]) => !name.startsWith("PR_CAP_AMBIENT_") && !name.startsWith("PR_GET")),
);
const requests = oneOf({ ...C.TIOC, SIOCSIFFLAGS: 0x8914 });
const mountFlags = flags(C.MS);
const attributeFlags = flags(C.MOUNT_ATTR);
const cloneFlags = flags(C.CLONE);
const treeFlags = flags(C.OPEN_TREE, { AT_EMPTY_PATH: C.AT.AT_EMPTY_PATH, AT_RECURSIVE: C.AT.AT_RECURSIVE });
const pathFlags = flags({ AT_EMPTY_PATH: C.AT.AT_EMPTY_PATH, AT_RECURSIVE: C.AT.AT_RECURSIVE });

/** How the numeric arguments of each kind are spelled; plain decimal where nothing is said. */
const spellings: { readonly [K in Kind]?: Readonly<Record<string, Spell>> } = {
  open: { flags: openFlags, mode: octal, resolve: flags(C.RESOLVE) },
  mkdir: { mode: octal },
  mknod: { mode: nodeMode, dev: device },
  chmod: { mode: octal },
  chown: { uid: id, gid: id, flags: flags({ AT_EMPTY_PATH: C.AT.AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW: C.AT.AT_SYMLINK_NOFOLLOW }) },
  dup: { flags: openFlagsOrZero },
  closeRange: { last: (value) => (value === 0xffffffffn ? "~0U" : String(value)), flags: flags(C.CLOSE_RANGE) },
  ioctlInt: { request: requests, value: (value) => (value === 0n ? "0" : openFlags(value)) },
  ioctlData: { request: requests },
  fsopen: { flags: flags(C.FSOPEN) },
  fsmount: { flags: flags(C.FSMOUNT), attrs: attributeFlags },
  openTree: { flags: treeFlags },
  moveMount: { flags: flags(C.MOVE_MOUNT) },
  mountSetattr: { flags: pathFlags, set: attributeFlags, clear: attributeFlags, propagation: mountFlags },
  mountIdmap: { flags: pathFlags },
  mount: { flags: mountFlags },
  umount: { flags: flags(C.MNT) },
  unshare: { flags: cloneFlags },
  setns: { flags: cloneFlags },
  prctl: { option: oneOf(prctlOptions) },
  capset: { effective: capabilities, permitted: capabilities, inheritable: capabilities },
  umask: { mask: octal },
  prlimit: { resource: oneOf(C.RLIMIT), soft: limit, hard: limit },
  personality: { persona: flags(C.PER) },
  ioprioSet: { which: oneOf({ IOPRIO_WHO_PROCESS: C.IOPRIO.IOPRIO_WHO_PROCESS }), ioprio: hex },
  setMempolicy: { mode: hex },
  seccomp: { flags: flags(filterFlags()) },
  socket: { domain: oneOf(C.AF), type: flags(C.SOCK) },
  notify: { event: oneOf({ created: 1 }) },
};

function openFlagsOrZero(value: bigint): string {
  return value === 0n ? "0" : openFlags(value);
}

function filterFlags(): Table {
  return Object.fromEntries(Object.entries(C.SECCOMP).filter(([name]) => name.startsWith("SECCOMP_FILTER_FLAG_")));
}

const ambient = oneOf({ PR_CAP_AMBIENT_RAISE: 2, PR_CAP_AMBIENT_CLEAR_ALL: 4 });
const capability: Spell = (value) => capabilityNames.get(Number(value)) ?? String(value);

/** One numeric argument. `others` are the operation's arguments: what a number means can depend on them. */
export function spellNumber(
  kind: Kind,
  argument: string,
  value: number | bigint,
  others: Readonly<Record<string, unknown>>,
): string {
  const number = BigInt.asUintN(64, BigInt(value));
  if (kind === "prctl" && argument === "arg2" && others.option === C.PR.PR_CAPBSET_DROP) return capability(number);
  if (kind === "prctl" && argument === "arg2" && others.option === C.PR.PR_CAP_AMBIENT) return ambient(number);
  const raises = others.option === C.PR.PR_CAP_AMBIENT && others.arg2 === C.PR.PR_CAP_AMBIENT_RAISE;
  if (kind === "prctl" && argument === "arg3" && raises) return capability(number);
  return (spellings[kind]?.[argument] ?? String)(number);
}

export const spellClone = (value: number): string => cloneFlags(BigInt(value >>> 0));
