/**
 * Mounts a volume's source on its directory, and takes it off again. A mount is made detached and attached last, so nothing is left of
 * one that fails. Runs as the engine, in the host's mount namespace; the directory lies below directories that only root can enter.
 */

import { lookup } from "node:dns/promises";
import { statSync } from "node:fs";
import { messageOf, OnggiError } from "../lib/errors.ts";
import {
  AT,
  attachLoop,
  attachMount,
  close,
  findLoop,
  isErrno,
  isMountRoot,
  MNT,
  type MountOption,
  mountFs,
  mountSetattr,
  O,
  open,
  pickTree,
  umount,
  unlinkat,
} from "../sys/index.ts";
import type { MountHow, VolumeSource } from "./options.ts";

/** Their servers may not answer: they are mounted by a program, which can be ended. */
const NETWORK: ReadonlySet<string> = new Set(["nfs", "nfs4", "cifs", "smb3", "ceph", "9p"]);
const NETWORK_MS = 60_000;

export const isMounted = (path: string): boolean => isMountRoot(AT.AT_FDCWD, path);

/** Mounts on `path`. Throws `volume_mount_failed`. */
export async function mountSource(source: VolumeSource, path: string, image: string): Promise<void> {
  try {
    switch (source.kind) {
      case "directory":
        return;
      case "image":
        return attach(mountFile(source.type, image, source.how), path);
      case "bind":
        return attach(bind(source), path);
      case "mount":
        if (NETWORK.has(source.type)) return await mountNetwork(source.type, source.device, source.how, path);
        return attach(mountDevice(source.type, source.device, source.how), path);
    }
  } catch (error) {
    if (error instanceof OnggiError) throw error;
    const what = source.kind === "mount" || source.kind === "bind" ? source.device : image;
    throw new OnggiError("volume_mount_failed", `cannot mount ${what} on ${path}: ${messageOf(error)}`, { cause: error });
  }
}

/** Takes off whatever is mounted on `path`; what still uses it keeps it to its end. */
export function unmount(path: string): void {
  while (isMounted(path)) umount(path, MNT.MNT_DETACH | MNT.UMOUNT_NOFOLLOW);
}

function attach(fd: number, path: string): void {
  try {
    attachMount(fd, path);
  } finally {
    close(fd);
  }
}

function bind({ device, recursive, how }: Extract<VolumeSource, { kind: "bind" }>): number {
  const [unknown] = how.data;
  if (unknown) throw new OnggiError("invalid_volume_option", `volume option o=${unknown[0]}: not an option of a bind mount`);
  const fd = pickTree(device, { recursive });
  try {
    if (how.attributes !== 0) mountSetattr(fd, "", recursive ? AT.AT_RECURSIVE : 0, { set: how.attributes });
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** Takes away what mke2fs puts into every file system: programs look whether a directory is empty. e2fsck(8) makes it again. */
export function clearImage(type: string, file: string, how: MountHow): void {
  const fd = mountFile(type, file, { ...how, attributes: how.attributes & ~1 });
  try {
    unlinkat(fd, "lost+found", AT.AT_REMOVEDIR);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  } finally {
    close(fd);
  }
}

const optionsOf = ({ data, attributes }: MountHow): (readonly [string, MountOption])[] => {
  const options = data.map(([key, value]) => [key, value ?? true] as const);
  // a device that cannot be written to refuses a mount that might
  return attributes & 1 ? [["ro", true], ...options] : options;
};

function mountDevice(type: string, device: string, how: MountHow): number {
  const isFile = device.startsWith("/") && statSync(device, { throwIfNoEntry: false })?.isFile();
  if (isFile) return mountFile(type, device, how);
  return mountFs(type, { source: device, options: optionsOf(how), flags: how.attributes });
}

/** By a loop device, which goes with the mount. */
function mountFile(type: string, file: string, how: MountHow): number {
  const readOnly = (how.attributes & 1) !== 0;
  const fd = open(file, readOnly ? O.O_RDONLY : O.O_RDWR);
  try {
    // the former mount may still be on its way out, in the namespace of a container that has ended
    const loop = findLoop(fd, readOnly) ?? attachLoop(fd, { readOnly, autoclear: true, directIo: true, name: file.slice(-63) });
    try {
      return mountFs(type, { source: loop.path, options: optionsOf(how), flags: how.attributes });
    } finally {
      close(loop.fd);
    }
  } finally {
    close(fd);
  }
}

/** Without the helpers of mount(8): the kernel wants the server's address, which is looked up here. */
async function mountNetwork(type: string, device: string, how: MountHow, path: string): Promise<void> {
  const text = await withAddress(type, device, how.text);
  const flags = how.attributes & 1 ? ["-r"] : [];
  const child = Bun.spawn(["mount", "-i", ...flags, "-t", type, ...(text ? ["-o", text] : []), device, path], {
    ...{ stdin: "ignore", stdout: "ignore", stderr: "pipe" },
    timeout: NETWORK_MS,
    killSignal: "SIGKILL",
  });
  const complaint = (await new Response(child.stderr).text()).trim();
  if ((await child.exited) === 0) return;
  const why = child.signalCode ? `no answer after ${NETWORK_MS / 1000} s` : complaint || `mount ended with ${child.exitCode}`;
  throw new OnggiError("volume_mount_failed", `cannot mount ${device} (${type}) on ${path}: ${why}`);
}

async function withAddress(type: string, device: string, text: string): Promise<string> {
  const options = text.split(",").filter(Boolean);
  const at = options.findIndex((option) => /^(addr|ip)=/.test(option));
  if (at >= 0) {
    const [key, host = ""] = options[at]!.split(/=(.*)/s);
    options[at] = `${key}=${(await lookup(host)).address}`;
  } else if (type === "cifs" || type === "smb3") {
    const host = /^\/\/([^/]+)\//.exec(device)?.[1];
    if (host) options.push(`ip=${(await lookup(host)).address}`);
  } else if (type === "nfs" || type === "nfs4") {
    const host = /^(\[[^\]]+\]|[^:/]+):/.exec(device)?.[1];
    if (host) options.push(`addr=${(await lookup(host.replace(/^\[|\]$/g, ""))).address}`);
  }
  return options.join(",");
}
