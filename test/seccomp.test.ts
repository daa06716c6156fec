/** Compiled profiles, installed in a real process by a small C program. Needs no root; skipped where there is no cc. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
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
