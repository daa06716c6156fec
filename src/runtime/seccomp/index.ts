/**
 * Seccomp: which system calls a container may make.
 *
 * Terms. A **profile** is Docker's JSON with conditions on capabilities, architecture and kernel; **resolving** it for a
 * container gives the runtime specification's seccomp section; **compiling** that gives a BPF **program** and the **flags**
 * of the seccomp(2) call, which the plan makes as its last step but one. Guarantees: a profile that cannot be honoured is
 * `invalid_seccomp_profile`, never a wider filter; programs are cached by the digest of the profile.
 *
 *     const section = seccompFor("default", { capabilities, arch: "x64", kernel: [6, 12] });
 *     const compiled = section && compileSeccomp(section, { cacheDir: "/var/lib/onggi/seccomp" });
 */
export { type CompiledSeccomp, type CompileOptions, compileSeccomp, FLAGS, OPERATORS } from "./compile.ts";
export { defaultSeccomp, parseProfile, resolveProfile, seccompFor } from "./profile.ts";
export type { Condition, ConditionalProfile, ConditionalRule, SeccompContext } from "./types.ts";
