import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import fc from "fast-check";
import type { Seccomp, SeccompRule } from "../../oci/spec.ts";
import { seccompArch, seccompNativeArch, seccompSyscall } from "../../sys/index.ts";
import { canonical, compileSeccomp } from "./compile.ts";
import { defaultSeccomp } from "./profile.ts";

interface Call {
  arch: number;
  number: number;
  args: bigint[];
}

/** Runs a seccomp program on one call, as the kernel does; returns the 32-bit answer. */
function interpret(program: Uint8Array, call: Call): number {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, call.number, true);
  data.setUint32(4, call.arch, true);
  for (const [index, value] of call.args.entries()) data.setBigUint64(16 + index * 8, value, true);
  const scratch = new Uint32Array(16);
  let a = 0;
  for (let pc = 0; pc < program.length / 8; pc++) {
    const code = view.getUint16(pc * 8, true);
    const [yes, no, k] = [view.getUint8(pc * 8 + 2), view.getUint8(pc * 8 + 3), view.getUint32(pc * 8 + 4, true)];
    const jump = (condition: boolean): void => {
      pc += condition ? yes : no;
    };
    if (code === 0x20) a = data.getUint32(k, true);
    else if (code === 0x02) scratch[k] = a;
    else if (code === 0x60) a = scratch[k] as number;
    else if (code === 0x54) a = (a & k) >>> 0;
    else if (code === 0x05) pc += k;
    else if (code === 0x15) jump(a === k);
    else if (code === 0x25) jump(a > k);
    else if (code === 0x35) jump(a >= k);
    else if (code === 0x45) jump((a & k) !== 0);
    else if (code === 0x06) return k;
    else throw new Error(`instruction 0x${code.toString(16)} at ${pc}`);
  }
  throw new Error("ran off the end");
}

const ACTION = {
  SCMP_ACT_ALLOW: 0x7fff0000,
  SCMP_ACT_LOG: 0x7ffc0000,
  SCMP_ACT_TRAP: 0x30000,
  SCMP_ACT_KILL_PROCESS: 0x80000000,
} as Record<string, number>;
const answerOf = (action: string, errnoRet = 1): number => ACTION[action] ?? 0x50000 | errnoRet;
const ENOSYS = answerOf("SCMP_ACT_ERRNO", 38);

function matches({ args = [] }: SeccompRule, call: Call): boolean {
  const one = ({ index, value, valueTwo = 0, op }: NonNullable<SeccompRule["args"]>[number]): boolean => {
    const [given, a, b] = [call.args[index] as bigint, BigInt(value), BigInt(valueTwo)];
    if (op === "SCMP_CMP_EQ") return given === a;
    if (op === "SCMP_CMP_NE") return given !== a;
    if (op === "SCMP_CMP_LT") return given < a;
    if (op === "SCMP_CMP_LE") return given <= a;
    if (op === "SCMP_CMP_GT") return given > a;
    if (op === "SCMP_CMP_GE") return given >= a;
    return (given & a) === b;
  };
  const repeated = new Set(args.map(({ index }) => index)).size < args.length;
  return args.length === 0 || (repeated ? args.some(one) : args.every(one));
}

/** What the profile says of a call, read rule by rule. */
function expected(profile: Seccomp, token: number, call: Call): number {
  const rules = profile.syscalls ?? [];
  const numbers = new Map(rules.flatMap(({ names }) => names.map((name) => [name, seccompSyscall(token, name) ?? -1])));
  const permissive = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG"].includes(profile.defaultAction);
  if (!permissive && call.number > Math.max(...numbers.values(), -1) && numbers.size) return ENOSYS;
  const rule = rules.find((rule) => rule.names.some((name) => numbers.get(name) === call.number) && matches(rule, call));
  return rule ? answerOf(rule.action, rule.errnoRet) : answerOf(profile.defaultAction, profile.defaultErrnoRet);
}

const X86_64 = 0xc000003e;
const I386 = 0x40000003;
const X32 = 0x4000003e;
const onX64 = process.arch === "x64";
const argument = fc.oneof(
  fc.constantFrom(0n, 1n, 8n, 38n, 39n, 40n, 41n, 0x20000n, 0x20008n, 0xffffffffn, 0x10000000n, 0x7e020000n, 2n ** 64n - 1n),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
);
const args = fc.array(argument, { minLength: 6, maxLength: 6 });

describe("the default profile", () => {
  const capabilitySets = [[], ["CAP_SYS_ADMIN"], ["CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_BPF"]];
  test.each(capabilitySets.map((set) => [set]))("with %j decides as it says, on every architecture", (capabilities) => {
    const profile = defaultSeccomp({ capabilities, arch: onX64 ? "x64" : "arm64", kernel: [6, 12] });
    const { program, flags } = compileSeccomp(profile);
    expect(flags).toBe(4);
    expect(program.length / 8).toBeLessThan(4096);
    const tokens = (profile.architectures ?? []).map((name) => seccompArch(name.slice(10).toLowerCase()) as number);
    expect(tokens).toContain(seccompNativeArch());
    const known = ["socket", "personality", "clone", "clone3", "mount", "io_uring_setup", "ptrace", "read", "keyctl", "chroot"];
    const call = fc.tuple(
      fc.constantFrom(...tokens),
      fc.oneof(fc.integer({ min: 0, max: 480 }), fc.constantFrom(...known)),
      args,
    );
    fc.assert(
      fc.property(call, ([token, which, args]) => {
        const bit = token === X32 ? 0x40000000 : 0;
        const number = typeof which === "number" ? which | bit : (seccompSyscall(token, which) ?? 0);
        fc.pre(number >= 0);
        const call = { arch: token === X32 ? X86_64 : token, number, args };
        // i386 has socket and its family twice, directly and behind socketcall, and resolves the name to the latter.
        fc.pre(token !== I386 || !((number >= 359 && number <= 402) || number === 337 || number === 345));
        // libseccomp compares 32 bits on architectures with 32-bit pointers.
        if (token === I386 || token === X32 || token === 0x40000028) call.args = args.map((value) => value & 0xffffffffn);
        expect(interpret(program, call)).toBe(expected(profile, token, call));
      }),
      { numRuns: 1500 },
    );
  });

  test("another architecture's calls kill", () => {
    const { program } = compileSeccomp(defaultSeccomp({ capabilities: [], arch: onX64 ? "x64" : "arm64", kernel: [6, 12] }));
    expect(interpret(program, { arch: 0xc00000f3, number: 1, args: [0n, 0n, 0n, 0n, 0n, 0n] })).toBe(0);
  });
});

const operators = [
  "SCMP_CMP_EQ",
  "SCMP_CMP_NE",
  "SCMP_CMP_LT",
  "SCMP_CMP_LE",
  "SCMP_CMP_GT",
  "SCMP_CMP_GE",
  "SCMP_CMP_MASKED_EQ",
];
const small = fc.constantFrom(0, 1, 8, 40, 0x20000, 0xffffffff, 2 ** 40);
test("any profile decides as it says, or is refused", () => {
  const condition = fc.record({ index: fc.constantFrom(0, 1), op: fc.constantFrom(...operators), value: small });
  const rule = fc.record({ name: fc.constantFrom("socket", "socket", "ioctl"), args: fc.array(condition, { maxLength: 3 }) });
  const defaults = fc.constantFrom("SCMP_ACT_ERRNO" as const, "SCMP_ACT_KILL_PROCESS" as const, "SCMP_ACT_LOG" as const);
  const calls = fc.array(fc.tuple(fc.constantFrom("socket", "ioctl", "getpid"), args), { maxLength: 20 });
  fc.assert(
    fc.property(defaults, fc.array(rule, { maxLength: 4 }), calls, (defaultAction, rules, calls) => {
      const syscalls = rules.map(({ name, args }): SeccompRule => ({ names: [name], action: "SCMP_ACT_ALLOW", args }));
      const profile: Seccomp = { defaultAction, syscalls };
      let program: Uint8Array;
      try {
        ({ program } = compileSeccomp(profile));
      } catch (error) {
        expect(String(error)).toContain("cannot merge several alternatives");
        return;
      }
      const native = seccompNativeArch();
      for (const [name, args] of calls) {
        const call = { arch: native, number: seccompSyscall(native, name) ?? 0, args };
        expect(interpret(program, call)).toBe(expected(profile, native, call));
      }
    }),
    { numRuns: 300 },
  );
});

/** One rule for read(2) per list of conditions. */
const alternatives = (...rules: [index: number, op: string, value: number][][]): SeccompRule[] =>
  rules.map((args) => ({
    names: ["read"],
    action: "SCMP_ACT_TRAP",
    args: args.map(([index, op, value]) => ({ index, op: `SCMP_CMP_${op}`, value })),
  }));

describe("flags, actions and mistakes", () => {
  const allow = (profile: Partial<Seccomp>) => compileSeccomp({ defaultAction: "SCMP_ACT_ALLOW", ...profile });
  test("flags", () => {
    expect(allow({}).flags).toBe(4);
    expect(allow({ flags: [] }).flags).toBe(0);
    expect(allow({ flags: ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"] }).flags).toBe(3);
    const syscalls: SeccompRule[] = [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }];
    expect(allow({ syscalls, flags: ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"] }).flags).toBe(8 | 32);
  });

  test("every action has its answer", () => {
    const answers: [SeccompRule["action"], number][] = [
      ["SCMP_ACT_KILL", 0],
      ["SCMP_ACT_KILL_THREAD", 0],
      ["SCMP_ACT_KILL_PROCESS", 0x80000000],
      ["SCMP_ACT_TRAP", 0x30000],
      ["SCMP_ACT_ERRNO", 0x50000 | 7],
      ["SCMP_ACT_TRACE", 0x7ff00000 | 7],
      ["SCMP_ACT_LOG", 0x7ffc0000],
      ["SCMP_ACT_NOTIFY", 0x7fc00000],
    ];
    for (const [action, answer] of answers) {
      const { program } = allow({ syscalls: [{ names: ["getppid"], action, errnoRet: 7 }] });
      const native = seccompNativeArch();
      const call = { arch: native, number: seccompSyscall(native, "getppid") as number, args: [0n, 0n, 0n, 0n, 0n, 0n] };
      expect(interpret(program, call)).toBe(answer);
      expect(interpret(program, { ...call, number: 0 })).toBe(0x7fff0000);
    }
  });

  test("names nobody knows are left out, and rules that change nothing", () => {
    const { program } = allow({
      syscalls: [
        { names: ["no_such_call"], action: "SCMP_ACT_ERRNO" },
        { names: ["read"], action: "SCMP_ACT_ALLOW" },
      ],
    });
    expect(program).toEqual(allow({}).program);
  });

  test.each([
    [{ defaultAction: "SCMP_ACT_MAYBE" }, /action "SCMP_ACT_MAYBE" is unknown/],
    [{ architectures: ["SCMP_ARCH_Z80"] }, /architecture "SCMP_ARCH_Z80"/],
    [{ architectures: ["x86"] }, /architecture "x86"/],
    [{ flags: ["FAST"] }, /flag "FAST" is unknown/],
    [{ flags: ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"] }, /needs a rule with SCMP_ACT_NOTIFY/],
    [{ defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 5000 }, /errnoRet 5000/],
    [{ syscalls: [{ names: ["read"], action: "SCMP_ACT_TRAP", args: [{ index: 6, value: 0, op: "SCMP_CMP_EQ" }] }] }, /index 6/],
    [
      { syscalls: [{ names: ["read"], action: "SCMP_ACT_TRAP", args: [{ index: 0, value: -1, op: "SCMP_CMP_EQ" }] }] },
      /value -1/,
    ],
    [
      { syscalls: [{ names: ["read"], action: "SCMP_ACT_TRAP", args: [{ index: 0, value: 2 ** 60, op: "SCMP_CMP_EQ" }] }] },
      /exact/,
    ],
    [{ syscalls: [{ names: ["read"], action: "SCMP_ACT_TRAP", args: [{ index: 0, value: 0, op: "EQ" }] }] }, /operator "EQ"/],
    // libseccomp 2.5.4 loops for ever on this one,
    [
      {
        syscalls: alternatives(
          [
            [0, "GE", 8],
            [1, "LE", 5],
          ],
          [
            [0, "GE", 8],
            [1, "EQ", 0],
          ],
        ),
      },
      /read: libseccomp cannot merge .* joins an ordering/,
    ],
    // and lets too much through on these.
    [{ syscalls: alternatives([[0, "GT", 2 ** 40]], [[0, "LT", 8]]) }, /compares with more than 32 bits/],
    [
      {
        syscalls: alternatives([
          [0, "GT", 2 ** 40],
          [0, "LT", 8],
        ]),
      },
      /compares with more than 32 bits/,
    ],
  ])("%j is refused", (profile, message) => {
    expect(() => allow(profile as Partial<Seccomp>)).toThrow(message);
  });
});

describe("the cache", () => {
  let directory = "";
  beforeAll(() => {
    directory = mkdtempSync(`${tmpdir()}/onggi-seccomp-`);
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  /** Compiles in a process of its own, whose memory is empty. */
  async function compileElsewhere(profile: Seccomp): Promise<string> {
    const script = `import { compileSeccomp } from ${JSON.stringify(`${import.meta.dir}/compile.ts`)};
      const { program, flags } = compileSeccomp(${JSON.stringify(profile)}, { cacheDir: ${JSON.stringify(`${directory}/cache`)} });
      console.log(flags, Buffer.from(program).toString("base64"));`;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" });
    expect(await child.exited).toBe(0);
    return (await new Response(child.stdout).text()).trim();
  }

  test("a program is kept by its profile's digest; a damaged file is made again", async () => {
    const profile: Seccomp = {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_ERRNO", errnoRet: 3 }],
    };
    const { program, flags } = compileSeccomp(profile);
    const wanted = `${flags} ${Buffer.from(program).toString("base64")}`;
    expect(await compileElsewhere(profile)).toBe(wanted);
    const [name, ...others] = readdirSync(`${directory}/cache`);
    expect(name).toMatch(/^[0-9a-f]{64}\.bpf$/);
    expect(others).toEqual([]);
    const whole = readFileSync(`${directory}/cache/${name}`);
    for (const damaged of [
      whole.subarray(0, 50),
      Buffer.concat([whole.subarray(0, -1), Buffer.from([(whole.at(-1) as number) ^ 1])]),
    ]) {
      writeFileSync(`${directory}/cache/${name}`, damaged);
      expect(await compileElsewhere(profile)).toBe(wanted);
      expect(readFileSync(`${directory}/cache/${name}`)).toEqual(whole);
    }
    // What is in the file is what is used: other bytes under a checksum that holds come back.
    expect(
      await compileElsewhere({ syscalls: profile.syscalls ?? [], defaultAction: "SCMP_ACT_ALLOW", listenerPath: "/x" }),
    ).toBe(wanted);
    expect(readdirSync(`${directory}/cache`)).toHaveLength(1);
  });

  test("canonical text does not depend on the order of keys", () => {
    expect(canonical({ b: [1, { d: 2, c: undefined }], a: "x" })).toBe(canonical({ a: "x", b: [1, { d: 2 }] }));
    expect(canonical({ a: 1 })).not.toBe(canonical({ a: "1" }));
  });
});
