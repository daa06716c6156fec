import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { OnggiError } from "../../lib/errors.ts";
import type { Seccomp } from "../../oci/spec.ts";
import { defaultSeccomp, parseProfile, resolveProfile, seccompFor } from "./profile.ts";
import type { SeccompContext } from "./types.ts";

const plain: SeccompContext = { capabilities: [], arch: "x64", kernel: [6, 12] };
const having = (...capabilities: string[]): SeccompContext => ({ ...plain, capabilities });
const rulesFor = (profile: Seccomp | null, name: string) => (profile?.syscalls ?? []).filter((rule) => rule.names.includes(name));
const allows = (context: SeccompContext, name: string): boolean =>
  rulesFor(defaultSeccomp(context), name).some((rule) => rule.action === "SCMP_ACT_ALLOW" && !rule.args?.length);

describe("the default profile", () => {
  test("what a container may always do, and what it may never", () => {
    for (const name of ["read", "execve", "openat2", "clone", "futex_waitv", "landlock_create_ruleset", "statmount"]) {
      expect(rulesFor(defaultSeccomp(plain), name).length).toBeGreaterThan(0);
    }
    for (const name of [
      "io_uring_setup",
      "io_uring_enter",
      "kexec_load",
      "keyctl",
      "add_key",
      "userfaultfd",
      "swapon",
      "nfsservctl",
    ]) {
      expect(rulesFor(defaultSeccomp(having("CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_MODULE")), name)).toEqual([]);
    }
  });

  test.each([
    ["CAP_SYS_ADMIN", ["mount", "unshare", "setns", "clone", "clone3", "bpf", "perf_event_open", "syslog"]],
    ["CAP_SYS_CHROOT", ["chroot"]],
    ["CAP_SYS_BOOT", ["reboot"]],
    ["CAP_SYS_MODULE", ["init_module", "finit_module", "delete_module"]],
    ["CAP_SYS_PTRACE", ["kcmp", "pidfd_getfd", "process_madvise"]],
    ["CAP_SYS_RAWIO", ["iopl", "ioperm"]],
    ["CAP_SYS_TIME", ["settimeofday", "clock_settime"]],
    ["CAP_SYS_NICE", ["mbind", "set_mempolicy"]],
    ["CAP_SYS_PACCT", ["acct"]],
    ["CAP_SYS_TTY_CONFIG", ["vhangup"]],
    ["CAP_SYSLOG", ["syslog"]],
    ["CAP_BPF", ["bpf"]],
    ["CAP_PERFMON", ["perf_event_open"]],
    ["CAP_DAC_READ_SEARCH", ["open_by_handle_at"]],
  ])("%s opens %j", (capability, names) => {
    for (const name of names) {
      expect([name, allows(plain, name), allows(having(capability), name)]).toEqual([name, false, true]);
    }
  });

  test("clone without CAP_SYS_ADMIN makes no namespace, clone3 is ENOSYS", () => {
    expect(rulesFor(defaultSeccomp(plain), "clone")).toEqual([
      {
        names: ["clone"],
        action: "SCMP_ACT_ALLOW",
        args: [{ index: 0, op: "SCMP_CMP_MASKED_EQ", value: 0x7e020000, valueTwo: 0 }],
      },
    ]);
    expect(rulesFor(defaultSeccomp(plain), "clone3")).toEqual([{ names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: 38 }]);
  });

  test("architectures and kernels", () => {
    expect(defaultSeccomp(plain).architectures).toEqual(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
    const arm: SeccompContext = { ...plain, arch: "arm64" };
    expect(defaultSeccomp(arm).architectures).toEqual(["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]);
    expect([allows(plain, "arch_prctl"), allows(arm, "arch_prctl"), allows(arm, "cacheflush")]).toEqual([true, false, true]);
    expect([allows(plain, "ptrace"), allows({ ...plain, kernel: [4, 7] }, "ptrace")]).toEqual([true, false]);
  });
});

describe("a user's profile", () => {
  const profile = {
    defaultAction: "SCMP_ACT_ERRNO",
    archMap: [{ architecture: "SCMP_ARCH_X86_64", subArchitectures: null }],
    syscalls: [
      { names: ["read"], action: "SCMP_ACT_ALLOW", comment: "x", includes: {}, excludes: null, args: null },
      { name: "write", action: "SCMP_ACT_ALLOW", names: [] },
      { names: ["a"], action: "SCMP_ACT_LOG", excludes: { minKernel: "5.0" } },
      { names: ["b"], action: "SCMP_ACT_LOG", excludes: { minKernel: "6.13" } },
      { names: ["c"], action: "SCMP_ACT_LOG", includes: { caps: ["CAP_A", "CAP_B"] } },
      { names: ["d"], action: "SCMP_ACT_LOG", excludes: { arches: ["amd64"] } },
    ],
  };

  test("conditions are decided and gone", () => {
    expect(seccompFor(JSON.stringify(profile), having("CAP_A"))).toEqual({
      defaultAction: "SCMP_ACT_ERRNO",
      architectures: ["SCMP_ARCH_X86_64"],
      syscalls: [
        { names: ["read"], action: "SCMP_ACT_ALLOW" },
        { names: ["write"], action: "SCMP_ACT_ALLOW" },
        { names: ["b"], action: "SCMP_ACT_LOG" },
      ],
    });
    expect(rulesFor(seccompFor(JSON.stringify(profile), having("CAP_A", "CAP_B")), "c")).toHaveLength(1);
  });

  test("unconfined and an empty profile are no filter", () => {
    expect(seccompFor("unconfined", plain)).toBeNull();
    expect(seccompFor("{}", plain)).toBeNull();
    expect(seccompFor("default", plain)).toEqual(defaultSeccomp(plain));
  });

  test.each([
    ["nonsense", /no JSON/],
    ["[]", /no object/],
    ['{"defaultAction":5}', /defaultAction is no string/],
    ['{"syscalls":[{"names":["a"],"action":"x"}]}', /no defaultAction/],
    ['{"defaultAction":"x","syscalls":[{"names":[1],"action":"x"}]}', /is no string/],
    ['{"defaultAction":"x","syscalls":[{"names":["a"],"action":"x","args":[{"index":"0"}]}]}', /args.index is no integer/],
    ['{"defaultAction":"x","architectures":["a"],"archMap":[{"architecture":"a"}]}', /both architectures and archMap/],
    ['{"defaultAction":"x","syscalls":[{"name":"a","names":["a"],"action":"x"}]}', /both name \(a\) and names/],
    ['{"defaultAction":"x","syscalls":[{"names":["a"],"action":"x","includes":{"minKernel":"5"}}]}', /minKernel "5"/],
  ])("%s is refused", (text, message) => {
    expect(() => seccompFor(text, plain)).toThrow(message);
  });

  test("any JSON is a profile or invalid_seccomp_profile", () => {
    const like = fc.record(
      { defaultAction: fc.jsonValue(), syscalls: fc.array(fc.jsonValue()), archMap: fc.jsonValue() },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          like.map((value) => JSON.stringify(value)),
        ),
        (text) => {
          try {
            resolveProfile(parseProfile(text), plain);
          } catch (error) {
            expect(error).toBeInstanceOf(OnggiError);
            expect((error as OnggiError).code).toBe("invalid_seccomp_profile");
          }
        },
      ),
    );
  });
});
