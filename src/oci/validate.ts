/**
 * config.json -> Spec: shape first, then what the values say about each other. What only the host can tell (whether a path
 * exists, an option is known to a file system) is not looked at here.
 */
import { messageOf } from "../lib/errors.ts";
import { check, InvalidSpec, show, withoutNulls } from "./schema.ts";
import { spec as specShape } from "./shapes.ts";
import type { IdMapping, NamespaceType, Spec } from "./spec.ts";
import { checkLinux } from "./validate-linux.ts";
import { checkProcess, effectiveEnvironment } from "./validate-process.ts";

export { InvalidSpec } from "./schema.ts";

/** Far above any real config.json, low enough for its parsed form not to fill the memory. */
export const MAX_SPEC_BYTES = 16 * 2 ** 20;

/**
 * Parses and validates config.json's text. Throws InvalidSpec, whatever the text is. Whoever reads the file need not read
 * more than MAX_SPEC_BYTES + 1 bytes of it.
 */
export function parseSpec(text: string): Spec {
  if (text.length > MAX_SPEC_BYTES)
    throw new InvalidSpec("", `config.json is longer than ${MAX_SPEC_BYTES} bytes; a container needs no such configuration`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new InvalidSpec("", `config.json is not JSON: ${messageOf(error)}`, { cause: error });
  }
  return validateSpec(value);
}

/**
 * A specification that can be compiled, as a copy of the members the specification knows for Linux. Throws InvalidSpec with
 * the path of the first fault: `process.cwd: must be an absolute path, got "x"`.
 */
export function validateSpec(value: unknown): Spec {
  check(value, specShape, "");
  const spec = withoutNulls(value, specShape) as Spec;
  const { process } = spec;
  // Go's zero value: a user without ids is root
  if (process?.user) process.user = { ...process.user, uid: process.user.uid ?? 0, gid: process.user.gid ?? 0 };
  if (process?.env) process.env = effectiveEnvironment(process.env);
  checkVersion(spec.ociVersion);
  checkNamespaces(spec);
  checkMappings(spec);
  checkNames(spec);
  if (process) checkProcess(process);
  checkLinux(spec.linux ?? {});
  return spec;
}

function checkVersion(version: string): void {
  const match = /^(\d{1,5})\.(\d{1,5})\.(\d{1,5})(?:[-+].{1,100})?$/.exec(version);
  if (!match) throw new InvalidSpec("ociVersion", `want a version such as "1.2.0", got ${show(version)}`);
  if (match[1] !== "1") throw new InvalidSpec("ociVersion", `version 1 is supported, got ${show(version)}`);
}

const namespaceOf = ({ linux }: Spec, type: NamespaceType) => linux?.namespaces?.find((namespace) => namespace.type === type);

function checkNamespaces({ linux }: Spec): void {
  const seen = new Set<NamespaceType>();
  (linux?.namespaces ?? []).forEach(({ type }, i) => {
    if (seen.has(type)) throw new InvalidSpec(`linux.namespaces[${i}].type`, `${type} is listed twice`);
    seen.add(type);
  });
  const offsets = linux?.timeOffsets;
  if (offsets && Object.keys(offsets).length > 0) {
    const time = linux.namespaces?.find(({ type }) => type === "time");
    if (!time || time.path !== undefined)
      throw new InvalidSpec("linux.timeOffsets", "needs a new time namespace in linux.namespaces");
  }
}

/** user_namespaces(7): at most 340 ranges, none overlapping another. */
function checkMappings(spec: Spec): void {
  const linux = spec.linux ?? {};
  const user = namespaceOf(spec, "user");
  for (const field of ["uidMappings", "gidMappings"] as const) {
    const mappings = linux[field] ?? [];
    const path = `linux.${field}`;
    if (mappings.length > 0 && !user) throw new InvalidSpec(path, "needs a user namespace in linux.namespaces");
    if (user && user.path === undefined && mappings.length === 0)
      throw new InvalidSpec(path, "is missing: a new user namespace needs it");
    checkRanges(mappings, path);
  }
  (spec.mounts ?? []).forEach((mount, i) => {
    if (!mount.uidMappings !== !mount.gidMappings)
      throw new InvalidSpec(`mounts[${i}]`, "uidMappings and gidMappings go together");
    checkRanges(mount.uidMappings ?? [], `mounts[${i}].uidMappings`);
    checkRanges(mount.gidMappings ?? [], `mounts[${i}].gidMappings`);
  });
  if (!user || user.path !== undefined) return;
  checkMapped(linux.uidMappings, 0, "linux.uidMappings", "user id 0, the root that sets the container up,");
  checkMapped(linux.gidMappings, 0, "linux.gidMappings", "group id 0, the root's that sets the container up,");
  const owner = spec.process?.user;
  if (!owner) return;
  checkMapped(linux.uidMappings, owner.uid, "process.user.uid", `user id ${owner.uid}`);
  checkMapped(linux.gidMappings, owner.gid, "process.user.gid", `group id ${owner.gid}`);
  owner.additionalGids?.forEach((gid, i) => {
    checkMapped(linux.gidMappings, gid, `process.user.additionalGids[${i}]`, `group id ${gid}`);
  });
}

function checkRanges(mappings: readonly IdMapping[], path: string): void {
  if (mappings.length > 340) throw new InvalidSpec(path, `want at most 340 ranges, got ${mappings.length}`);
  mappings.forEach(({ containerID, hostID, size }, i) => {
    if (Math.max(containerID, hostID) + size > 2 ** 32 - 1)
      throw new InvalidSpec(`${path}[${i}]`, "reaches beyond the highest id, 4294967294");
  });
  for (const side of ["containerID", "hostID"] as const) {
    const sorted = [...mappings].sort((a, b) => a[side] - b[side]);
    sorted.forEach((range, i) => {
      const next = sorted[i + 1];
      if (next && range[side] + range.size > next[side]) throw new InvalidSpec(path, `ranges overlap at ${side} ${next[side]}`);
    });
  }
}

function checkMapped(mappings: readonly IdMapping[] = [], id: number, path: string, what: string): void {
  if (mappings.some(({ containerID, size }) => id >= containerID && id < containerID + size)) return;
  throw new InvalidSpec(path, `${what} is not mapped in the user namespace`);
}

function checkNames(spec: Spec): void {
  for (const field of ["hostname", "domainname"] as const) {
    if (spec[field] && !namespaceOf(spec, "uts")) throw new InvalidSpec(field, "needs a uts namespace in linux.namespaces");
  }
}
