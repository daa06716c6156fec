/** `checkpoint`: a container's processes are saved to files by criu(8). */
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { F, O } from "../sys/constants.ts";
import { close, fcntl } from "../sys/file.ts";
import { write } from "../sys/io.ts";
import type { Container } from "./container.ts";
import { shareImages } from "./criu/images.ts";
import { explained } from "./criu/log.ts";
import { mountsToDump } from "./criu/mounts.ts";
import { namespacesToDump } from "./criu/namespaces.ts";
import { ask, checkFeatures, checkVersion, findCriu } from "./criu/program.ts";
import { type CriuSettings, encodeRequest } from "./criu/rpc.ts";
import {
  closeDirectories,
  commonSettings,
  type Directories,
  logPath,
  makeDirectory,
  openDirectories,
  STREAMS_FILE,
} from "./criu/settings.ts";
import { destroyContainer } from "./delete.ts";
import type { Host } from "./host.ts";
import type { CheckpointOptions } from "./types.ts";

const LOG_FILE = "dump.log";

/**
 * To be called under the container's lock. When it throws before criu has finished, the container runs on; afterwards it is
 * deleted, unless it was to be left running.
 */
export async function checkpointContainer(
  host: Host,
  container: Container,
  options: CheckpointOptions,
  warn: (message: string) => void,
): Promise<void> {
  const status = container.status();
  if (status !== "running" && status !== "paused") {
    throw new OnggiError("not_checkpointable", `container cannot be checkpointed in ${status} state`);
  }
  if (process.geteuid?.() !== 0) warn("checkpoint is untested with rootless containers");
  const criu = findCriu();
  await checkVersion(criu);
  if (options.preDump || options.lazyPages) {
    await checkFeatures(criu, { memoryTracking: !!options.preDump, lazyPages: !!options.lazyPages });
  }
  const statusFd = options.lazyPages ? checkedStatusFd(options.statusFd) : null;
  makeDirectory(options.imagePath);
  checkParent(options);
  const directories = openDirectories(options);
  try {
    const settings = dumpSettings(host, container, options, directories);
    const notified = (script: string) => {
      if (script === "status-ready" && statusFd !== null) tellReady(statusFd, warn);
    };
    await ask(criu, encodeRequest(options.preDump ? "preDump" : "dump", settings), notified);
    shareImages(options.imagePath, container.record.spec);
  } catch (error) {
    throw explained(error, logPath(options, LOG_FILE));
  } finally {
    closeDirectories(directories);
  }
  if (!options.leaveRunning && !options.preDump) await destroyContainer(container, warn);
}

function dumpSettings(host: Host, container: Container, options: CheckpointOptions, directories: Directories): CriuSettings {
  const { record } = container;
  const { spec, bundle, cgroupPath } = record;
  const { pid } = container.living();
  const { parentPath, preDump } = options;
  if (!preDump) writeFileSync(join(options.imagePath, STREAMS_FILE), JSON.stringify(record.streams ?? []), { mode: 0o600 });
  return {
    ...commonSettings(options, record, directories, LOG_FILE),
    pid,
    root: record.rootfs,
    leaveRunning: options.leaveRunning,
    tcpSkipInFlight: options.tcpSkipInFlight,
    linkRemap: options.linkRemap,
    pageServer: options.pageServer,
    ...(parentPath === undefined ? {} : { parentImage: parentPath, trackMemory: true }),
    ...(preDump ? { trackMemory: true } : { externalMounts: mountsToDump(pid, spec, bundle, host.layout, cgroupPath) }),
    external: namespacesToDump(spec),
    freezeCgroup: freezerOf(host, cgroupPath),
  };
}

/** The group's directory by which criu stops all processes at once; without one it stops them one by one. */
function freezerOf({ layout }: Host, path: string | null): string | undefined {
  const hierarchy = layout.version === "v2" ? layout.v2 : layout.v1.find(({ controllers }) => controllers.has("freezer"));
  return path === null || !hierarchy ? undefined : hierarchy.mountpoint + path;
}

function checkParent({ imagePath, parentPath }: CheckpointOptions): void {
  if (parentPath === undefined) return;
  try {
    if (statSync(join(imagePath, parentPath)).isDirectory()) return;
  } catch (error) {
    throw new OnggiError("invalid_option", `invalid --parent-path: ${messageOf(error)}`, { cause: error });
  }
  throw new OnggiError("invalid_option", `invalid --parent-path: ${join(imagePath, parentPath)} is no directory`);
}

/** Null: nobody wants to be told. */
function checkedStatusFd(fd: number | undefined): number | null {
  if (fd === undefined) return null;
  let flags: number;
  try {
    flags = fcntl(fd, F.F_GETFL);
  } catch (error) {
    throw new OnggiError("invalid_option", `invalid --status-fd argument ${fd}: ${messageOf(error)}`, { cause: error });
  }
  if ((flags & O.O_ACCMODE) === O.O_RDONLY) {
    throw new OnggiError("invalid_option", `invalid --status-fd argument ${fd}: not writable`);
  }
  return fd;
}

/** Whoever waits for the byte, or for the end, is told once. */
function tellReady(fd: number, warn: (message: string) => void): void {
  try {
    write(fd, new Uint8Array(1));
    close(fd);
  } catch (error) {
    warn(`cannot write to the status descriptor ${fd}: ${messageOf(error)}`);
  }
}
