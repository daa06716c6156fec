/**
 * Compresses the files that rotation has renamed, in their place: the shim goes on renaming them by their names. While one is replaced
 * the shim is told not to rotate, so that no name moves in between.
 */
import { closeSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";
import { gzip as gzipCallback } from "node:zlib";
import type { Shim } from "../native/shim.ts";
import type { Container } from "./container.ts";
import type { Context } from "./context.ts";
import { containerPaths } from "./layout.ts";
import { identityOf, isGzip, logFiles, rememberOriginal } from "./log-files.ts";

const gzip = promisify(gzipCallback);

/** How often a container's log is looked at, in milliseconds. */
const EVERY_MS = 2000;

const identityAt = (path: string): string | undefined => {
  try {
    return identityOf(path);
  } catch {
    return undefined;
  }
};

/** The content and identity of a file that is not compressed yet. */
function plain(path: string): { bytes: Buffer; identity: string } | undefined {
  const fd = openSync(path, "r");
  try {
    return isGzip(fd) ? undefined : { bytes: readFileSync(fd), identity: identityOf(fd) };
  } finally {
    closeSync(fd);
  }
}

/** Compresses what has been rotated. `still` runs a task while nothing is renamed. */
export async function compressRotated(path: string, still: (task: () => void) => Promise<void>): Promise<void> {
  for (const file of logFiles(path)) {
    if (file === path) continue;
    const found = plain(file);
    if (!found) continue;
    const packed = `${path}.packed`;
    writeFileSync(packed, await gzip(found.bytes), { mode: 0o640 });
    await still(() => {
      // it may have another name meanwhile, or be gone
      const name = logFiles(path).find((one) => one !== path && identityAt(one) === found.identity);
      if (name === undefined) return rmSync(packed, { force: true });
      renameSync(packed, name);
      rememberOriginal(name, found.identity);
    });
  }
}

/** Begins, or goes on, to compress the log of a container that runs, if it is to be. An engine that died may have left the shim still. */
export function watchRotation(context: Context, { record }: Container, shim: Shim): void {
  const { log } = record.request;
  if (log?.options?.compress !== "true") return;
  shim.updateLogs(log.maxSize, log.maxFiles);
  context.packs.after(record.id, EVERY_MS);
}

export async function compressLog(context: Context, container: Container): Promise<void> {
  const { record, shim } = container;
  const { log } = record.request;
  if (!shim || !log || context.closing) return;
  const still = async (task: () => void): Promise<void> => {
    shim.updateLogs(0, log.maxFiles);
    try {
      await shim.status(); // the shim takes one after the other
      task();
    } finally {
      shim.updateLogs(log.maxSize, log.maxFiles);
    }
  };
  try {
    await compressRotated(containerPaths(context.layout, record.id, record.logFile).log, still);
  } finally {
    if (container.shim === shim) context.packs.after(record.id, EVERY_MS);
  }
}
