import { chmodSync, renameSync, unlinkSync } from "node:fs";
import { shortSocketPath, systemCode } from "./socket-path.ts";

/** Removes what lies at `path`; nothing lying there is no error. */
export function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
  }
}

/**
 * Has `listen` bind a unix socket that then lies at `path` with these permissions, in place of whatever lies there. The path is
 * never missing while it is replaced, and nobody can connect before the permissions are right. `bound` is told the socket's
 * descriptor. Throws what bind(2) says.
 */
export async function listenAt<T>(
  path: string,
  mode: number,
  bound: ((fd: number) => void) | undefined,
  listen: (path: string) => T & { readonly fd?: number },
): Promise<T> {
  const byName = await shortSocketPath(`${path}.new`);
  const umask = process.umask(0o177);
  try {
    unlinkIfThere(byName.path);
    const listener = listen(byName.path);
    if (listener.fd !== undefined) bound?.(listener.fd);
    chmodSync(byName.path, mode);
    renameSync(`${path}.new`, path);
    return listener;
  } finally {
    process.umask(umask);
    byName.release();
  }
}
