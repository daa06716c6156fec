import { chmodSync, chownSync, renameSync, unlinkSync } from "node:fs";
import { shortSocketPath, systemCode } from "./socket-path.ts";

/** Removes what lies at `path`; nothing lying there is no error. */
export function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
  }
}

/** Of a socket that listens. */
export interface ListenOptions {
  /** The group that the socket belongs to. */
  readonly gid?: number;
  /** Told its descriptor. */
  readonly bound?: (fd: number) => void;
}

/**
 * Has `listen` bind a unix socket that then lies at `path` with these permissions (and that group), in place of whatever lies there. The path is
 * never missing while it is replaced, and nobody can connect before the permissions are right. Throws what bind(2) says.
 */
export async function listenAt<T>(
  path: string,
  mode: number,
  listen: (path: string) => T & { readonly fd?: number },
  { gid, bound }: ListenOptions = {},
): Promise<T> {
  const byName = await shortSocketPath(`${path}.new`);
  const umask = process.umask(0o177);
  try {
    unlinkIfThere(byName.path);
    const listener = listen(byName.path);
    if (listener.fd !== undefined) bound?.(listener.fd);
    if (gid !== undefined) chownSync(byName.path, process.geteuid?.() ?? 0, gid);
    chmodSync(byName.path, mode);
    renameSync(`${path}.new`, path);
    return listener;
  } finally {
    process.umask(umask);
    byName.release();
  }
}
