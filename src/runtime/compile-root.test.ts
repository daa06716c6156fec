import { describe, expect, test } from "bun:test";
import { facts, inputOf, lines, specOf } from "../../test/runtime/plans.ts";

describe("a whole plan", () => {
  test("a kernel whose overlayfs takes no descriptors", () => {
    const root = {
      kind: "overlay",
      lower: { paths: ["/l/b:1", "/l/a"] },
      upper: "/c/u,1",
      work: "/c/work",
      mountpoint: "/c/root",
    } as const;
    const old = { ...facts, overlayFds: false, cloneDetached: false };
    expect(lines(inputOf(specOf({ maskedPaths: ["/proc/acpi", "/proc/scsi"] }), { root, facts: old }))).toMatchInlineSnapshot(`
      "before
        $c = openat2(AT_FDCWD, "/sys/fs/cgroup/c", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, 0)
      clone3(CLONE_NEWNS|CLONE_NEWPID|CLONE_INTO_CGROUP, cgroup=$c)
      after
      child
        keyctl("_ses.c") or ENOSYS
        umask(022)
        mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, 0, 0, MS_SLAVE)
        mount("overlay", "/c/root", "overlay", 0, "lowerdir=/l/b\\\\:1:/l/a,upperdir=/c/u\\\\,1,workdir=/c/work")
        $root = openat2(AT_FDCWD, "/c/root", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, 0)
        mkdirat($root, "dev", 0755) or EEXIST
        $dev = openat2($root, "dev", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
        fstatfs($dev, 40864)
        $dev.tree = open_tree(AT_FDCWD, "/dev", OPEN_TREE_CLONE|AT_RECURSIVE|OPEN_TREE_CLOEXEC)
        mount_setattr($dev.tree, "", AT_EMPTY_PATH|AT_RECURSIVE, 0, 0, MS_SLAVE)
        move_mount($dev.tree, "", $dev, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($dev)
        close($dev.tree)
        $tmpfs.fs = fsopen("tmpfs", FSOPEN_CLOEXEC)
        fsconfig string($tmpfs.fs, "mode", "755")
        fsconfig string($tmpfs.fs, "nr_inodes", "1")
        fsconfig create($tmpfs.fs)
        $tmpfs = fsmount($tmpfs.fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV|MOUNT_ATTR_NOEXEC)
        close($tmpfs.fs)
        $acpi = openat2($root, "proc/acpi", O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT) or ENOENT, ENOTDIR
        $acpi.dir = openat2($acpi, ".", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, 0) or ENOTDIR
        $tmpfs.fs#2 = fsopen("tmpfs", FSOPEN_CLOEXEC)
        fsconfig string($tmpfs.fs#2, "mode", "755")
        fsconfig string($tmpfs.fs#2, "nr_inodes", "1")
        fsconfig create($tmpfs.fs#2)
        $tmpfs#2 = fsmount($tmpfs.fs#2, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV|MOUNT_ATTR_NOEXEC)
        close($tmpfs.fs#2)
        move_mount($tmpfs#2, "", $acpi.dir, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($tmpfs#2)
        close($acpi.dir)
        close($acpi)
        $scsi = openat2($root, "proc/scsi", O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT) or ENOENT, ENOTDIR
        $scsi.dir = openat2($scsi, ".", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, 0) or ENOTDIR
        $tmpfs.fs#3 = fsopen("tmpfs", FSOPEN_CLOEXEC)
        fsconfig string($tmpfs.fs#3, "mode", "755")
        fsconfig string($tmpfs.fs#3, "nr_inodes", "1")
        fsconfig create($tmpfs.fs#3)
        $tmpfs#3 = fsmount($tmpfs.fs#3, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV|MOUNT_ATTR_NOEXEC)
        close($tmpfs.fs#3)
        move_mount($tmpfs#3, "", $scsi.dir, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($tmpfs#3)
        close($scsi.dir)
        close($scsi)
        close($tmpfs)
        $root.dir = openat2($root, ".", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
        fchdir($root)
        pivot_root(".", ".")
        umount2(".", MNT_DETACH)
        setsid()
        unshare(CLONE_FILES)
        dup3($stdin, 0, 0)
        dup3($stdout, 1, 0)
        dup3($stderr, 2, 0)
        close($peer)
        close_range(3, ~0U, CLOSE_RANGE_CLOEXEC)
        fchdir($root.dir)
        prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)
        prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
        setgroups([])
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
});
