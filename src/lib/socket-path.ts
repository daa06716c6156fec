/** Longest path of a unix socket that fits sun_path, its terminating zero not counted (unix(7)). */
const MAX_SUN_PATH = 107;

/**
 * A name of `path` that fits sun_path: the path itself, or one through a descriptor of its directory. `release` closes that
 * descriptor; call it once bound or connected. Throws ENOENT when the directory is missing.
 */
export async function shortSocketPath(path: string): Promise<{ path: string; release: () => void }> {
  if (Buffer.byteLength(path) <= MAX_SUN_PATH) return { path, release: () => {} };
  // loaded only here: the usual path must not pay for it
  const { closeSync, constants, openSync } = await import("node:fs");
  const slash = path.lastIndexOf("/");
  const fd = openSync(path.slice(0, slash + 1) || ".", constants.O_RDONLY | constants.O_DIRECTORY);
  return { path: `/proc/self/fd/${fd}/${path.slice(slash + 1)}`, release: () => closeSync(fd) };
}

/** Code of what a failed connect or bind throws. */
export const systemCode = (error: unknown): string => (error as { code?: string } | undefined)?.code ?? "";
