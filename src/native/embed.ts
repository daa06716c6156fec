/**
 * The shim's executable. The compiled `onggi` carries it; it is unpacked below the run directory under the name of its digest,
 * so that engines of different versions side by side, and shims that outlive their engine, never touch each other's.
 */
import { createHash } from "node:crypto";
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import embedded from "../../build/onggi-shim" with { type: "file" };
import { messageOf, OnggiError } from "../lib/errors.ts";

const digestOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

function bytesOf(path: string): Uint8Array | null {
  try {
    return readFileSync(path);
  } catch {
    return null;
  }
}

function syncDirectory(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Beside, synced, renamed: whoever finds the name finds the whole file. */
function writeWhole(path: string, bytes: Uint8Array): void {
  const beside = `${path}.${process.pid}`;
  const fd = openSync(beside, "wx", 0o700);
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
    fchmodSync(fd, 0o755);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(beside, path);
  syncDirectory(dirname(path));
}

/**
 * The path of an executable shim: `ONGGI_SHIM` if it is set (tests), otherwise `<run>/shim/<sha256>/onggi-shim`, written if it
 * is not there and verified by its digest if it is. Idempotent, and safe beside another engine that does the same.
 * @throws OnggiError `shim_missing` when there is no shim to unpack; what the file system throws for `run`
 */
export function unpackShim(run: string): string {
  const chosen = process.env.ONGGI_SHIM;
  if (chosen) return chosen;
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(embedded);
  } catch (error) {
    throw new OnggiError(
      "shim_missing",
      `this build of onggi carries no shim (${embedded}): ${messageOf(error)}; build it with make`,
    );
  }
  const digest = digestOf(bytes);
  const path = join(run, "shim", digest, "onggi-shim");
  const there = bytesOf(path);
  if (there && digestOf(there) === digest && (statSync(path).mode & 0o777) === 0o755) return path;
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  rmSync(`${path}.${process.pid}`, { force: true });
  writeWhole(path, bytes);
  return path;
}
