/**
 * `restore`: a container is made anew of the files that a checkpoint has saved. The bundle describes it, as for `create`; the
 * processes are criu's to make.
 */
import { readFileSync } from "node:fs";
import { messageOf, OnggiError } from "../lib/errors.ts";
import type { OneShot } from "../native/oneshot.ts";
import { close } from "../sys/file.ts";
import { Container } from "./container.ts";
import { explained } from "./criu/log.ts";
import { namespacesToRestore } from "./criu/namespaces.ts";
import { checkVersion, findCriu } from "./criu/program.ts";
import { type RestorationInput, restoreProcesses } from "./criu/restoration.ts";
import { logPath, STREAMS_FILE } from "./criu/settings.ts";
import { ContainerDirectory, type ContainerRecord } from "./directory.ts";
import { handOver } from "./hand-over.ts";
import type { Host } from "./host.ts";
import { newRecord } from "./record.ts";
import { stayWith } from "./run.ts";
import { ignoreSignals } from "./signals.ts";
import { copySize } from "./terminal.ts";
import type { RestoreOptions } from "./types.ts";

const LOG_FILE = "restore.log";

/** The program's exit code; 0 with `detach`. When it throws, everything that was made is gone. */
export async function restoreContainer(
  host: Host,
  front: OneShot,
  options: RestoreOptions,
  warn: (message: string) => void,
): Promise<number> {
  if (process.geteuid?.() !== 0) warn("restore is untested with rootless containers");
  const { record, cgroup } = newRecord(host, options, !!options.detach);
  const criu = findCriu();
  await checkVersion(criu);
  const streams = savedStreams(options.imagePath);
  const namespaces = namespacesToRestore(record.spec);
  try {
    const directory = ContainerDirectory.make(host.root, record.id);
    try {
      const input = { host, front, options, record, cgroup, directory, criu, streams, namespaces, logFile: LOG_FILE };
      return await makeAndRun(input, warn);
    } finally {
      directory.close();
    }
  } finally {
    for (const { fd } of namespaces.inherited) close(fd);
  }
}

/** What the first process had as standard streams. Throws OnggiError `checkpoint_missing`. */
function savedStreams(imagePath: string): string[] {
  const path = `${imagePath}/${STREAMS_FILE}`;
  let streams: unknown;
  try {
    streams = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    const message = `no checkpoint of a container in ${imagePath}: ${messageOf(error)}`;
    throw new OnggiError("checkpoint_missing", message, { cause: error });
  }
  if (Array.isArray(streams) && streams.every((stream) => typeof stream === "string")) return streams;
  throw new OnggiError("checkpoint_missing", `no checkpoint of a container in ${imagePath}: ${path} is no list of names`);
}

async function makeAndRun(input: RestorationInput, warn: (message: string) => void): Promise<number> {
  const { host, front, options, directory } = input;
  if (!options.detach) ignoreSignals();
  const { record, master } = await make(input);
  try {
    if (options.detach) return 0;
    return await stayWith(front, new Container(host, directory, record), master, options, warn);
  } finally {
    if (master !== null) close(master);
  }
}

/** When it throws, everything that was made is gone. `master`: the terminal's, if it stays here. */
async function make(input: RestorationInput): Promise<{ record: ContainerRecord; master: number | null }> {
  const { front, options, directory, cgroup } = input;
  try {
    const { init, master, record } = await restoreProcesses(input);
    const kept = handOver(options, { pid: init.pid, master });
    if (kept !== null) copySize(kept);
    if (options.detach) front.leave();
    else front.wait({ subreaper: !options.noSubreaper, terminal: kept !== null });
    return { record, master: kept };
  } catch (error) {
    if (cgroup) await cgroup.manager.remove(cgroup.path).catch(() => {}); // what led here is the better thing to tell
    directory.remove();
    throw explained(error, logPath(options, LOG_FILE));
  }
}
