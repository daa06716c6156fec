/** Compiled profiles, installed in a real process by a small C program. Needs no root; skipped where there is no cc. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import fc from "fast-check";
import type { Seccomp, SeccompRule } from "../src/oci/spec.ts";
import { compileSeccomp, defaultSeccomp, seccompFor } from "../src/runtime/seccomp/index.ts";
import { errno, seccompNativeArch, seccompSyscall } from "../src/sys/index.ts";

let directory = "";
let count = 0;

const hasCompiler = Bun.which("cc") !== null;

beforeAll(() => {
  if (!hasCompiler) return;
  directory = mkdtempSync(`${tmpdir()}/onggi-seccomp-`);
  const built = Bun.spawnSync([
    "cc",
    "-O1",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-o",
    `${directory}/probe`,
    `${import.meta.dir}/seccomp-probe.c`,
  ]);
  if (!built.success) throw new Error(built.stderr.toString());
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const number = (name: string): number => seccompSyscall(seccompNativeArch(), name) as number;

/** Runs calls under a profile: their results, and how the process ended. */
function probe(profile: Seccomp, ...calls: string[]): { results: string[]; exit: number | string } {
  const { program, flags } = compileSeccomp(profile);
  const file = `${directory}/filter${count++}`;
  writeFileSync(file, program);
  const child = Bun.spawnSync([`${directory}/probe`, file, String(flags), ...calls]);
  return { results: child.stdout.toString().trim().split("\n"), exit: child.signalCode ?? child.exitCode ?? -1 };
}

const profileFor = (...capabilities: string[]): Seccomp =>
  defaultSeccomp({ capabilities, arch: process.arch === "arm64" ? "arm64" : "x64", kernel: [6, 12] });

describe.skipIf(!hasCompiler)("the default profile in force", () => {
  const cases: [name: string, call: string, result: number][] = [
    ["mount", `${number("mount")}`, -errno.EPERM],
    ["unshare", `${number("unshare")}:0x10000000`, -errno.EPERM],
    ["clone with CLONE_NEWUSER", `${number("clone")}:0x10000011`, -errno.EPERM],
    ["clone3", `${number("clone3")}`, -errno.ENOSYS],
    ["io_uring_setup", `${number("io_uring_setup")}`, -errno.EPERM],
    ["keyctl", `${number("keyctl")}`, -errno.EPERM],
    ["bpf", `${number("bpf")}:99`, -errno.EPERM],
    ["personality that asks", `${number("personality")}:0xffffffff`, 0],
    ["personality ADDR_NO_RANDOMIZE", `${number("personality")}:0x40000`, -errno.EPERM],
    ["socket of AF_ALG", `${number("socket")}:38:5:0`, -errno.EPERM],
    ["socket of AF_VSOCK", `${number("socket")}:40:1:0`, -errno.EPERM],
    ["socket of type 99 of AF_UNIX", `${number("socket")}:1:99:0`, -errno.EINVAL],
    ["close of nothing", `${number("close")}:999`, -errno.EBADF],
    ["a call of the future", "600", -errno.ENOSYS],
    ["fchmodat2, which is newer than Debian 12's libseccomp", "452:999:0", -errno.ENOSYS],
    ["chroot", `${number("chroot")}`, -errno.EPERM],
  ];
  test("decides in the kernel", () => {
    // A newer libseccomp knows fchmodat2, and the profile allows it: then the kernel answers for itself.
    const known = cases.filter(
      ([name]) => !name.startsWith("fchmodat2") || seccompSyscall(seccompNativeArch(), "fchmodat2") === null,
    );
    const { results, exit } = probe(profileFor(), ...known.map(([, call]) => call));
    expect(exit).toBe(0);
    expect(known.map(([name], index) => [name, Number(results[index])])).toEqual(known.map(([name, , result]) => [name, result]));
  });

  test("with CAP_SYS_ADMIN and CAP_SYS_CHROOT the kernel is asked", () => {
    const calls = [`${number("mount")}`, `${number("clone3")}`, `${number("chroot")}`, `${number("bpf")}:9999`];
    const { results } = probe(profileFor("CAP_SYS_ADMIN", "CAP_SYS_CHROOT"), ...calls);
    expect(results.map(Number).slice(0, 3)).toEqual([-errno.EFAULT, -errno.EINVAL, -errno.EFAULT]);
  });

  test.skipIf(process.arch !== "x64")("32-bit calls are filtered by their own numbers", () => {
    // getpid is 20, mount 21 on i386; 20 and 21 are writev and access on x86_64.
    const free = probe({ defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86"] }, "i386:20");
    if (free.exit !== 0) return; // This kernel runs no 32-bit calls at all.
    const { results } = probe(profileFor(), "i386:20", "i386:21", "i386:600");
    expect(Number(results[0])).toBeGreaterThan(0);
    expect(results.slice(1).map(Number)).toEqual([-errno.EPERM, -errno.ENOSYS]);
    expect(probe({ defaultAction: "SCMP_ACT_ALLOW" }, "i386:20").exit).toBe("SIGSYS");
  });
});

describe.skipIf(!hasCompiler)("actions in force", () => {
  const on = (action: SeccompRule["action"], errnoRet?: number): Seccomp => ({
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{ names: ["getppid"], action, ...(errnoRet === undefined ? {} : { errnoRet }) }],
  });
  const call = `${number("getppid")}`;

  test.each([
    [on("SCMP_ACT_KILL_PROCESS"), { results: [""], exit: "SIGSYS" }],
    [on("SCMP_ACT_KILL"), { results: [""], exit: "SIGSYS" }],
    [on("SCMP_ACT_TRAP"), { results: [""], exit: "SIGSYS" }],
    [on("SCMP_ACT_ERRNO"), { results: [`-${errno.EPERM}`], exit: 0 }],
    [on("SCMP_ACT_ERRNO", 99), { results: ["-99"], exit: 0 }],
    [on("SCMP_ACT_ERRNO", 0), { results: ["0"], exit: 0 }],
    [on("SCMP_ACT_TRACE"), { results: [`-${errno.ENOSYS}`], exit: 0 }],
  ])("%j", (profile, outcome) => {
    expect(probe(profile, call)).toEqual(outcome);
  });

  test("LOG lets it through; NOTIFY gives a listener", () => {
    expect(Number(probe(on("SCMP_ACT_LOG"), call).results[0])).toBe(process.pid);
    expect(probe(on("SCMP_ACT_NOTIFY"))).toEqual({ results: ["listener"], exit: 0 });
  });

  test("a user's profile", () => {
    const text = JSON.stringify({
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ name: "getppid", action: "SCMP_ACT_ERRNO", errnoRet: 5 }],
    });
    const section = seccompFor(text, { capabilities: [], arch: "x64", kernel: [6, 12] });
    expect(probe(section as Seccomp, call).results).toEqual(["-5"]);
  });
});

describe.skipIf(!hasCompiler)("random profiles in force", () => {
  /** Calls that take no arguments: the kernel does not mind what is in the registers, a filter sees it. */
  const callNames = ["getppid", "getuid", "getgid", "geteuid", "getegid", "gettid"];
  /** What the probe itself cannot do without. */
  const needed = ["write", "exit_group", "fstat", "newfstatat", "brk", "mmap", "rt_sigreturn", "rt_sigprocmask", "getrandom"];
  const values = [0, 1, 2, 3, 7, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0001, 2 ** 53 - 1];
  const value = fc.oneof(fc.constantFrom(...values), fc.nat(16));
  type Comparison = NonNullable<SeccompRule["args"]>[number];

  const comparison = (value: fc.Arbitrary<number>, ...names: string[]) =>
    fc
      .record({ index: fc.nat(5), value, second: value, op: fc.constantFrom(...names.map((name) => `SCMP_CMP_${name}`)) })
      .map(({ index, value, second, op }): Comparison => {
        // a masked value has no bits outside its mask
        if (op === "SCMP_CMP_MASKED_EQ") return { index, op, value, valueTwo: Number(BigInt(value) & BigInt(second)) };
        return { index, op, value };
      });
  const any = comparison(value, "NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ");
  const equal = comparison(value, "EQ", "MASKED_EQ");
  const narrow = comparison(fc.nat(2 ** 31), "LT", "LE", "GE", "GT", "NE");
  /** Several alternatives with ordering comparisons libseccomp merges wrongly; most of those are refused, and seldom here. */
  const alternatives = fc.oneof(
    { weight: 8, arbitrary: fc.tuple(fc.uniqueArray(any, { maxLength: 3, selector: ({ index }) => index })) },
    { weight: 4, arbitrary: fc.array(fc.array(equal, { maxLength: 3 }), { minLength: 1, maxLength: 4 }) },
    { weight: 4, arbitrary: fc.array(fc.tuple(narrow), { minLength: 1, maxLength: 3 }) },
    { weight: 1, arbitrary: fc.array(fc.array(any, { maxLength: 3 }), { minLength: 1, maxLength: 3 }) },
  );
  const outcome = fc.oneof(
    fc.record({ action: fc.constant("SCMP_ACT_ERRNO" as const), errnoRet: fc.integer({ min: 1, max: 4000 }) }),
    fc.constantFrom({ action: "SCMP_ACT_ALLOW" as const }, { action: "SCMP_ACT_LOG" as const }),
  );
  /** One answer for each call, with alternatives: what holds of two that contradict each other the specification does not say. */
  const rules = fc
    .uniqueArray(fc.constantFrom(...callNames), { maxLength: 4 })
    .chain((names) =>
      fc.tuple(
        ...names.map((name) =>
          fc
            .tuple(outcome, alternatives)
            .map(([answer, several]) => several.map((args): SeccompRule => ({ names: [name], ...answer, args }))),
        ),
      ),
    );
  const profile = fc.record({ answer: outcome, rules, tree: fc.boolean() }).map(({ answer, rules, tree }): Seccomp => {
    const allowed: SeccompRule = { names: needed, action: "SCMP_ACT_ALLOW" };
    // from 32 rules on the filter is a tree
    const many: SeccompRule[] = tree
      ? [
          "read",
          "open",
          "close",
          "stat",
          "poll",
          "lseek",
          "mprotect",
          "munmap",
          "ioctl",
          "pipe",
          "select",
          "dup",
          "pause",
          "fork",
        ]
          .concat("vfork", "execve", "kill", "uname", "semget", "fcntl", "flock", "fsync", "chdir", "rename", "mkdir", "rmdir")
          .concat("link", "unlink", "chmod", "chown", "umask", "times", "ptrace", "syslog")
          .map((name) => ({ names: [name], action: "SCMP_ACT_ERRNO", errnoRet: 38 }))
      : [];
    return {
      defaultAction: answer.action,
      ...("errnoRet" in answer ? { defaultErrnoRet: answer.errnoRet } : {}),
      syscalls: [allowed, ...many, ...rules.flat()],
    };
  });

  const holds = ({ index, value, valueTwo = 0, op }: Comparison, args: readonly bigint[]): boolean => {
    const have = args[index] as bigint;
    const want = BigInt(value);
    switch (op) {
      case "SCMP_CMP_NE":
        return have !== want;
      case "SCMP_CMP_LT":
        return have < want;
      case "SCMP_CMP_LE":
        return have <= want;
      case "SCMP_CMP_EQ":
        return have === want;
      case "SCMP_CMP_GE":
        return have >= want;
      case "SCMP_CMP_GT":
        return have > want;
      default:
        return (have & want) === BigInt(valueTwo);
    }
  };
  const matches = ({ args = [] }: SeccompRule, values: readonly bigint[]): boolean => {
    const indexes = new Set(args.map(({ index }) => index));
    return indexes.size === args.length ? args.every((one) => holds(one, values)) : args.some((one) => holds(one, values));
  };

  /** Negative errno, or null where the kernel is asked. */
  function expected({ defaultAction, defaultErrnoRet, syscalls = [] }: Seccomp, name: string, args: readonly bigint[]) {
    const rule = syscalls.find((one) => one.names.includes(name) && matches(one, args));
    const { action, errnoRet = errno.EPERM } = rule ?? { action: defaultAction, errnoRet: defaultErrnoRet };
    return action === "SCMP_ACT_ERRNO" ? -errnoRet : null;
  }

  test("decide as the profile says, for calls around its own values", () => {
    let refused = 0;
    let asked = 0;
    const argument = fc.oneof(
      fc.constantFrom(...values.flatMap((one) => [BigInt(one), BigInt(one) + 1n, 2n ** 64n - 1n])),
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    );
    const call = fc.tuple(fc.constantFrom(...callNames), fc.tuple(argument, argument, argument, argument, argument, argument));
    fc.assert(
      fc.property(profile, fc.array(call, { minLength: 10, maxLength: 40 }), (given, calls) => {
        // the values compared with, and their neighbours, are where mistakes show
        const own = (given.syscalls ?? []).flatMap(({ names, args = [] }) =>
          args.flatMap(({ index, value }) =>
            [0n, 1n].map((more): [string, bigint[]] => [
              names[0] as string,
              Array.from({ length: 6 }, (_, i) => (i === index ? BigInt(value) + more : 1n)),
            ]),
          ),
        );
        const all: (readonly [string, readonly bigint[]])[] = [...calls, ...own];
        let outcome: ReturnType<typeof probe>;
        try {
          outcome = probe(given, ...all.map(([name, args]) => [number(name), ...args].join(":")));
        } catch (error) {
          expect(error).toMatchObject({ code: "invalid_seccomp_profile" });
          refused++;
          return;
        }
        expect(outcome.exit).toBe(0);
        all.forEach(([name, args], i) => {
          asked++;
          const result = Number(outcome.results[i]);
          const want = expected(given, name, args);
          const what = `${name}(${args.join(", ")}) gave ${result}`;
          if (want === null) expect(result >= 0 ? "the kernel" : what).toBe("the kernel");
          else expect(`${name}(${args.join(", ")}) gave ${want}`).toBe(what);
        });
      }),
      { numRuns: 300 },
    );
    expect(asked).toBeGreaterThan(3000);
    expect(refused).toBeLessThan(100);
  }, 120_000);
});
