/**
 * Seccomp profiles with conditions: Docker's JSON format, and the default profile in it.
 *
 * A profile says which system calls a container may make. A rule may depend on the container's capabilities, the
 * architecture and the kernel; `resolveProfile` decides the conditions and leaves a runtime-spec seccomp section.
 */
import { OnggiError } from "../../lib/errors.ts";
import type { Seccomp, SeccompRule } from "../../oci/spec.ts";
import { DEFAULT_PROFILE } from "./default-profile.ts";
import type { Condition, ConditionalProfile, SeccompContext } from "./types.ts";

const ARCH = { x64: { docker: "amd64", oci: "SCMP_ARCH_X86_64" }, arm64: { docker: "arm64", oci: "SCMP_ARCH_AARCH64" } } as const;

/** The default profile for a container. */
export const defaultSeccomp = (context: SeccompContext): Seccomp => resolveProfile(DEFAULT_PROFILE, context) as Seccomp;

/**
 * What `--security-opt seccomp=...` means: "default" or "builtin", "unconfined" (null: no filter), or the text of a profile.
 * Throws `invalid_seccomp_profile`.
 */
export function seccompFor(option: string, context: SeccompContext): Seccomp | null {
  if (option === "unconfined") return null;
  if (option === "default" || option === "builtin" || option === "") return defaultSeccomp(context);
  return resolveProfile(parseProfile(option), context);
}

function invalid(message: string, options?: ErrorOptions): never {
  throw new OnggiError("invalid_seccomp_profile", `seccomp profile: ${message}`, options);
}

/** Reads a profile's text and checks the shape of every field that is used. Throws `invalid_seccomp_profile`. */
export function parseProfile(text: string): ConditionalProfile {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    invalid("it is no JSON", { cause: error });
  }
  const profile = object("the profile", parsed);
  optional(profile, "defaultAction", string);
  optional(profile, "defaultErrnoRet", integer);
  optional(profile, "architectures", strings);
  optional(profile, "flags", strings);
  optional(profile, "archMap", (name, value) => {
    for (const [index, entry] of array(name, value).entries()) {
      const map = object(`${name}[${index}]`, entry);
      string(`${name}[${index}].architecture`, map.architecture);
      optional(map, "subArchitectures", strings);
    }
  });
  optional(profile, "syscalls", (name, value) => {
    for (const [index, entry] of array(name, value).entries()) checkRule(`${name}[${index}]`, object(`${name}[${index}]`, entry));
  });
  if (profile.defaultAction === undefined && (profile.syscalls as unknown[] | undefined)?.length) {
    invalid("it has syscalls but no defaultAction");
  }
  return profile as unknown as ConditionalProfile;
}

function checkRule(name: string, rule: Record<string, unknown>): void {
  optional(rule, "names", strings);
  optional(rule, "name", string);
  string(`${name}.action`, rule.action);
  optional(rule, "errnoRet", integer);
  optional(rule, "args", (field, value) => {
    for (const entry of array(`${name}.${field}`, value)) {
      const argument = object(`${name}.${field}`, entry);
      integer(`${name}.args.index`, argument.index);
      integer(`${name}.args.value`, argument.value);
      optional(argument, "valueTwo", integer);
      string(`${name}.args.op`, argument.op);
    }
  });
  for (const side of ["includes", "excludes"]) {
    optional(rule, side, (field, value) => {
      const condition = object(`${name}.${field}`, value);
      optional(condition, "caps", strings);
      optional(condition, "arches", strings);
      optional(condition, "minKernel", string);
    });
  }
}

type Check = (name: string, value: unknown) => unknown;

/** A field that may be missing; null counts as missing, as Go's JSON has it. */
function optional(fields: Record<string, unknown>, name: string, check: Check): void {
  if (fields[name] === null) delete fields[name];
  if (fields[name] !== undefined) check(name, fields[name]);
}

function object(name: string, value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) invalid(`${name} is no object`);
  return value as Record<string, unknown>;
}

const array = (name: string, value: unknown): unknown[] => (Array.isArray(value) ? value : invalid(`${name} is no list`));
const string: Check = (name, value) => (typeof value === "string" ? value : invalid(`${name} is no string`));
const integer: Check = (name, value) => (Number.isInteger(value) ? value : invalid(`${name} is no integer`));
const strings: Check = (name, value) => array(name, value).every((item) => string(name, item));

/**
 * Decides every condition. Null if the profile is empty, which means no filter.
 * Throws `invalid_seccomp_profile` if it contradicts itself.
 */
export function resolveProfile(profile: ConditionalProfile, context: SeccompContext): Seccomp | null {
  const { archMap = [], syscalls = [], ...common } = profile;
  if (!common.defaultAction && syscalls.length === 0) return null;
  if (common.architectures?.length && archMap.length) invalid("it has both architectures and archMap: use one of them");
  const map = archMap.find(({ architecture }) => architecture === ARCH[context.arch].oci);
  const architectures = map ? [map.architecture, ...(map.subArchitectures ?? [])] : common.architectures;
  const kept = syscalls.filter(({ includes, excludes }) => holds(includes, context) && !isExcluded(excludes, context));
  return {
    ...common,
    ...(architectures ? { architectures } : {}),
    syscalls: kept.map(({ names, name, comment: _comment, includes: _includes, excludes: _excludes, ...rule }): SeccompRule => {
      if (name !== undefined && names?.length) invalid(`a rule has both name (${name}) and names: use one of them`);
      return { ...rule, names: name === undefined ? [...(names ?? [])] : [name] };
    }),
  };
}

function holds(condition: Condition | undefined, { capabilities, arch, kernel }: SeccompContext): boolean {
  const { caps = [], arches = [], minKernel } = condition ?? {};
  if (arches.length && !arches.includes(ARCH[arch].docker)) return false;
  if (!caps.every((cap) => capabilities.includes(cap))) return false;
  return !minKernel || kernelIsAtLeast(minKernel, kernel);
}

function isExcluded(condition: Condition | undefined, { capabilities, arch, kernel }: SeccompContext): boolean {
  const { caps = [], arches = [], minKernel } = condition ?? {};
  if (arches.includes(ARCH[arch].docker) || caps.some((cap) => capabilities.includes(cap))) return true;
  return Boolean(minKernel) && kernelIsAtLeast(minKernel as string, kernel);
}

function kernelIsAtLeast(wanted: string, [major, minor]: readonly [number, number]): boolean {
  const [, first, second] = /^([0-9]{1,3})\.([0-9]{1,3})$/.exec(wanted) ?? [];
  if (first === undefined || Number(first) + Number(second) === 0) {
    invalid(`minKernel ${JSON.stringify(wanted)} is not of the form "4.8"`);
  }
  return major > Number(first) || (major === Number(first) && minor >= Number(second));
}
