/**
 * The plan that becomes criu: a child of the front, so that what criu restores as its sibling is the front's child too, and then
 * its caller's, like a container that has been created.
 *
 * criu wants the root to be a mount point, and the places of all mounts to be there. Both are made in a mount namespace of
 * criu's own from which nothing reaches the host, so that nothing is left to unmount, whatever ends criu.
 */
import type { Mount, Spec } from "../oci/spec.ts";
import { AT_FDCWD, event, type Plan, type Reg, reg } from "../plan/ops.ts";
import type { CgroupJoin } from "../runtime/cgroups/types.ts";
import type { Writer } from "../runtime/compile-builder.ts";
import { compileCgroupTasks, compileCloneInto } from "../runtime/compile-cgroups.ts";
import { AT_RECURSIVE, Context, PATH_DIRECTORY } from "../runtime/compile-context.ts";
import { fillDev } from "../runtime/compile-devices.ts";
import { ONTO, TREE } from "../runtime/compile-filesystem.ts";
import { newDev } from "../runtime/compile-mount-sources.ts";
import { compileOwnStreams } from "../runtime/compile-process.ts";
import { openTarget } from "../runtime/compile-targets.ts";
import { parseMountOptions } from "../runtime/mount-options.ts";
import { cleanPath, isWithin } from "../runtime/paths.ts";
import type { HostFacts, Supervision } from "../runtime/types.ts";
import { CLONE, CLOSE_RANGE, MNT, MS } from "../sys/constants.ts";

export interface CriuInput {
  /** Absolute path of the program. */
  readonly criu: string;
  /** "NAME=value" each. */
  readonly environment: readonly string[];
  readonly spec: Spec;
  readonly rootfs: string;
  /** An empty directory of ours, where criu finds the root file system. */
  readonly mountpoint: string;
  readonly facts: HostFacts;
  readonly bundle: string;
  /** Sources of bind mounts that are no directories. */
  readonly fileSources: ReadonlySet<string>;
  /** Where the container's processes are to be; criu puts itself there, and with it what it restores. */
  readonly cgroup: CgroupJoin;
  /** The plan stops at `born`: others put the process into a cgroup. */
  readonly stopWhenBorn: boolean;
  /** How many of the passed descriptors are for criu, the socket first; it finds them at `FIRST`, ... */
  readonly passed: number;
  readonly supervision: Supervision;
}

/** A /dev that only the host can make: in a user namespace nobody makes device nodes. */
export const hasHostDev = (spec: Spec): boolean => devMount(spec) !== undefined && hasUserNamespace(spec);

export const hasUserNamespace = ({ linux }: Spec): boolean => linux?.namespaces?.some(({ type }) => type === "user") ?? false;

const devMount = ({ mounts = [] }: Spec): Mount | undefined =>
  mounts.find(({ destination, type }) => cleanPath(destination) === "/dev" && type === "tmpfs");

/**
 * Where criu finds such a /dev. As the container's root, when it has become that, it has to get there, and must find nothing else
 * gone: this directory is there on every kernel, for an occasional file system that nobody needs here, and can be reached.
 */
export const DEV_PLACE = "/proc/fs/nfsd";

/** Out of the way of the front's own descriptors and of what its caller may have left open. */
export const FIRST = 100;

export function compileCriu(input: CriuInput): Plan {
  const { spec, facts, supervision } = input;
  const context = new Context({
    spec,
    facts,
    supervision,
    cgroup: input.cgroup,
    root: { kind: "directory", path: input.rootfs },
  });
  // what a plan has the host do for a container, this process does, before it is criu
  const { before, after: child } = context;
  const cgroup = compileCloneInto(before, input.cgroup);
  compileCgroupTasks(before, child, input.cgroup);
  if (input.stopWhenBorn) {
    child.about("handshake", "tell the runtime that the process is there, and wait until it has been placed");
    child.do({ kind: "notify", event: event.born }).do({ kind: "await" });
  }
  compileRoot(child, input);
  if (hasHostDev(spec)) compileDev(context, child);
  compileOwnStreams(child, null);
  child.about("stdio", "keep nobody waiting who waits for the front's end").do({ kind: "close", fd: reg.peer });
  child.about("process", "pass on what criu works with, and nothing else");
  child.do({ kind: "closeRange", first: 3, last: 0xffffffff, flags: CLOSE_RANGE.CLOSE_RANGE_CLOEXEC });
  for (let i = 0; i < input.passed; i++) child.do({ kind: "dup", fd: reg.passed + i, target: FIRST + i, flags: 0 });
  child.about("handshake", "set up: tell the runtime").do({ kind: "notify", event: event.created });
  child.about("handshake", "wait for start").do({ kind: "await" });
  child.about("process", "run criu");
  child.do({ kind: "execve", path: input.criu, argv: [input.criu, "swrk", String(FIRST)], envp: input.environment });
  return Object.freeze({
    before: Object.freeze(before.ops),
    clone: Object.freeze({ flags: 0, ...(cgroup === undefined ? {} : { cgroup }) }),
    after: Object.freeze([]),
    child: Object.freeze(child.ops),
    supervision,
  });
}

function compileRoot(child: Writer, input: CriuInput): void {
  const { rootfs, mountpoint } = input;
  child.about("namespaces", "keep the mounts for criu out of the host's sight").do({ kind: "unshare", flags: CLONE.CLONE_NEWNS });
  child.do({ kind: "mountSetattr", fd: AT_FDCWD, path: "/", flags: AT_RECURSIVE, set: 0, clear: 0, propagation: MS.MS_SLAVE });
  const flags = MS.MS_BIND | MS.MS_REC;
  const mountRoot = () => child.do({ kind: "mount", source: rootfs, target: mountpoint, fstype: "", flags, data: "" });

  child.about("rootfs", "assemble the root, to make the places of its mounts");
  mountRoot();
  const root = openPlace(child, mountpoint);
  compilePlaces(child, input, root);
  child.about("rootfs", "take it apart again").close(root);
  child.do({ kind: "umount", target: mountpoint, flags: MNT.MNT_DETACH });
  child.about("rootfs", "make the root a mount point, as criu wants it");
  mountRoot();
}

/** Bind mounts are made, because places of others may be in them; what lies on a tmpfs criu brings back with that. */
function compilePlaces(child: Writer, { spec, bundle, fileSources }: CriuInput, root: Reg): void {
  const tmpfs: string[] = [];
  for (const { destination, source, type, options: names } of spec.mounts ?? []) {
    const options = parseMountOptions(names ?? [], type);
    const path = cleanPath(destination);
    const isBind = options.bind && !options.remount && source !== undefined;
    if (type === "tmpfs") tmpfs.push(path);
    if (options.remount || tmpfs.some((above) => path !== above && isWithin(path, above))) continue;
    // the file system above them has them
    if (!isBind && ["cgroup", "cgroup2"].includes(type ?? "")) continue;
    child.about("mounts", `make the place of ${path}`);
    const kind = isBind && fileSources.has(source) ? "file" : "directory";
    const place = openTarget(child, root, path, { kind });
    if (isBind) {
      child.about("mounts", `take ${source} for ${path}`);
      const from = source.startsWith("/") ? source : `${bundle}/${source}`;
      const tree = child.keep({
        kind: "openTree",
        dir: AT_FDCWD,
        path: from,
        flags: TREE | (options.recursive ? AT_RECURSIVE : 0),
      });
      child.do({ kind: "moveMount", from: tree, fromPath: "", to: place, toPath: "", flags: ONTO }).close(tree);
    }
    child.close(place);
  }
}

const openPlace = (child: Writer, path: string): Reg =>
  child.keep({ kind: "open", dir: AT_FDCWD, path, flags: PATH_DIRECTORY, mode: 0, resolve: 0 });

/** As for a new container, with the places of the mounts that criu makes in it. */
function compileDev(context: Context, child: Writer): void {
  const { spec } = context;
  const mount = devMount(spec) as Mount;
  const options = parseMountOptions(mount.options ?? [], mount.type);
  const planned = { index: 0, mount, destination: "/dev", type: "tmpfs", options, detached: null };
  const dev = newDev(context, child, planned);
  fillDev(context, child, dev);
  for (const { destination } of spec.mounts ?? []) {
    const path = cleanPath(destination);
    if (path === "/dev" || !isWithin(path, "/dev")) continue;
    child.about("devices", `make the place of ${path}`);
    child.close(openTarget(child, dev, path.slice("/dev".length), { kind: "directory" }));
  }
  child.about("devices", "put it where criu finds it");
  const target = openPlace(child, DEV_PLACE);
  child.do({ kind: "moveMount", from: dev, fromPath: "", to: target, toPath: "", flags: ONTO }).close(dev, target);
}
