/**
 * External mounts: what a container has been given of the host's file systems. criu saves no content of theirs; it writes down
 * a name for each, and is told at restore what the names stand for. A name is the place in the specification, so that images can
 * be restored by another bundle; masked files share one.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Spec } from "../../oci/spec.ts";
import type { CgroupLayout } from "../../runtime/cgroups/index.ts";
import { cgroupFacts } from "../../runtime/cgroups/index.ts";
import { parseMountOptions } from "../../runtime/mount-options.ts";
import { cleanPath } from "../../runtime/paths.ts";
import { O, RESOLVE, S } from "../../sys/constants.ts";
import { isErrno } from "../../sys/errno.ts";
import { close, openat2, openDir } from "../../sys/file.ts";
import { isMountRoot } from "../../sys/mount.ts";
import { parseMountinfo } from "../../sys/mountinfo.ts";
import { fstat } from "../../sys/stat.ts";
import { DEV_PLACE, hasHostDev } from "../compile-criu.ts";

/** criu's key and value. */
export type MountMap = readonly (readonly [key: string, value: string])[];

const MASK = "/dev/null";
const DEV = "/dev";
/** Bind mounts where the container may make no device (config-linux.md, "Default Devices"). */
const defaultDevices = ["null", "zero", "full", "random", "urandom", "tty"].map((name) => `/dev/${name}`);

/** A mount of the specification that comes from the host. */
interface Given {
  readonly name: string;
  /** Absolute, on the host. */
  readonly source: string;
}

function givenMounts(spec: Spec, bundle: string, layout: CgroupLayout, cgroup: string | null): Given[] {
  const binds = (spec.mounts ?? []).flatMap(({ destination, source, type, options }): Given[] => {
    const { bind, remount } = parseMountOptions(options ?? [], type);
    const name = cleanPath(destination);
    if (bind && !remount && source) return [{ name, source: source.startsWith("/") ? source : join(bundle, source) }];
    return type === "cgroup" && cgroup !== null ? cgroupBinds(spec, name, layout, cgroup) : [];
  });
  const devices = [...defaultDevices, ...(spec.linux?.devices ?? []).map(({ path }) => cleanPath(path))];
  return [...binds, ...devices.map((path) => ({ name: path, source: path }))];
}

/** Without a namespace of its own a container is shown its groups of v1 by bind mounts. */
function cgroupBinds({ linux }: Spec, destination: string, layout: CgroupLayout, cgroup: string): Given[] {
  if (layout.version === "v2" || linux?.namespaces?.some(({ type }) => type === "cgroup")) return [];
  const { cgroupHierarchies } = cgroupFacts(layout);
  return cgroupHierarchies.map(({ mountpoint }, index) => ({
    name: `${destination}/${mountpoint.slice(mountpoint.lastIndexOf("/") + 1)}`,
    source: `${layout.v1[index]?.mountpoint}${cgroup}`,
  }));
}

/** For a dump: the places where the container has them now, and their names. */
export function mountsToDump(init: number, spec: Spec, bundle: string, layout: CgroupLayout, cgroup: string | null): MountMap {
  const points = new Map(
    parseMountinfo(readFileSync(`/proc/${init}/mountinfo`, "utf8")).map(({ id, mountPoint }) => [id, mountPoint] as const),
  );
  const names = new Map<string, string>();
  const root = openDir(`/proc/${init}/root`);
  try {
    const given = givenMounts(spec, bundle, layout, cgroup).map(({ name }) => name);
    for (const name of hasHostDev(spec) ? [...given, DEV] : given) {
      const mount = mountAt(root, name, points);
      if (mount) names.set(mount.point, name);
    }
    for (const path of spec.linux?.maskedPaths ?? []) {
      const mount = mountAt(root, path, points);
      // a directory's cover is a file system of the container's own
      if (mount && !mount.isDirectory) names.set(mount.point, MASK);
    }
  } finally {
    close(root);
  }
  return [...names];
}

/** For a restore: what the names stand for. */
export const mountsToRestore = (spec: Spec, bundle: string, layout: CgroupLayout, cgroup: string | null): MountMap => [
  ...new Map([
    [MASK, MASK] as const,
    ...(hasHostDev(spec) ? [[DEV, DEV_PLACE] as const] : []),
    ...givenMounts(spec, bundle, layout, cgroup).map(({ name, source }) => [name, source] as const),
  ]),
];

/** The mount whose root is at a path, by where it is mounted; links are followed inside the root. */
function mountAt(
  root: number,
  path: string,
  points: ReadonlyMap<number, string>,
): { readonly point: string; readonly isDirectory: boolean } | null {
  let fd: number;
  try {
    const resolve = RESOLVE.RESOLVE_IN_ROOT | RESOLVE.RESOLVE_NO_MAGICLINKS;
    fd = openat2(root, path, { flags: O.O_PATH | O.O_CLOEXEC, resolve });
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "EACCES")) return null;
    throw error;
  }
  try {
    if (!isMountRoot(fd, "")) return null;
    const id = /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1];
    const point = points.get(Number(id));
    return point === undefined ? null : { point, isDirectory: (fstat(fd).mode & S.S_IFMT) === S.S_IFDIR };
  } finally {
    close(fd);
  }
}
