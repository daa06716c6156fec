/**
 * Network namespaces by path, as plugins want them: a bind mount of the namespace, at a path that is the same from ADD to DEL and can
 * never be that of another, as /proc/PID/ns/net can when a container ends early and its number is given again.
 */
import { closeSync, mkdirSync, openSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { AT, isErrno, isMountRoot, MNT, MS, mount, umount } from "../../sys/index.ts";

export class NamespacePins {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  path(container: string): string {
    return join(this.#directory, container);
  }

  /** `netns` is a descriptor, the caller's. */
  pin(container: string, netns: number): string {
    const path = this.path(container);
    this.unpin(container);
    closeSync(openSync(path, "wx", 0o600));
    mount(`/proc/self/fd/${netns}`, path, null, MS.MS_BIND);
    return path;
  }

  /** Idempotent. */
  unpin(container: string): void {
    const path = this.path(container);
    try {
      umount(path, MNT.MNT_DETACH | MNT.UMOUNT_NOFOLLOW);
    } catch (error) {
      if (!isErrno(error, "EINVAL", "ENOENT")) throw error;
    }
    rmSync(path, { force: true });
  }

  isPinned(container: string): boolean {
    return isMountRoot(AT.AT_FDCWD, this.path(container));
  }

  all(): string[] {
    return readdirSync(this.#directory);
  }
}
