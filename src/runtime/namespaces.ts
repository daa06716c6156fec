/** What only the host can tell about a specification's namespaces, asked before anything is made. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { messageOf, OnggiError } from "../lib/errors.ts";
import type { IdMapping, NamespaceType, Spec } from "../oci/spec.ts";
import { AT, access, close, fstat, MAGIC, namespaceKind, O, open, statfs } from "../sys/index.ts";
import { cloneFlags, namespaceFiles } from "./compile-context.ts";

const invalid = (path: string, problem: string, cause?: unknown): never => {
  throw new OnggiError("invalid_namespace", `${path}: ${problem}`, { cause });
};

/**
 * Refuses a namespace to join that is none, or of another type, and a type of namespace this kernel has not. Throws OnggiError
 * `invalid_namespace`. Between this look and the plan a path can come to lead elsewhere: setns(2) is told the type again.
 */
export function checkNamespaces(spec: Spec): void {
  (spec.linux?.namespaces ?? []).forEach(({ type, path }, i) => {
    const where = `linux.namespaces[${i}]`;
    const own = `/proc/self/ns/${namespaceFiles[type]}`;
    if (!access(AT.AT_FDCWD, own, 0)) invalid(`${where}.type`, `this kernel has no ${type} namespaces`);
    if (path === undefined) return;
    const id = namespaceAt(path, type, `${where}.path`);
    if (type === "network") refuseHostSysctls(spec, id === identity(own), path);
  });
}

/** "device:inode", after a look whether it is a namespace of this type. */
function namespaceAt(path: string, type: NamespaceType, where: string): string {
  const quoted = JSON.stringify(path);
  let handle: number;
  try {
    handle = open(path, O.O_PATH | O.O_CLOEXEC);
  } catch (error) {
    return invalid(where, messageOf(error), error);
  }
  try {
    // only now is it sure that opening it for reading has no side effect, as that of a device or a pipe would have
    if (statfs(handle).type !== MAGIC.NSFS_MAGIC) return invalid(where, `${quoted} is no namespace`);
    const fd = open(`/proc/self/fd/${handle}`, O.O_RDONLY | O.O_CLOEXEC);
    try {
      const kind = namespaceKind(fd);
      if (kind !== cloneFlags[type]) return invalid(where, `${quoted} is a ${kindName(kind)} namespace, not a ${type} namespace`);
      const { dev, ino } = fstat(fd);
      return `${dev}:${ino}`;
    } finally {
      close(fd);
    }
  } finally {
    close(handle);
  }
}

const kindName = (kind: number): string => Object.entries(cloneFlags).find(([, flag]) => flag === kind)?.[0] ?? "different";

function identity(path: string): string {
  const fd = open(path, O.O_PATH | O.O_CLOEXEC);
  try {
    const { dev, ino } = fstat(fd);
    return `${dev}:${ino}`;
  } finally {
    close(fd);
  }
}

/** The parameters of a network namespace that is ours are the host's. */
function refuseHostSysctls(spec: Spec, isHosts: boolean, path: string): void {
  const name = Object.keys(spec.linux?.sysctl ?? {}).find((key) => /^net[./]/.test(key));
  if (isHosts && name !== undefined)
    invalid(`linux.sysctl[${JSON.stringify(name)}]`, `would change the host's network namespace, which ${path} is`);
}

interface IdMaps {
  readonly uidMappings: IdMapping[];
  readonly gidMappings: IdMapping[];
}

/**
 * The specification with the id maps of the user namespace it joins: set-up files have to get the right owners. Maps that the
 * specification gives beside a path must be the namespace's own. Throws OnggiError `invalid_namespace` where the maps are
 * neither given nor to be found, or differ.
 */
export function withJoinedIdMaps(spec: Spec): Spec {
  const namespaces = spec.linux?.namespaces ?? [];
  const index = namespaces.findIndex(({ type, path }) => type === "user" && path !== undefined);
  const path = namespaces[index]?.path;
  if (path === undefined) return spec;
  const { uidMappings, gidMappings } = spec.linux ?? {};
  const found = idMapsOf(path);
  const given = uidMappings?.length && gidMappings?.length;
  if (!found) {
    if (given) return spec;
    return invalid(`linux.namespaces[${index}].path`, "no process is in it to read its id maps from: give linux.uidMappings too");
  }
  for (const [field, mappings] of Object.entries({ uidMappings, gidMappings })) {
    if (mappings?.length && lines(mappings) !== lines(found[field as keyof IdMaps]))
      invalid(`linux.${field}`, `the user namespace ${path} is mapped otherwise: ${lines(found[field as keyof IdMaps])}`);
  }
  return { ...spec, linux: { ...spec.linux, ...found } };
}

const lines = (mappings: readonly IdMapping[]): string =>
  [...mappings]
    .sort((a, b) => a.containerID - b.containerID)
    .map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}`)
    .join(", ");

/** The maps as a process inside shows them; undefined if there is none, or nothing is mapped yet. */
function idMapsOf(path: string): IdMaps | undefined {
  const [, direct] = /^\/proc\/(\d+|self)\/ns\/user$/.exec(path) ?? [];
  const pid = direct ?? processIn(path);
  if (pid === undefined) return undefined;
  const uidMappings = parseMap(`/proc/${pid}/uid_map`);
  const gidMappings = parseMap(`/proc/${pid}/gid_map`);
  return uidMappings.length > 0 && gidMappings.length > 0 ? { uidMappings, gidMappings } : undefined;
}

function processIn(path: string): string | undefined {
  const wanted = identity(path).split(":")[1];
  return readdirSync("/proc").find((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return readlinkSync(`/proc/${name}/ns/user`) === `user:[${wanted}]`;
    } catch {
      return false; // it has ended
    }
  });
}

function parseMap(file: string): IdMapping[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return []; // it has ended
  }
  return text
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter((numbers): numbers is [number, number, number] => numbers.length === 3)
    .map(([containerID, hostID, size]) => ({ containerID, hostID, size }));
}
