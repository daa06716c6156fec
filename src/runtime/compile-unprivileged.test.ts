/** Plans of a user without root's privileges: everything is the child's part. */
import { describe, expect, test } from "bun:test";
import { facts, inputOf, lines, process, specOf } from "../../test/runtime/plans.ts";
import type { Spec } from "../oci/spec.ts";
import type { CreateInput } from "./compile.ts";

const one = [{ containerID: 0, hostID: 1000, size: 1 }];
const range = [...one, { containerID: 1, hostID: 100_000, size: 65_536 }];
const nobody = { cloneInto: null, tasks: [], oom: null };
const userns = { uidMappings: one, gidMappings: one };
const namespaces = (...types: ("pid" | "network" | "cgroup")[]) =>
  (["mount", "user", ...types] as const).map((type) => ({ type }));

const input = (spec: Spec, rest: Partial<CreateInput> = {}): CreateInput =>
  inputOf(spec, {
    root: { kind: "directory", path: "/rootfs" },
    facts: { ...facts, unprivileged: true },
    cgroup: nobody,
    ...rest,
  });

test("a single id: setgroups is given up, devices are the host's, /sys is bound, no cgroups are shown", () => {
  const spec: Spec = {
    ...specOf({ ...userns, namespaces: namespaces("pid"), devices: [{ type: "c", path: "/dev/fuse", major: 10, minor: 229 }] }),
    mounts: [
      { destination: "/proc", type: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
      { destination: "/sys", type: "sysfs", options: ["ro", "nosuid"] },
      { destination: "/sys/fs/cgroup", type: "cgroup", options: ["ro"] },
      { destination: "/data", source: "/home/user/data", options: ["rbind", "ro"] },
    ],
  };
  expect(lines(input(spec))).toMatchInlineSnapshot(`
    "before
      prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    clone3(CLONE_NEWNS|CLONE_NEWUSER|CLONE_NEWPID)
    after
      $child = open /proc/CHILD()
      prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
      $setgroups = openat2($child, "setgroups", O_WRONLY|O_CLOEXEC, 0, 0)
      write($setgroups, "deny")
      close($setgroups)
      $uid_map = openat2($child, "uid_map", O_WRONLY|O_CLOEXEC, 0, 0)
      write($uid_map, "0 1000 1\\n")
      close($uid_map)
      $gid_map = openat2($child, "gid_map", O_WRONLY|O_CLOEXEC, 0, 0)
      write($gid_map, "0 1000 1\\n")
      close($gid_map)
      release()
    child
      await()
      prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
      setresgid(0, 0, 0)
      setresuid(0, 0, 0)
      $rootfs.tree = open_tree(AT_FDCWD, "/rootfs", OPEN_TREE_CLONE|AT_RECURSIVE|OPEN_TREE_CLOEXEC)
      mount_setattr($rootfs.tree, "", AT_EMPTY_PATH|AT_RECURSIVE, 0, 0, MS_SLAVE)
      keyctl("_ses.c") or ENOSYS
      umask(022)
      mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, 0, 0, MS_SLAVE)
      $host-root = openat2(AT_FDCWD, "/", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, 0)
      move_mount($rootfs.tree, "", $host-root, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
      close($host-root)
      mkdirat($rootfs.tree, "dev", 0755) or EEXIST
      $dev = openat2($rootfs.tree, "dev", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
      $tmpfs.fs = fsopen("tmpfs", FSOPEN_CLOEXEC)
      fsconfig string($tmpfs.fs, "source", "tmpfs")
      fsconfig string($tmpfs.fs, "mode", "755")
      fsconfig create($tmpfs.fs)
      $tmpfs = fsmount($tmpfs.fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID)
      close($tmpfs.fs)
      move_mount($tmpfs, "", $dev, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
      close($dev)
      umask(0)
      mknodat($tmpfs, "null", S_IFREG|0600, makedev(0, 0)) or EEXIST
      $null = openat2($tmpfs, "null", O_NOFOLLOW|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_XDEV|RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS|RESOLVE_BENEATH)
      $null.tree = open_tree(AT_FDCWD, "/dev/null", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)
      move_mount($null.tree, "", $null, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
      close($null)
      close($null.tree)
      mknodat($tmpfs, "zero", S_IFREG|0600, makedev(0, 0)) or EEXIST
      $zero = openat2($tmpfs, "zero", O_NOFOLLOW|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_XDEV|RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS|RESOLVE_BENEATH)
      $zero.tree = open_tree(AT_FDCWD, "/dev/zero", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)
      move_mount($zero.tree, "", $zero, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
      close($zero)
      close($zero.tree)
      mknodat($tmpfs, "full", S_IFREG|0600, makedev(0, 0)) or EEXIST
      $full = openat2($tmpfs, "full", O_NOFOLLOW|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_XDEV|RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS|RESOLVE_BENEATH)
      $full.tree = open_tree(AT_FDCWD, "/dev/full", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)
      move_mount($full.tree, "", $full, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
      close($full)
      close($full.tree)
      mknodat($tmpfs, "random", S_IFREG|0600, makedev(0, 0)) or EEXIST
      $random = openat2($tmpfs, "random", O_NOFOLLOW|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_XDEV|RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS|RESOLVE_BENEATH)
      $random.tree = open_tree(AT_FDCWD, "/dev/random", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)
      move_mount($random.tree, "", $random, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
      close($random)
      close($random.tree)
      mknodat($tmpfs, "urandom", S_IFREG|0600, makedev(0, 0)) or EEXIST
      $urandom = openat2($tmpfs, "urandom", O_NOFOLLOW|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_XDEV|RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS|RESOLVE_BENEATH)
      $urandom.tree = open_tree(AT_FDCWD, "/dev/urandom", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)
      move_mount($urandom.tree, "", $urandom, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
      close($urandom)
      close($urandom.tree)
      mknodat($tmpfs, "tty", S_IFREG|0600, makedev(0, 0)) or EEXIST
      $tty = openat2($tmpfs, "tty", O_NOFOLLOW|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_XDEV|RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS|RESOLVE_BENEATH)
      $tty.tree = open_tree(AT_FDCWD, "/dev/tty", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)
      move_mount($tty.tree, "", $tty, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
      close($tty)
      close($tty.tree)
      mknodat($tmpfs, "fuse", S_IFREG|0600, makedev(0, 0)) or EEXIST
      $fuse = openat2($tmpfs, "fuse", O_NOFOLLOW|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_XDEV|RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS|RESOLVE_BENEATH)
      $fuse.tree = open_tree(AT_FDCWD, "/dev/fuse", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)
      move_mount($fuse.tree, "", $fuse, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
      close($fuse)
      close($fuse.tree)
      symlinkat("/proc/self/fd", $tmpfs, "fd")
      symlinkat("/proc/self/fd/0", $tmpfs, "stdin")
      symlinkat("/proc/self/fd/1", $tmpfs, "stdout")
      symlinkat("/proc/self/fd/2", $tmpfs, "stderr")
      symlinkat("/proc/kcore", $tmpfs, "core")
      symlinkat("pts/ptmx", $tmpfs, "ptmx")
      umask(022)
      mkdirat($rootfs.tree, "sys", 0755) or EEXIST
      $sys = openat2($rootfs.tree, "sys", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
      $sys.tree = open_tree(AT_FDCWD, "/sys", OPEN_TREE_CLONE|AT_RECURSIVE|OPEN_TREE_CLOEXEC)
      mount_setattr($sys.tree, "", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOSUID, 0, 0)
      mount_setattr($sys.tree, "", AT_EMPTY_PATH|AT_RECURSIVE, 0, 0, MS_SLAVE)
      move_mount($sys.tree, "", $sys, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
      close($sys)
      close($sys.tree)
      mkdirat($rootfs.tree, "data", 0755) or EEXIST
      $data = openat2($rootfs.tree, "data", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
      $data.tree = open_tree(AT_FDCWD, "/home/user/data", OPEN_TREE_CLONE|AT_RECURSIVE|OPEN_TREE_CLOEXEC)
      mount_setattr($data.tree, "", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY, 0, 0)
      mount_setattr($data.tree, "", AT_EMPTY_PATH|AT_RECURSIVE, 0, 0, MS_SLAVE)
      move_mount($data.tree, "", $data, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
      close($data)
      close($data.tree)
      mkdirat($rootfs.tree, "proc", 0755) or EEXIST
      $proc = openat2($rootfs.tree, "proc", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS|RESOLVE_IN_ROOT)
      $proc.fs = fsopen("proc", FSOPEN_CLOEXEC)
      fsconfig create($proc.fs)
      $proc#2 = fsmount($proc.fs, FSMOUNT_CLOEXEC, 0)
      close($proc.fs)
      move_mount($proc#2, "", $proc, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
      close($proc)
      $rootfs.tree.dir = openat2($rootfs.tree, ".", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
      fchdir($rootfs.tree)
      pivot_root(".", ".")
      umount2(".", MNT_DETACH)
      setsid()
      unshare(CLONE_FILES)
      dup3($stdin, 0, 0)
      dup3($stdout, 1, 0)
      dup3($stderr, 2, 0)
      close($peer)
      close_range(3, ~0U, CLOSE_RANGE_CLOEXEC)
      fchdir($rootfs.tree.dir)
      prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)
      prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
      setresgid(0, 0, 0)
      setresuid(0, 0, 0)
      prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0)
      capset(CAP_CHOWN, CAP_CHOWN, none)
      prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
      umask(022)
      notify(created)
      await()
      execve("/bin/app", ["/bin/app","-v"], {1 variables})"
  `);
});

test("more ids, mapped by the caller: groups can be set", () => {
  const spec = specOf(
    { uidMappings: range, gidMappings: range, namespaces: namespaces("network") },
    { process: { ...process, user: { uid: 5, gid: 5, additionalGids: [7] } } },
  );
  const text = lines(input(spec, { idMapsBy: "caller" }));
  expect(text).not.toContain("uid_map");
  expect(text).not.toContain('"setgroups"');
  expect(text).toContain("setgroups([])");
  expect(text).toContain("setgroups([7])");
  expect(text).toContain("release()");
});

describe("what takes privileges is refused", () => {
  const mounts = [{ destination: "/a", source: "/a", options: ["bind", "idmap"] }];
  const cases: [string, Spec, string, Partial<CreateInput>?][] = [
    ["no user namespace", specOf({}), "linux.namespaces: without root's privileges a container needs a user namespace"],
    [
      "groups beside the own one",
      specOf({ ...userns, namespaces: namespaces() }, { process: { ...process, user: { uid: 0, gid: 0, additionalGids: [0] } } }),
      "process.user.additionalGids: without privileges a user namespace that maps only the own group has no others",
    ],
    [
      "an id-mapped mount",
      specOf({ ...userns, namespaces: namespaces() }, { mounts }),
      "mounts[1]: /a is to be id-mapped, but that takes root's privileges",
    ],
    [
      "layers",
      specOf({ ...userns, namespaces: namespaces() }),
      "an overlay of layers takes root's privileges; give a directory as the root",
      { root: { kind: "overlay", lower: { passed: 0 }, upper: "/u", work: "/w", mountpoint: "/m" } },
    ],
  ];
  test.each(cases)("%s", (_, spec, message, rest = {}) => {
    expect(() => lines(input(spec, rest))).toThrow(message);
  });
});
