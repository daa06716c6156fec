/**
 * Hands a v2 group to another user, who may then make groups below it and move its own processes among them: the container's
 * root, where a user namespace has a cgroup namespace with a tree it may write.
 * Source: Linux Documentation/admin-guide/cgroup-v2.rst, "Delegation"; /sys/kernel/cgroup/delegate names the files.
 */
import { AT, fchownat, isErrno } from "../../sys/index.ts";
import { tryReadText } from "./files.ts";

/** What kernels before 4.15 do not tell. */
const LEAST = "cgroup.procs\ncgroup.threads\ncgroup.subtree_control\n";

/** Gives directory and files to `uid`; the group id stays. A file this kernel does not have is passed over. Throws SysError. */
export function delegateTo(directory: string, uid: number, root = ""): void {
  const chown = (path: string): void => fchownat(AT.AT_FDCWD, path, uid, -1, AT.AT_SYMLINK_NOFOLLOW);
  chown(directory);
  for (const name of (tryReadText(`${root}/sys/kernel/cgroup/delegate`) ?? LEAST).split("\n")) {
    if (name === "" || name.includes("/")) continue;
    try {
      chown(`${directory}/${name}`);
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
    }
  }
}
