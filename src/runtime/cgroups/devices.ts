/**
 * The device rules of a container: which device nodes it may open or make. Pure.
 *
 * Rules are applied in order to a group that may do everything; for each of the accesses read, write and mknod the last
 * rule that covers the device decides. v1 has a list in the kernel, v2 an eBPF program that the kernel asks on every
 * open(2) and mknod(2) of a device (Linux Documentation/admin-guide/cgroup-v2.rst, "Device controller").
 */
import type { DeviceRule } from "../../oci/spec.ts";
import { integer, invalidLimit, type LimitWrite } from "./limits.ts";

/** BPF_DEVCG_ACC_* and BPF_DEVCG_DEV_* of linux/bpf.h. */
const ACCESS = { m: 1, r: 2, w: 4 } as const;
const TYPE = { b: 1, c: 2 } as const;
const ALL = 7;

interface Rule {
  allow: boolean;
  type: "a" | "b" | "c";
  /** null: every one. */
  major: number | null;
  minor: number | null;
  access: number;
}

function normalise(rule: DeviceRule): Rule {
  const { allow, type = "a", access = "rwm" } = rule;
  if (!["a", "b", "c"].includes(type)) invalidLimit("devices", rule, "the type must be a, b or c");
  let bits = 0;
  for (const letter of access === "" ? "rwm" : access) {
    const bit = ACCESS[letter as keyof typeof ACCESS];
    if (bit === undefined) invalidLimit("devices", rule, "access is made of r, w and m");
    bits |= bit;
  }
  const number = (value: number | undefined): number | null => {
    if (value === undefined || value === -1) return null;
    if (value > 0xffffffff) invalidLimit("devices", rule, "a device number has 32 bits");
    return Number(integer("devices", value, 0));
  };
  return { allow, type, major: number(rule.major), minor: number(rule.minor), access: bits };
}

const isWhole = (rule: Rule): boolean => rule.type === "a" && rule.major === null && rule.minor === null && rule.access === ALL;

/** Rules from the last that covers everything on: what stands before it decides nothing. */
function effective(rules: readonly DeviceRule[]): Rule[] {
  const all = rules.map(normalise);
  const last = all.findLastIndex(isWhole);
  return all.slice(Math.max(0, last));
}

/** True if the rules leave everything allowed, which is what a new group has anyway. */
export const grantsEverything = (rules: readonly DeviceRule[]): boolean => effective(rules).every((rule) => rule.allow);

type Exception = Omit<Rule, "allow" | "type"> & { type: "b" | "c" };

const nameOf = ({ type, major, minor }: Exception): string => `${type} ${major ?? "*"}:${minor ?? "*"}`;
const lettersOf = (access: number): string => (["r", "w", "m"] as const).filter((letter) => access & ACCESS[letter]).join("");

/**
 * What the rules come to on v1: a default and the exceptions to it. The kernel can only take an exception back as it was
 * made, so "all but one" of a wider exception cannot be said: that is `invalid_cgroup_limit`, not a silent gap.
 */
function emulate(rules: readonly Rule[]): { allow: boolean; exceptions: Map<string, Exception> } {
  const state = { allow: true, exceptions: new Map<string, Exception>() };
  for (const rule of rules) {
    if (isWhole(rule)) {
      state.allow = rule.allow;
      state.exceptions.clear();
      continue;
    }
    const types = rule.type === "a" ? (["b", "c"] as const) : [rule.type];
    for (const type of types) {
      const one: Exception = { type, major: rule.major, minor: rule.minor, access: rule.access };
      if (rule.allow !== state.allow) {
        const name = nameOf(one);
        state.exceptions.set(name, { ...one, access: one.access | (state.exceptions.get(name)?.access ?? 0) });
      } else takeBack(state.exceptions, one, rule);
    }
  }
  return state;
}

function takeBack(exceptions: Map<string, Exception>, rule: Exception, asked: Rule): void {
  const meets = (a: number | null, b: number | null): boolean => a === null || b === null || a === b;
  const within = (inner: number | null, outer: number | null): boolean => outer === null || inner === outer;
  for (const [name, exception] of exceptions) {
    if (exception.type !== rule.type || !(exception.access & rule.access)) continue;
    if (!meets(exception.major, rule.major) || !meets(exception.minor, rule.minor)) continue;
    if (!within(exception.major, rule.major) || !within(exception.minor, rule.minor)) {
      invalidLimit("devices", asked, `cgroup v1 cannot take a part out of "${name}", which an earlier rule names`);
    }
    const access = exception.access & ~rule.access;
    if (access === 0) exceptions.delete(name);
    else exceptions.set(name, { ...exception, access });
  }
}

/**
 * Writes to devices.allow and devices.deny. With `current` (devices.list of a group that lives) only the differences are
 * written where that is possible, so that no device is refused in between.
 */
export function devicesV1(rules: readonly DeviceRule[] = [], current?: string): LimitWrite[] {
  if (rules.length === 0 || (current === undefined && grantsEverything(rules))) return [];
  const all = effective(rules);
  const target = emulate(all);
  const write = (allow: boolean, value: string): LimitWrite => ({
    limit: "devices",
    controller: "devices",
    file: allow ? "devices.allow" : "devices.deny",
    value,
  });
  const present = target.allow || current === undefined ? null : parseList(current);
  if (!present) {
    const exceptions = [...target.exceptions.values()].map((one) =>
      write(!target.allow, `${nameOf(one)} ${lettersOf(one.access)}`),
    );
    // "a" resets the kernel's list, and must not stand where nobody asked for a reset: the parent may forbid it.
    return all[0] && isWhole(all[0]) ? [write(target.allow, "a *:* rwm"), ...exceptions] : exceptions;
  }
  const writes: LimitWrite[] = [];
  for (const [name, one] of target.exceptions) {
    const missing = one.access & ~(present.get(name) ?? 0);
    if (missing) writes.push(write(true, `${name} ${lettersOf(missing)}`));
  }
  for (const [name, access] of present) {
    const surplus = access & ~(target.exceptions.get(name)?.access ?? 0);
    if (surplus) writes.push(write(false, `${name} ${lettersOf(surplus)}`));
  }
  return writes;
}

/** The writes that make `now`, devices.list as it is, what it was before. Throws for what the list did not show. */
export function devicesBack(before: string, now: string): LimitWrite[] {
  const present = parseList(before);
  if (!present) throw new Error("every device was allowed but for exceptions that the kernel does not show");
  const rules = [...present].map(([name, access]): DeviceRule => {
    const [type, major, minor] = name.split(/[ :]/);
    const number = (text = "*"): number => (text === "*" ? -1 : Number(text));
    return { allow: true, type: type as "b" | "c", major: number(major), minor: number(minor), access: lettersOf(access) };
  });
  return devicesV1([{ allow: false, access: "rwm" }, ...rules], now);
}

/** devices.list as name -> access; null if it allows everything (the kernel then does not show its exceptions). */
function parseList(list: string): Map<string, number> | null {
  const present = new Map<string, number>();
  for (const line of list.split("\n")) {
    const [type, number, letters] = line.split(" ");
    if (type === "a") return null;
    if (!type || !number || !letters) continue;
    let access = 0;
    for (const letter of letters) access |= ACCESS[letter as keyof typeof ACCESS] ?? 0;
    present.set(`${type} ${number}`, access);
  }
  return present;
}

/** eBPF, from linux/bpf.h. */
const OP = {
  LDX_W: 0x61,
  MOV32_K: 0xb4,
  MOV32_X: 0xbc,
  AND32_K: 0x54,
  RSH32_K: 0x74,
  JA: 0x05,
  JNE32_K: 0x56,
  JSET32_K: 0x46,
  EXIT: 0x95,
} as const;
const R = { result: 0, context: 1, type: 2, access: 3, major: 4, minor: 5 } as const;

const instruction = (code: number, dst: number, src: number, offset: number, immediate: number): Uint8Array => {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, code);
  view.setUint8(1, dst | (src << 4));
  view.setInt16(2, offset, true);
  view.setInt32(4, immediate | 0, true);
  return bytes;
};

const verdict = (allow: boolean): Uint8Array[] => [
  instruction(OP.MOV32_K, R.result, 0, 0, allow ? 1 : 0),
  instruction(OP.EXIT, 0, 0, 0, 0),
];

/**
 * The rules as a BPF_PROG_TYPE_CGROUP_DEVICE program: struct bpf_insn, 8 bytes each, little-endian. It returns 1 to allow.
 *
 * The program walks the rules from the last to the first with the accesses that are still undecided in a register: a rule
 * that allows takes its accesses out of it (none left: allowed), a rule that denies one of them ends it. What no rule covers
 * is allowed. The size is at most 9 instructions for a rule.
 */
export function compileDeviceProgram(rules: readonly DeviceRule[]): Uint8Array {
  // struct bpf_cgroup_dev_ctx { u32 access_type (access << 16 | type); u32 major; u32 minor; }
  const program: Uint8Array[] = [
    instruction(OP.LDX_W, R.access, R.context, 0, 0),
    instruction(OP.MOV32_X, R.type, R.access, 0, 0),
    instruction(OP.AND32_K, R.type, 0, 0, 0xffff),
    instruction(OP.RSH32_K, R.access, 0, 0, 16),
    instruction(OP.LDX_W, R.major, R.context, 4, 0),
    instruction(OP.LDX_W, R.minor, R.context, 8, 0),
  ];
  for (const rule of effective(rules).reverse()) {
    const body: Uint8Array[] = rule.allow
      ? [
          instruction(OP.AND32_K, R.access, 0, 0, ALL & ~rule.access),
          instruction(OP.JNE32_K, R.access, 0, 2, 0),
          ...verdict(true),
        ]
      : [instruction(OP.JSET32_K, R.access, 0, 1, rule.access), instruction(OP.JA, 0, 0, 2, 0), ...verdict(false)];
    const tests: [register: number, value: number][] = [];
    if (rule.type !== "a") tests.push([R.type, TYPE[rule.type]]);
    if (rule.major !== null) tests.push([R.major, rule.major]);
    if (rule.minor !== null) tests.push([R.minor, rule.minor]);
    tests.forEach(([register, value], index) => {
      program.push(instruction(OP.JNE32_K, register, 0, tests.length - index - 1 + body.length, value));
    });
    program.push(...body);
  }
  program.push(...verdict(true));
  return Buffer.concat(program);
}
