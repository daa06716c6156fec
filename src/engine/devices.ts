import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { OnggiError } from "../lib/errors.ts";
import type { ResolvedDevice } from "../runtime/index.ts";
import { isErrno, major, minor } from "../sys/index.ts";
import type { ContainerRequest, DeviceRequest } from "./types.ts";

/** Not devices of the host's but places containers get their own of. */
const own = new Set(["pts", "shm", "mqueue", "console", "ptmx", "fd", "stdin", "stdout", "stderr", "log", "core", "tty"]);

/** A device file as the container gets it; undefined for any other file. */
function deviceAt(hostPath: string, containerPath: string, access: string): ResolvedDevice | undefined {
  const stat = statSync(hostPath);
  if (!stat.isCharacterDevice() && !stat.isBlockDevice()) return undefined;
  return {
    path: containerPath,
    type: stat.isBlockDevice() ? "b" : "c",
    major: major(stat.rdev),
    minor: minor(stat.rdev),
    fileMode: stat.mode & 0o7777,
    uid: 0,
    gid: 0,
    access,
  };
}

/** The host's device at a path; undefined where there is none. */
export function deviceNodeAt(path: string): ResolvedDevice | undefined {
  return statSync(path, { throwIfNoEntry: false }) && deviceAt(path, path, "rwm");
}

function* devicesBelow(hostPath: string, containerPath: string, access: string): Generator<ResolvedDevice> {
  for (const entry of readdirSync(hostPath, { withFileTypes: true })) {
    const from = join(hostPath, entry.name);
    const to = join(containerPath, entry.name);
    if (entry.isDirectory()) yield* devicesBelow(from, to, access);
    else if (entry.isCharacterDevice() || entry.isBlockDevice()) {
      const device = deviceAt(from, to, access);
      if (device) yield device;
    }
  }
}

function requested({ hostPath, containerPath, access }: DeviceRequest): ResolvedDevice[] {
  try {
    if (statSync(hostPath).isDirectory()) return [...devicesBelow(hostPath, containerPath, access)];
    const device = deviceAt(hostPath, containerPath, access);
    if (device) return [device];
  } catch (error) {
    if (isErrno(error, "ENOENT") || (error as NodeJS.ErrnoException).code === "ENOENT") {
      throw new OnggiError("device_not_found", `--device ${hostPath}: there is no such file on the host`);
    }
    throw error;
  }
  throw new OnggiError("not_a_device", `--device ${hostPath}: it is neither a device nor a directory of devices`);
}

/** The host's devices a container asked for; all of them for a privileged one. */
export function resolveDevices(request: ContainerRequest): ResolvedDevice[] {
  const all: ResolvedDevice[] = [];
  if (request.privileged) {
    for (const name of readdirSync("/dev")) {
      if (own.has(name)) continue;
      const path = join("/dev", name);
      if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) all.push(...devicesBelow(path, path, "rwm"));
      else {
        const device = statSync(path, { throwIfNoEntry: false }) && deviceAt(path, path, "rwm");
        if (device) all.push(device);
      }
    }
  }
  const named = (request.devices ?? []).flatMap(requested);
  const places = new Set(named.map(({ path }) => path));
  return [...all.filter(({ path }) => !places.has(path)), ...named];
}
