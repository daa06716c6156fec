import { describe, expect, test } from "bun:test";
import { inputOf, lines, process, specOf } from "../../test/runtime/plans.ts";
import type { Process } from "../oci/spec.ts";

describe("a whole plan", () => {
  test("a terminal, in a /dev of its own, without new privileges", () => {
    const terminal: Process = {
      ...process,
      terminal: true,
      consoleSize: { height: 24, width: 80 },
      noNewPrivileges: true,
      args: ["app"],
      env: ["PATH=/bin:/sbin"],
    };
    const mounts = [
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
      { destination: "/dev/pts", type: "devpts", options: ["gid=5"] },
    ];
    const spec = specOf(
      { devices: [{ type: "b", path: "/dev/sub/disk", major: 259, minor: 300, fileMode: 0o660, gid: 6 }] },
      { process: terminal, mounts },
    );
    const seccompProgram = { program: new Uint8Array(8), flags: 0 };
    expect(lines(inputOf(spec, { seccompProgram }))).toMatchInlineSnapshot(`
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
        mount_setattr($dev.tree, "", AT_EMPTY_PATH|AT_RECURSIVE, 0, 0, MS_SLAVE)
        move_mount($dev.tree, "", $dev, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($dev)
        close($dev.tree)
        mkdirat($overlay, "dev", 0755) or EEXIST
        $dev#2 = openat2($overlay, "dev", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
        $tmpfs.fs = fsopen("tmpfs", FSOPEN_CLOEXEC)
        fsconfig string($tmpfs.fs, "source", "tmpfs")
        fsconfig string($tmpfs.fs, "mode", "755")
        fsconfig create($tmpfs.fs)
        $tmpfs = fsmount($tmpfs.fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID)
        close($tmpfs.fs)
        move_mount($tmpfs, "", $dev#2, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($dev#2)
        umask(0)
        mknodat($tmpfs, "null", S_IFCHR|0666, makedev(1, 3))
        mknodat($tmpfs, "zero", S_IFCHR|0666, makedev(1, 5))
        mknodat($tmpfs, "full", S_IFCHR|0666, makedev(1, 7))
        mknodat($tmpfs, "random", S_IFCHR|0666, makedev(1, 8))
        mknodat($tmpfs, "urandom", S_IFCHR|0666, makedev(1, 9))
        mknodat($tmpfs, "tty", S_IFCHR|0666, makedev(5, 0))
        mkdirat($tmpfs, "sub", 0755) or EEXIST
        mknodat($tmpfs, "sub/disk", S_IFBLK|0660, makedev(259, 300))
        fchownat($tmpfs, "sub/disk", 0, 6, AT_SYMLINK_NOFOLLOW)
        symlinkat("/proc/self/fd", $tmpfs, "fd")
        symlinkat("/proc/self/fd/0", $tmpfs, "stdin")
        symlinkat("/proc/self/fd/1", $tmpfs, "stdout")
        symlinkat("/proc/self/fd/2", $tmpfs, "stderr")
        symlinkat("/proc/kcore", $tmpfs, "core")
        symlinkat("pts/ptmx", $tmpfs, "ptmx")
        mknodat($tmpfs, "console", S_IFREG|0600, makedev(0, 0))
        umask(022)
        mkdirat($overlay, "dev", 0755) or EEXIST
        $dev#3 = openat2($overlay, "dev", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
        mkdirat($dev#3, "pts", 0755) or EEXIST
        $pts = openat2($overlay, "dev/pts", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
        close($dev#3)
        $devpts.fs = fsopen("devpts", FSOPEN_CLOEXEC)
        fsconfig string($devpts.fs, "gid", "5")
        fsconfig create($devpts.fs)
        $devpts = fsmount($devpts.fs, FSMOUNT_CLOEXEC, 0)
        close($devpts.fs)
        move_mount($devpts, "", $pts, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($pts)
        $ptyMaster = openat2($devpts, "ptmx", O_RDWR|O_NOCTTY|O_CLOEXEC, 0, RESOLVE_NO_XDEV|RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS|RESOLVE_BENEATH)
        ioctl($ptyMaster, TIOCSPTLCK, {00 00 00 00})
        $slave = ioctl($ptyMaster, TIOCGPTPEER, O_RDWR|O_NOCTTY|O_CLOEXEC)
        ioctl($ptyMaster, TIOCSWINSZ, {18 00 50 00 00 00 00 00})
        $console = openat2($tmpfs, "console", O_NOFOLLOW|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_XDEV|RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS|RESOLVE_BENEATH)
        $slave.tree = open_tree($slave, "", OPEN_TREE_CLONE|AT_EMPTY_PATH|OPEN_TREE_CLOEXEC)
        move_mount($slave.tree, "", $console, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($console)
        close($slave.tree)
        $overlay.dir = openat2($overlay, ".", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
        fchdir($overlay)
        pivot_root(".", ".")
        umount2(".", MNT_DETACH)
        setsid()
        ioctl($slave, TIOCSCTTY, 0)
        unshare(CLONE_FILES)
        dup3($slave, 0, 0)
        dup3($slave, 1, 0)
        dup3($slave, 2, 0)
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
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        notify(created)
        await()
        seccomp(0, {00 00 00 00 00 00 00 00})
        execve("/bin/app", ["app"], {1 variables}) or ENOENT, ENOTDIR, EACCES, ELOOP
        execve("/sbin/app", ["app"], {1 variables}) or ENOENT, ENOTDIR, EACCES, ELOOP
        fail()"
    `);
  });
});

test("/dev/ptmx is the container's own, whatever device is listed under that name", () => {
  const mounts = [{ destination: "/dev", type: "tmpfs", source: "tmpfs" }];
  const plan = lines(inputOf(specOf({ devices: [{ type: "c", path: "/dev/ptmx", major: 5, minor: 2 }] }, { mounts })));
  expect(plan.match(/.*"ptmx".*/g)?.map((line) => line.trim())).toEqual([expect.stringMatching(/^symlinkat\("pts\/ptmx"/)]);
});
