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

/** A path, in place of what lies there, with permissions as in chmod(2) and a group. */
export interface UnixPath {
  readonly path: string;
  readonly mode: number;
  readonly gid?: number;
}

/** Where a unix socket listens: at a path, or as somebody has opened it, who also takes it away. */
export type UnixPlace = UnixPath | { readonly fd: number };

/** Told the descriptor of a socket that listens. */
export type Bound = (fd: number) => void;

/** Listens there; `close` ends that, and takes away what was put at the path. Throws what bind(2) says. */
export async function listenOn<D>(
  place: UnixPlace,
  options: Omit<Bun.UnixSocketOptions<D>, "unix">,
  bound?: Bound,
): Promise<{ close(): void }> {
  if ("fd" in place) {
    // Bun has it, and its types not yet
    const listener = Bun.listen<D>({ ...options, fd: place.fd } as never);
    bound?.(place.fd);
    return { close: () => listener.stop() };
  }
  const listener = await listenAt(place, (unix) => Bun.listen<D>({ ...options, unix }), bound);
  return {
    close() {
      listener.stop();
      unlinkIfThere(place.path);
    },
  };
}

/**
 * Has `listen` bind a unix socket that then lies at the path with these permissions (and that group), in place of whatever lies there.
 * The path is never missing while it is replaced, and nobody can connect before the permissions are right. Throws what bind(2) says.
 */
async function listenAt<T>(
  { path, mode, gid }: UnixPath,
  listen: (path: string) => T & { readonly fd?: number },
  bound?: Bound,
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
