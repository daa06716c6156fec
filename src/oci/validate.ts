/**
 * config.json -> Spec: shape first, then what the values say about each other. What only the host can tell (whether a path
 * exists, an option is known to a file system) is not looked at here.
 */
import { messageOf } from "../lib/errors.ts";
import { check, InvalidSpec, show, withoutNulls } from "./schema.ts";
import { spec as specShape } from "./shapes.ts";
import type { IdMapping, Linux, NamespaceType, Spec } from "./spec.ts";

export { InvalidSpec } from "./schema.ts";

/** Parses and validates config.json's text. Throws InvalidSpec, whatever the text is. */
export function parseSpec(text: string): Spec {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new InvalidSpec("", `config.json is not JSON: ${messageOf(error)}`, { cause: error });
  }
  return validateSpec(value);
}

/**
 * A specification that can be compiled, as a copy of the members the specification knows. Throws InvalidSpec with the path
 * of the first fault: `process.cwd: must be an absolute path, got "x"`.
 */
export function validateSpec(value: unknown): Spec {
  check(value, specShape, "");
  const spec = withoutNulls(value, specShape) as Spec;
  checkVersion(spec.ociVersion);
  checkNamespaces(spec);
  checkMappings(spec);
  checkNames(spec);
  checkProcess(spec);
  checkDevices(spec.linux ?? {});
  checkCgroupsPath(spec.linux?.cgroupsPath);
  checkSysctls(spec.linux ?? {});
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

const RESOURCE = /^RLIMIT_(AS|CORE|CPU|DATA|FSIZE|LOCKS|MEMLOCK|MSGQUEUE|NICE|NOFILE|NPROC|RSS|RTPRIO|RTTIME|SIGPENDING|STACK)$/;

function checkProcess({ process }: Spec): void {
  if (!process) return;
  if (process.args?.[0] === "") throw new InvalidSpec("process.args[0]", "must not be empty");
  const seen = new Set<string>();
  (process.rlimits ?? []).forEach(({ type, soft, hard }, i) => {
    const path = `process.rlimits[${i}]`;
    if (!RESOURCE.test(type))
      throw new InvalidSpec(`${path}.type`, `unknown resource limit ${show(type)}; getrlimit(2) lists them`);
    if (seen.has(type)) throw new InvalidSpec(`${path}.type`, `${type} is listed twice`);
    seen.add(type);
    const infinite = (value: number) => (value < 0 ? Number.POSITIVE_INFINITY : value);
    if (infinite(soft) > infinite(hard))
      throw new InvalidSpec(`${path}.soft`, `must not be above the hard limit ${hard}, got ${soft}`);
  });
}

function checkDevices({ devices = [] }: Linux): void {
  devices.forEach(({ type, major, minor }, i) => {
    if (type === "p") return;
    if (major === undefined) throw new InvalidSpec(`linux.devices[${i}].major`, "is missing");
    if (minor === undefined) throw new InvalidSpec(`linux.devices[${i}].minor`, "is missing");
  });
}

function checkCgroupsPath(path: string | undefined): void {
  if (path?.split("/").includes("..")) throw new InvalidSpec("linux.cgroupsPath", `must not hold "..", got ${show(path)}`);
}

const IPC_SYSCTLS = new Set(
  ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"].map((name) => `kernel.${name}`),
);

/** A kernel parameter that belongs to no namespace of the container's would change the host's. */
function checkSysctls({ sysctl = {}, namespaces = [] }: Linux): void {
  const has = (type: NamespaceType) => namespaces.some((namespace) => namespace.type === type);
  for (const name of Object.keys(sysctl)) {
    const path = `linux.sysctl[${show(name)}]`;
    const dotted =
      name.includes("/") && !(name.indexOf(".") >= 0 && name.indexOf(".") < name.indexOf("/")) ? name.replaceAll("/", ".") : name;
    if (!/^[a-zA-Z0-9_]+([./][a-zA-Z0-9_.:@-]+)+$/.test(name) || dotted.includes(".."))
      throw new InvalidSpec(path, "is no kernel parameter's name");
    const type = namespaceOfSysctl(dotted);
    if (!type) throw new InvalidSpec(path, "is not separate for each namespace and would change the host's");
    if (!has(type)) throw new InvalidSpec(path, `needs a ${type} namespace in linux.namespaces`);
  }
}

function namespaceOfSysctl(name: string): NamespaceType | undefined {
  if (name.startsWith("net.")) return "network";
  if (IPC_SYSCTLS.has(name) || name.startsWith("fs.mqueue.")) return "ipc";
  if (name === "kernel.domainname" || name === "kernel.hostname") return "uts";
  return undefined;
}
