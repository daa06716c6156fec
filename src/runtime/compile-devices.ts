/**
 * /dev, and the terminal.
 *
 * Beside a user namespace the shim fills the tmpfs while it is mounted nowhere: only the host's root may make device nodes.
 * Otherwise the child does. Everything is named relative to the tmpfs, so no path of the image is on the way. The nodes belong
 * to the container's root.
 */
import type { LinuxDevice } from "../oci/spec.ts";
import { AT_FDCWD, type Reg, reg } from "../plan/ops.ts";
import { AT, FSMOUNT, FSOPEN, O, S, TIOC } from "../sys/constants.ts";
import { errno } from "../sys/errno.ts";
import type { Writer } from "./compile-builder.ts";
import { AT_EMPTY_PATH, type Context, STRICTLY_BELOW } from "./compile-context.ts";
import { type MadeMounts, ONTO, type PlannedMount, TREE } from "./compile-filesystem.ts";
import { openTarget } from "./compile-targets.ts";
import { cleanPath, components } from "./paths.ts";

/** Devices every container has, config-linux.md "Default Devices". */
const defaultDevices: readonly LinuxDevice[] = [
  ["null", 3],
  ["zero", 5],
  ["full", 7],
  ["random", 8],
  ["urandom", 9],
].map(([name, minor]) => ({ type: "c", path: `/dev/${name}`, major: 1, minor: minor as number, fileMode: 0o666 }));
const ttyDevice: LinuxDevice = { type: "c", path: "/dev/tty", major: 5, minor: 0, fileMode: 0o666 };

/** Dev symbolic links, same section. */
const links: readonly (readonly [name: string, target: string])[] = [
  ["fd", "/proc/self/fd"],
  ["stdin", "/proc/self/fd/0"],
  ["stdout", "/proc/self/fd/1"],
  ["stderr", "/proc/self/fd/2"],
  ["core", "/proc/kcore"],
  ["ptmx", "pts/ptmx"],
];

const typeBits: Readonly<Record<LinuxDevice["type"], number>> = {
  c: S.S_IFCHR,
  u: S.S_IFCHR,
  b: S.S_IFBLK,
  p: S.S_IFIFO,
};

/** Device number as the kernel's dev_t in system calls, makedev(3) for numbers below 2^12 and 2^20. */
export const deviceNumber = (major: number, minor: number): number =>
  ((minor & 0xff) | ((major & 0xfff) << 8)) + (minor >>> 8) * 0x100000;

/**
 * Every device of the container; what the specification says about a path outweighs the default. Not /dev/ptmx, which a privileged
 * container of Docker's lists among the host's: it stays the link into the container's own devpts.
 */
function devices({ spec }: Context): LinuxDevice[] {
  const all = new Map([...defaultDevices, ttyDevice].map((device) => [device.path, device]));
  for (const device of spec.linux?.devices ?? []) all.set(cleanPath(device.path), device);
  all.delete("/dev/ptmx");
  return [...all.values()];
}

/** Fills a /dev that was just made; no mask of the writer's may weaken the nodes' modes. */
export function fillDev(context: Context, writer: Writer, dev: Reg): void {
  const { spec } = context;
  writer.about("devices", "give the nodes the modes asked for").do({ kind: "umask", mask: 0 });
  for (const device of devices(context)) {
    const path = cleanPath(device.path);
    if (path.startsWith("/dev/")) makeNode(context, writer, dev, path.slice("/dev/".length), device);
  }
  const owner = { uid: context.hostUid(0), gid: context.hostGid(0) };
  for (const [path, target] of links) {
    writer.about("devices", `link /dev/${path}`).do({ kind: "symlink", target, dir: dev, path });
    if (owner.uid !== 0) writer.do({ kind: "chown", dir: dev, path, ...owner, flags: AT.AT_SYMLINK_NOFOLLOW });
  }
  if (spec.process?.terminal) {
    writer.about("devices", "make the place of the console");
    writer.do({ kind: "mknod", dir: dev, path: "console", mode: S.S_IFREG | 0o600, dev: 0 });
  }
  writer.about("devices", "back to the usual mask").do({ kind: "umask", mask: 0o022 });
}

/** Makes a node below `base`; in a tree nobody else can change, so plain paths will do. */
function makeNode(
  context: Context,
  writer: Writer,
  base: Reg,
  path: string,
  device: LinuxDevice,
  accept: readonly number[] = [],
): void {
  const { type, major = 0, minor = 0, fileMode = 0o666, uid = 0, gid = 0 } = device;
  writer.about("devices", `make ${cleanPath(device.path)}`);
  const parts = components(path);
  for (let depth = 1; depth < parts.length; depth++) {
    writer.do({ kind: "mkdir", dir: base, path: parts.slice(0, depth).join("/"), mode: 0o755, accept: [errno.EEXIST] });
  }
  if (context.unprivileged && type !== "p") {
    bindNode(writer, base, parts.join("/"), cleanPath(device.path));
    return;
  }
  const mode = typeBits[type] | (fileMode & 0o7777);
  writer.do({ kind: "mknod", dir: base, path: parts.join("/"), mode, dev: deviceNumber(major, minor), accept });
  const owner = { uid: context.hostUid(uid), gid: context.hostGid(gid) };
  if (owner.uid !== 0 || owner.gid !== 0)
    writer.do({ kind: "chown", dir: base, path: parts.join("/"), ...owner, flags: AT.AT_SYMLINK_NOFOLLOW });
}

/** Without privileges no node can be made: the host's own is mounted on a file. */
function bindNode(writer: Writer, base: Reg, path: string, hostPath: string): void {
  writer.do({ kind: "mknod", dir: base, path, mode: S.S_IFREG | 0o600, dev: 0, accept: [errno.EEXIST] });
  const flags = O.O_PATH | O.O_NOFOLLOW | O.O_CLOEXEC;
  const place = writer.keep({ kind: "open", dir: base, path, flags, mode: 0, resolve: STRICTLY_BELOW });
  const node = writer.keep({ kind: "openTree", dir: AT_FDCWD, path: hostPath, flags: TREE });
  writer.do({ kind: "moveMount", from: node, fromPath: "", to: place, toPath: "", flags: ONTO }).close(place, node);
}

/**
 * Devices outside a /dev of ours, and all of them where /dev is the image's own directory: made in the root, by the shim while
 * it is mounted nowhere, or by the child that mounts it. A /dev that is bound from elsewhere is left as it is.
 */
export function compileRootDevices(context: Context, writer: Writer, root: Reg, mounts: readonly PlannedMount[]): void {
  const dev = mounts.find(({ destination }) => destination === "/dev");
  const listed = devices(context).filter(({ path }) => !cleanPath(path).startsWith("/dev/") || !dev);
  if (listed.length === 0) return;
  writer.about("devices", "give the nodes the modes asked for").do({ kind: "umask", mask: 0 });
  const parents = Map.groupBy(listed, ({ path }) => components(path).slice(0, -1).join("/"));
  for (const [parent, below] of parents) {
    writer.about("devices", `open /${parent}`);
    const directory = openTarget(writer, root, parent, { kind: "directory" });
    for (const device of below)
      makeNode(context, writer, directory, components(device.path).at(-1) as string, device, [errno.EEXIST]);
    if (parent === "dev") {
      writer.about("devices", "link the usual names in /dev");
      for (const [path, target] of links) writer.do({ kind: "symlink", target, dir: directory, path, accept: [errno.EEXIST] });
    }
    writer.close(directory);
  }
  writer.about("devices", "back to the usual mask").do({ kind: "umask", mask: 0o022 });
}

/** A new terminal from the container's own devpts, never from a path in the image. Returns the slave's register. */
export function compileTerminal(context: Context, root: Reg, made: MadeMounts): Reg {
  const { child, spec } = context;
  child.about("stdio", "make the terminal");
  const devpts = made.devpts ?? privateDevpts(child);
  openMaster(child, devpts, "ptmx", STRICTLY_BELOW);
  const slave = openSlave(child, spec.process?.consoleSize);
  const user = spec.process?.user;
  if (user && user.uid !== 0) {
    child.about("stdio", "give the terminal to the user");
    child.do({ kind: "chown", dir: slave, path: "", uid: user.uid, gid: NO_ID, flags: AT_EMPTY_PATH });
  }
  child.about("stdio", "show the terminal as /dev/console");
  // opened through our own mount, a link or another mount on the image's /dev/console cannot redirect it (CVE-2025-52565)
  const flags = O.O_PATH | O.O_NOFOLLOW | O.O_CLOEXEC;
  const place =
    made.dev === undefined
      ? openTarget(child, root, "/dev/console", { kind: "file", strict: true })
      : child.keep({ kind: "open", dir: made.dev, path: "console", flags, mode: 0, resolve: STRICTLY_BELOW });
  const console = child.keep({ kind: "openTree", dir: slave, path: "", flags: TREE | AT_EMPTY_PATH });
  child.do({ kind: "moveMount", from: console, fromPath: "", to: place, toPath: "", flags: ONTO }).close(place, console);
  if (made.devpts === undefined) child.close(devpts);
  return slave;
}

/** chown(2): leave as it is. */
export const NO_ID = 0xffffffff;

function privateDevpts(child: Writer): Reg {
  const fs = child.keep({ kind: "fsopen", fstype: "devpts", flags: FSOPEN.FSOPEN_CLOEXEC });
  child.do({ kind: "fsconfigString", fs, key: "ptmxmode", value: "0666" }).do({ kind: "fsconfigCreate", fs });
  const devpts = child.keep({ kind: "fsmount", fs, flags: FSMOUNT.FSMOUNT_CLOEXEC, attrs: 0 });
  child.close(fs);
  return devpts;
}

/** The master goes to the shim's register. */
export function openMaster(child: Writer, dir: Reg, path: string, resolve: number): void {
  const flags = O.O_RDWR | O.O_NOCTTY | O.O_CLOEXEC;
  child.into(reg.ptyMaster, { kind: "open", dir, path, flags, mode: 0, resolve });
}

/**
 * Unlocks the terminal and opens its slave by the master alone. Both requests fail with ENOTTY on anything but a master, so
 * they also prove that what was opened is one.
 */
export function openSlave(child: Writer, size: { height: number; width: number } | undefined): Reg {
  child.do({ kind: "ioctlData", fd: reg.ptyMaster, request: TIOC.TIOCSPTLCK, data: new Uint8Array(4) });
  const value = O.O_RDWR | O.O_NOCTTY | O.O_CLOEXEC;
  const slave = child.keep({ kind: "ioctlInt", fd: reg.ptyMaster, request: TIOC.TIOCGPTPEER, value });
  if (size) {
    const winsize = new Uint8Array(new Uint16Array([size.height, size.width, 0, 0]).buffer);
    child.do({ kind: "ioctlData", fd: reg.ptyMaster, request: TIOC.TIOCSWINSZ, data: winsize });
  }
  return slave;
}
