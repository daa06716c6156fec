/** Profiles with conditions, in the shape of Docker's JSON. */
import type { Seccomp, SeccompRule } from "../../oci/spec.ts";

/** What conditions are decided by. */
export interface SeccompContext {
  /** The container's bounding set: "CAP_SYS_ADMIN". */
  readonly capabilities: readonly string[];
  readonly arch: "x64" | "arm64";
  readonly kernel: readonly [major: number, minor: number];
}

export interface Condition {
  /** All of them (`includes`) or any of them (`excludes`). */
  readonly caps?: readonly string[];
  /** Any of them, by Docker's names: "amd64". */
  readonly arches?: readonly string[];
  /** "4.8" */
  readonly minKernel?: string;
}

export interface ConditionalRule extends Omit<SeccompRule, "names"> {
  readonly names?: readonly string[];
  /** The form of old profiles. */
  readonly name?: string;
  readonly comment?: string;
  readonly includes?: Condition;
  readonly excludes?: Condition;
}

export interface ConditionalProfile extends Omit<Seccomp, "syscalls"> {
  readonly archMap?: readonly { readonly architecture: string; readonly subArchitectures?: readonly string[] | null }[];
  readonly syscalls?: readonly ConditionalRule[];
}
