import { describe, expect, test } from "bun:test";
import { inputOf, lines, mapping, specOf } from "../../test/runtime/plans.ts";

describe("a whole plan", () => {
  test("a read-only root, read-only and masked paths, mounts from the host", () => {
    const spec = specOf(
      {
        maskedPaths: ["/proc/kcore", "/sys/firmware", "/custom"],
        readonlyPaths: ["/proc/sys"],
        rootfsPropagation: "shared",
        sysctl: { "net.ipv4.ip_forward": "1" },
      },
      {
        root: { path: "rootfs", readonly: true },
        mounts: [
          { destination: "/data", source: "/srv/data", options: ["rbind", "rro", "nodev", "rprivate"] },
          { destination: "/etc/hosts", source: "hosts", type: "bind", options: ["bind"] },
          { destination: "/run", type: "tmpfs", source: "tmpfs", options: ["ro", "size=1m"] },
        ],
      },
    );
    expect(lines(inputOf(spec, { bundle: "/bundle", fileSources: new Set(["hosts"]) }))).toMatchInlineSnapshot(`
      "before
        $c = openat2(AT_FDCWD, "/sys/fs/cgroup/c", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, 0)
        $upper = openat2(AT_FDCWD, "/c/upper", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, 0)
        $work = openat2(AT_FDCWD, "/c/work", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, 0)
        $overlay.fs = fsopen("overlay", FSOPEN_CLOEXEC)
        fsconfig fd($overlay.fs, "lowerdir+", $passed0)
        fsconfig fd($overlay.fs, "upperdir", $upper)
        fsconfig fd($overlay.fs, "workdir", $work)
        fsconfig create($overlay.fs)
        $overlay = fsmount($overlay.fs, FSMOUNT_CLOEXEC, 0)
        close($overlay.fs)
        close($upper)
        close($work)
      clone3(CLONE_NEWNS|CLONE_NEWPID|CLONE_INTO_CGROUP, cgroup=$c)
      after
      child
        keyctl("_ses.c") or ENOSYS
        umask(022)
        mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, 0, 0, MS_SLAVE)
        $host-root = openat2(AT_FDCWD, "/", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, 0)
        move_mount($overlay, "", $host-root, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($host-root)
        mkdirat($overlay, "dev", 0755) or EEXIST
        $dev = openat2($overlay, "dev", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
        $dev.tree = open_tree(AT_FDCWD, "/dev", OPEN_TREE_CLONE|AT_RECURSIVE|OPEN_TREE_CLOEXEC)
        move_mount($dev.tree, "", $dev, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($dev)
        close($dev.tree)
        mkdirat($overlay, "data", 0755) or EEXIST
        $data = openat2($overlay, "data", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
        $data.tree = open_tree(AT_FDCWD, "/srv/data", OPEN_TREE_CLONE|AT_RECURSIVE|OPEN_TREE_CLOEXEC)
        mount_setattr($data.tree, "", AT_EMPTY_PATH, MOUNT_ATTR_NODEV, 0, 0)
        mount_setattr($data.tree, "", AT_EMPTY_PATH|AT_RECURSIVE, MOUNT_ATTR_RDONLY, 0, 0)
        mount_setattr($data.tree, "", AT_EMPTY_PATH|AT_RECURSIVE, 0, 0, MS_PRIVATE)
        move_mount($data.tree, "", $data, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($data)
        close($data.tree)
        mkdirat($overlay, "etc", 0755) or EEXIST
        $etc = openat2($overlay, "etc", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
        $hosts = openat2($etc, "hosts", O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0644, RESOLVE_NO_XDEV|RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS|RESOLVE_BENEATH) or EEXIST, ELOOP
        close($hosts)
        $hosts#2 = openat2($overlay, "etc/hosts", O_NOFOLLOW|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
        close($etc)
        $hosts.tree = open_tree(AT_FDCWD, "/bundle/hosts", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)
        move_mount($hosts.tree, "", $hosts#2, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($hosts#2)
        close($hosts.tree)
        mkdirat($overlay, "run", 0755) or EEXIST
        $run = openat2($overlay, "run", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
        $tmpfs.fs = fsopen("tmpfs", FSOPEN_CLOEXEC)
        fsconfig string($tmpfs.fs, "source", "tmpfs")
        fsconfig string($tmpfs.fs, "size", "1m")
        fsconfig create($tmpfs.fs)
        $tmpfs = fsmount($tmpfs.fs, FSMOUNT_CLOEXEC, 0)
        close($tmpfs.fs)
        move_mount($tmpfs, "", $run, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($run)
        mount_setattr($tmpfs, "", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY, 0, 0)
        $proc.fs = fsopen("proc", FSOPEN_CLOEXEC)
        fsconfig create($proc.fs)
        $proc = fsmount($proc.fs, FSMOUNT_CLOEXEC, 0)
        close($proc.fs)
        $ip_forward = openat2($proc, "sys/net/ipv4/ip_forward", O_WRONLY|O_CLOEXEC, 0, RESOLVE_NO_XDEV|RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS|RESOLVE_BENEATH)
        write($ip_forward, "1")
        close($ip_forward)
        close($proc)
        $sys = openat2($overlay, "proc/sys", O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT) or ENOENT, ENOTDIR
        $sys.tree = open_tree($sys, "", OPEN_TREE_CLONE|AT_EMPTY_PATH|AT_RECURSIVE|OPEN_TREE_CLOEXEC)
        mount_setattr($sys.tree, "", AT_EMPTY_PATH|AT_RECURSIVE, MOUNT_ATTR_RDONLY, 0, 0)
        move_mount($sys.tree, "", $sys, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($sys.tree)
        close($sys)
        $tmpfs.fs#2 = fsopen("tmpfs", FSOPEN_CLOEXEC)
        fsconfig string($tmpfs.fs#2, "mode", "755")
        fsconfig string($tmpfs.fs#2, "nr_inodes", "1")
        fsconfig create($tmpfs.fs#2)
        $tmpfs#2 = fsmount($tmpfs.fs#2, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV|MOUNT_ATTR_NOEXEC)
        close($tmpfs.fs#2)
        $kcore = openat2($overlay, "proc/kcore", O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT) or ENOENT, ENOTDIR
        $null.tree = open_tree($kcore, "/dev/null", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)
        move_mount($null.tree, "", $kcore, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($null.tree)
        close($kcore)
        $firmware = openat2($overlay, "sys/firmware", O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT) or ENOENT, ENOTDIR
        $firmware.dir = openat2($firmware, ".", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, 0) or ENOTDIR
        $tmpfs.tree = open_tree($tmpfs#2, "", OPEN_TREE_CLONE|AT_EMPTY_PATH|OPEN_TREE_CLOEXEC)
        move_mount($tmpfs.tree, "", $firmware.dir, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($tmpfs.tree)
        close($firmware.dir)
        close($firmware)
        $custom = openat2($overlay, "custom", O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT) or ENOENT, ENOTDIR
        $null.tree#2 = open_tree($custom, "/dev/null", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)
        move_mount($null.tree#2, "", $custom, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH) or ENOTDIR, EINVAL
        close($null.tree#2)
        $custom.dir = openat2($custom, ".", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, 0) or ENOTDIR
        $tmpfs.tree#2 = open_tree($tmpfs#2, "", OPEN_TREE_CLONE|AT_EMPTY_PATH|OPEN_TREE_CLOEXEC)
        move_mount($tmpfs.tree#2, "", $custom.dir, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($tmpfs.tree#2)
        close($custom.dir)
        close($custom)
        close($tmpfs#2)
        $overlay.dir = openat2($overlay, ".", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
        mount_setattr($overlay, "", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY, 0, 0)
        fchdir($overlay)
        pivot_root(".", ".")
        umount2(".", MNT_DETACH)
        mount_setattr($overlay, "", AT_EMPTY_PATH, 0, 0, MS_SHARED)
        setsid()
        unshare(CLONE_FILES)
        dup3($stdin, 0, 0)
        dup3($stdout, 1, 0)
        dup3($stderr, 2, 0)
        close($peer)
        close_range(3, ~0U, CLOSE_RANGE_CLOEXEC)
        fchdir($overlay.dir)
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

  test("the host's network and pid namespaces beside a user namespace", () => {
    const spec = specOf(
      { namespaces: [{ type: "mount" }, { type: "user" }], uidMappings: mapping, gidMappings: mapping },
      {
        mounts: [
          { destination: "/proc", type: "proc" },
          { destination: "/sys", type: "sysfs", options: ["ro"] },
          { destination: "/vol", source: "/srv/vol", options: ["bind", "idmap"] },
        ],
      },
    );
    expect(lines(inputOf(spec))).toMatchInlineSnapshot(`
      "before
        $c = openat2(AT_FDCWD, "/sys/fs/cgroup/c", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, 0)
      clone3(CLONE_NEWNS|CLONE_NEWUSER|CLONE_INTO_CGROUP, cgroup=$c)
      after
        $child = open /proc/CHILD()
        $uid_map = openat2($child, "uid_map", O_WRONLY|O_CLOEXEC, 0, 0)
        write($uid_map, "0 100000 65536\\n")
        close($uid_map)
        $gid_map = openat2($child, "gid_map", O_WRONLY|O_CLOEXEC, 0, 0)
        write($gid_map, "0 100000 65536\\n")
        close($gid_map)
        $user = openat2($child, "ns/user", O_RDONLY|O_CLOEXEC, 0, 0)
        fchownat($stdout, "", 100000, -1, AT_EMPTY_PATH) or EPERM, EINVAL, EROFS
        fchownat($stderr, "", 100000, -1, AT_EMPTY_PATH) or EPERM, EINVAL, EROFS
        $passed0.tree = open_tree($passed0, "", OPEN_TREE_CLONE|AT_EMPTY_PATH|OPEN_TREE_CLOEXEC)
        mount_setattr idmap($passed0.tree, AT_EMPTY_PATH, $user)
        $upper = openat2(AT_FDCWD, "/c/upper", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, 0)
        $work = openat2(AT_FDCWD, "/c/work", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, 0)
        $overlay.fs = fsopen("overlay", FSOPEN_CLOEXEC)
        fsconfig fd($overlay.fs, "lowerdir+", $passed0.tree)
        fsconfig fd($overlay.fs, "upperdir", $upper)
        fsconfig fd($overlay.fs, "workdir", $work)
        fsconfig create($overlay.fs)
        $overlay = fsmount($overlay.fs, FSMOUNT_CLOEXEC, 0)
        close($overlay.fs)
        close($upper)
        close($work)
        close($passed0.tree)
        $dev.tree = open_tree(AT_FDCWD, "/dev", OPEN_TREE_CLONE|AT_RECURSIVE|OPEN_TREE_CLOEXEC)
        mount_setattr($dev.tree, "", AT_EMPTY_PATH|AT_RECURSIVE, 0, 0, MS_SLAVE)
        $proc.fs = fsopen("proc", FSOPEN_CLOEXEC)
        fsconfig create($proc.fs)
        $proc = fsmount($proc.fs, FSMOUNT_CLOEXEC, 0)
        close($proc.fs)
        $sysfs.fs = fsopen("sysfs", FSOPEN_CLOEXEC)
        fsconfig create($sysfs.fs)
        $sysfs = fsmount($sysfs.fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY)
        close($sysfs.fs)
        $vol.tree = open_tree(AT_FDCWD, "/srv/vol", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)
        mount_setattr idmap($vol.tree, AT_EMPTY_PATH, $user)
        mount_setattr($vol.tree, "", AT_EMPTY_PATH|AT_RECURSIVE, 0, 0, MS_SLAVE)
        release()
      child
        await()
        setgroups([])
        setresgid(0, 0, 0)
        setresuid(0, 0, 0)
        keyctl("_ses.c") or ENOSYS
        umask(022)
        mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, 0, 0, MS_SLAVE)
        $host-root = openat2(AT_FDCWD, "/", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, 0)
        move_mount($overlay, "", $host-root, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($host-root)
        mkdirat($overlay, "dev", 0755) or EEXIST
        $dev = openat2($overlay, "dev", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
        move_mount($dev.tree, "", $dev, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($dev)
        close($dev.tree)
        mkdirat($overlay, "sys", 0755) or EEXIST
        $sys = openat2($overlay, "sys", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS|RESOLVE_IN_ROOT)
        move_mount($sysfs, "", $sys, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($sys)
        close($sysfs)
        mkdirat($overlay, "vol", 0755) or EEXIST
        $vol = openat2($overlay, "vol", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
        move_mount($vol.tree, "", $vol, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($vol)
        close($vol.tree)
        mkdirat($overlay, "proc", 0755) or EEXIST
        $proc#2 = openat2($overlay, "proc", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS|RESOLVE_IN_ROOT)
        move_mount($proc, "", $proc#2, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($proc#2)
        $overlay.dir = openat2($overlay, ".", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
        fchdir($overlay)
        pivot_root(".", ".")
        umount2(".", MNT_DETACH)
        setsid()
        unshare(CLONE_FILES)
        dup3($stdin, 0, 0)
        dup3($stdout, 1, 0)
        dup3($stderr, 2, 0)
        close($peer)
        close_range(3, ~0U, CLOSE_RANGE_CLOEXEC)
        fchdir($overlay.dir)
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
