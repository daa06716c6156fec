/** User namespaces for mounts that show their files with ids of their own. */
import { messageOf, OnggiError } from "../lib/errors.ts";
import type { Mount, Spec } from "../oci/spec.ts";
import { sameMaps } from "../runtime/compile-mount-sources.ts";
import { parseMountOptions } from "../runtime/mount-options.ts";
import {
  AT,
  close,
  createUserNamespace,
  formatIdMap,
  isErrno,
  MOUNT_ATTR,
  mountSetattr,
  OPEN_TREE,
  openTree,
} from "../sys/index.ts";

export interface MountUserNamespaces {
  /** Descriptors to pass to the shim, in order; whoever asked closes them. */
  readonly fds: readonly number[];
  /** For the compiler: index in `spec.mounts` -> index among the passed descriptors. */
  readonly mountUserns: Readonly<Record<number, number>>;
}

export interface MountUserNamespaceOptions {
  /** Directory that relative sources start from. */
  readonly bundle: string;
  /** How many descriptors are passed before these. */
  readonly passedBefore?: number;
}

type Mapped = Mount & Required<Pick<Mount, "uidMappings" | "gidMappings">>;

/**
 * A user namespace for every mount with id mappings that are not the container's; equal ones share one. Each source is tried,
 * on a copy that is mounted nowhere: a kernel or file system that cannot is an OnggiError `idmap_unsupported` that names the
 * mount. Nothing stays open when this throws.
 */
export function mountUserNamespaces(spec: Spec, { bundle, passedBefore = 0 }: MountUserNamespaceOptions): MountUserNamespaces {
  const fds: number[] = [];
  const known = new Map<string, number>();
  const mountUserns: Record<number, number> = {};
  try {
    (spec.mounts ?? []).forEach((mount, index) => {
      if (!mount.uidMappings || !mount.gidMappings || hasContainersMaps(spec, mount)) return;
      const mapped: Mapped = { ...mount, uidMappings: mount.uidMappings, gidMappings: mount.gidMappings };
      const key = `${formatIdMap(mapped.uidMappings)}/${formatIdMap(mapped.gidMappings)}`;
      let place = known.get(key);
      if (place === undefined) {
        place = fds.length;
        fds.push(makeNamespace(mapped, index));
        known.set(key, place);
      }
      tryMapping(mapped, index, bundle, fds[place] as number);
      mountUserns[index] = passedBefore + place;
    });
  } catch (error) {
    for (const fd of fds) close(fd);
    throw error;
  }
  return { fds, mountUserns };
}

/** The plan maps these by the container's own namespace, new or joined. */
function hasContainersMaps({ linux }: Spec, mount: Mount): boolean {
  const user = linux?.namespaces?.some(({ type }) => type === "user");
  return user === true && sameMaps(mount, linux ?? {});
}

function makeNamespace({ uidMappings, gidMappings }: Mapped, index: number): number {
  try {
    return createUserNamespace(uidMappings, gidMappings);
  } catch (error) {
    throw new OnggiError("idmap_unsupported", `mounts[${index}].uidMappings: ${messageOf(error)}`, { cause: error });
  }
}

/** mount_setattr(2): EINVAL is a file system that cannot be id-mapped, or a mount that is already. */
function tryMapping({ source = "", options = [], type }: Mapped, index: number, bundle: string, userns: number): void {
  const { recursive, idmap, sourceNoFollow } = parseMountOptions(options, type);
  const path = source.startsWith("/") ? source : `${bundle}/${source}`;
  const deep = idmap === "tree" ? AT.AT_RECURSIVE : 0;
  const flags = OPEN_TREE.OPEN_TREE_CLONE | (recursive ? AT.AT_RECURSIVE : 0) | (sourceNoFollow ? AT.AT_SYMLINK_NOFOLLOW : 0);
  try {
    const copy = openTree(AT.AT_FDCWD, path, flags);
    try {
      mountSetattr(copy, "", deep, { set: MOUNT_ATTR.MOUNT_ATTR_IDMAP, userns });
    } finally {
      close(copy);
    }
  } catch (error) {
    const why = isErrno(error, "EINVAL")
      ? "its file system, or a mount below it, cannot be id-mapped, or is already"
      : messageOf(error);
    throw new OnggiError("idmap_unsupported", `mounts[${index}].source: ${source}: ${why}`, { cause: error });
  }
}
