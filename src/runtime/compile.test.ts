import { describe, expect, test } from "bun:test";
import { inputOf, lines, mapping, process, specOf, v1 } from "../../test/runtime/plans.ts";
import type { Process, Spec } from "../oci/spec.ts";
import { compileCreate } from "./compile.ts";

describe("a whole plan", () => {
  test("cgroup v2, no user namespace", () => {
    expect(
      lines(
        inputOf(
          specOf({}, { hostname: "jar", mounts: [{ destination: "/proc", type: "proc", source: "proc", options: ["nosuid"] }] }),
        ),
      ),
    ).toMatchInlineSnapshot(`
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
        sethostname("jar")
        umask(022)
        mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, 0, 0, MS_SLAVE)
        $host-root = openat2(AT_FDCWD, "/", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, 0)
        move_mount($overlay, "", $host-root, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($host-root)
        mkdirat($overlay, "dev", 0755) or EEXIST
        $dev = openat2($overlay, "dev", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
        fstatfs($dev, 40864)
        $dev.tree = open_tree(AT_FDCWD, "/dev", OPEN_TREE_CLONE|AT_RECURSIVE|OPEN_TREE_CLOEXEC)
        mount_setattr($dev.tree, "", AT_EMPTY_PATH|AT_RECURSIVE, 0, 0, MS_SLAVE)
        move_mount($dev.tree, "", $dev, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($dev)
        close($dev.tree)
        mkdirat($overlay, "proc", 0755) or EEXIST
        $proc = openat2($overlay, "proc", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS|RESOLVE_IN_ROOT)
        $proc.fs = fsopen("proc", FSOPEN_CLOEXEC)
        fsconfig string($proc.fs, "source", "proc")
        fsconfig create($proc.fs)
        $proc#2 = fsmount($proc.fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID)
        close($proc.fs)
        move_mount($proc#2, "", $proc, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($proc)
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

  test("with an init: the program is looked up, then what looks after it is run", () => {
    const child = lines({ ...inputOf(specOf({})), init: 1 })
      .split("\n")
      .map((line) => line.trim());
    expect(child.slice(-4)).toEqual([
      'lookUp(["/bin/app"])',
      "notify(created)",
      "await()",
      'execveat($passed1, ["/sbin/docker-init","--","/bin/app","-v"], {1 variables})',
    ]);
  });

  test("cgroup v1, a user namespace, a user other than root, a seccomp filter", () => {
    const namespaces = (["mount", "user", "cgroup", "network"] as const).map((type) => ({ type }));
    const user = { uid: 7, gid: 8, additionalGids: [9], umask: 0o77 };
    const limited: Process = {
      ...process,
      user,
      oomScoreAdj: 100,
      rlimits: [{ type: "RLIMIT_NOFILE", soft: 64, hard: 2 ** 64 }],
    };
    const spec = specOf(
      { namespaces, uidMappings: mapping, gidMappings: mapping },
      { process: limited, mounts: [{ destination: "/sys/fs/cgroup", type: "cgroup", options: ["ro", "nosuid"] }] },
    );
    const seccompProgram = { program: new Uint8Array(16), flags: 2 };
    expect(lines(inputOf(spec, { ...v1, seccompProgram }))).toMatchInlineSnapshot(`
      "before
        $oom = openat2(AT_FDCWD, "/sys/fs/cgroup/memory/c/memory.oom_control", O_RDONLY|O_CLOEXEC, 0, 0) or ENOENT
        $tasks = openat2(AT_FDCWD, "/sys/fs/cgroup/cpu,cpuacct/c/tasks", O_WRONLY|O_CLOEXEC, 0, 0)
      clone3(CLONE_NEWNS|CLONE_NEWUSER|CLONE_NEWNET)
      after
        $child = open /proc/CHILD()
        $uid_map = openat2($child, "uid_map", O_WRONLY|O_CLOEXEC, 0, 0)
        write($uid_map, "0 100000 65536\\n")
        close($uid_map)
        $gid_map = openat2($child, "gid_map", O_WRONLY|O_CLOEXEC, 0, 0)
        write($gid_map, "0 100000 65536\\n")
        close($gid_map)
        $user = openat2($child, "ns/user", O_RDONLY|O_CLOEXEC, 0, 0)
        $oom_score_adj = openat2($child, "oom_score_adj", O_WRONLY|O_CLOEXEC, 0, 0)
        write($oom_score_adj, "100")
        close($oom_score_adj)
        prlimit64(RLIMIT_NOFILE, RLIM_INFINITY, RLIM_INFINITY) or EPERM
        fchownat($stdout, "", 100007, -1, AT_EMPTY_PATH) or EPERM, EINVAL, EROFS
        fchownat($stderr, "", 100007, -1, AT_EMPTY_PATH) or EPERM, EINVAL, EROFS
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
        release()
      child
        write($tasks, "0")
        await()
        setgroups([])
        setresgid(0, 0, 0)
        setresuid(0, 0, 0)
        unshare(CLONE_NEWCGROUP)
        keyctl("_ses.c") or ENOSYS
        $socket = socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, 0)
        ioctl($socket, SIOCSIFFLAGS, {40 bytes})
        close($socket)
        umask(022)
        mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, 0, 0, MS_SLAVE)
        $host-root = openat2(AT_FDCWD, "/", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, 0)
        move_mount($overlay, "", $host-root, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($host-root)
        mkdirat($overlay, "dev", 0755) or EEXIST
        $dev = openat2($overlay, "dev", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
        fstatfs($dev, 40864)
        move_mount($dev.tree, "", $dev, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($dev)
        close($dev.tree)
        mkdirat($overlay, "sys", 0755) or EEXIST
        $sys = openat2($overlay, "sys", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS|RESOLVE_IN_ROOT)
        mkdirat($sys, "fs", 0755) or EEXIST
        $fs = openat2($overlay, "sys/fs", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS|RESOLVE_IN_ROOT)
        close($sys)
        mkdirat($fs, "cgroup", 0755) or EEXIST
        $cgroup = openat2($overlay, "sys/fs/cgroup", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS|RESOLVE_IN_ROOT)
        close($fs)
        $tmpfs.fs = fsopen("tmpfs", FSOPEN_CLOEXEC)
        fsconfig string($tmpfs.fs, "source", "cgroup")
        fsconfig string($tmpfs.fs, "mode", "755")
        fsconfig create($tmpfs.fs)
        $tmpfs = fsmount($tmpfs.fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID)
        close($tmpfs.fs)
        move_mount($tmpfs, "", $cgroup, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($cgroup)
        $cgroup.fs = fsopen("cgroup", FSOPEN_CLOEXEC)
        fsconfig string($cgroup.fs, "source", "cgroup")
        fsconfig flag($cgroup.fs, "cpu")
        fsconfig flag($cgroup.fs, "cpuacct")
        fsconfig create($cgroup.fs)
        $cgroup#2 = fsmount($cgroup.fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOSUID)
        close($cgroup.fs)
        mkdirat($tmpfs, "cpu,cpuacct", 0755) or EEXIST
        $cpu,cpuacct = openat2($tmpfs, "cpu,cpuacct", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS|RESOLVE_IN_ROOT)
        move_mount($cgroup#2, "", $cpu,cpuacct, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($cpu,cpuacct)
        close($cgroup#2)
        symlinkat("cpu,cpuacct", $tmpfs, "cpu")
        symlinkat("cpu,cpuacct", $tmpfs, "cpuacct")
        mount_setattr($tmpfs, "", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY, 0, 0)
        close($tmpfs)
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
        prlimit64(RLIMIT_NOFILE, 64, RLIM_INFINITY)
        fchdir($overlay.dir)
        seccomp(SECCOMP_FILTER_FLAG_LOG, {16 bytes})
        prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)
        prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
        setgroups([9])
        setresgid(8, 8, 8)
        setresuid(7, 7, 7)
        prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0)
        capset(CAP_CHOWN, CAP_CHOWN, none)
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
        umask(077)
        notify(created)
        await()
        execve("/bin/app", ["/bin/app","-v"], {1 variables})"
    `);
  });

  test("joined namespaces, a time namespace with offsets, no pivot_root, a directory as the root", () => {
    const spec = specOf({
      namespaces: [
        { type: "mount" },
        { type: "pid", path: "/proc/9/ns/pid" },
        { type: "network", path: "/run/netns/a" },
        { type: "time" },
      ],
      timeOffsets: { boottime: { secs: 60 } },
    });
    expect(lines(inputOf(spec, { root: { kind: "directory", path: "/rootfs" }, noPivot: true }))).toMatchInlineSnapshot(`
      "before
        $pid = openat2(AT_FDCWD, "/proc/9/ns/pid", O_RDONLY|O_CLOEXEC, 0, 0)
        $pid#2 = openat2(AT_FDCWD, "/proc/self/ns/pid", O_RDONLY|O_CLOEXEC, 0, 0)
        setns($pid, CLONE_NEWPID)
        $a = openat2(AT_FDCWD, "/run/netns/a", O_RDONLY|O_CLOEXEC, 0, 0)
        unshare(CLONE_NEWTIME)
        $timens_offsets = openat2(AT_FDCWD, "/proc/self/timens_offsets", O_WRONLY|O_CLOEXEC, 0, 0)
        write($timens_offsets, "boottime 60 0\\n")
        close($timens_offsets)
        $c = openat2(AT_FDCWD, "/sys/fs/cgroup/c", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, 0)
        $rootfs.tree = open_tree(AT_FDCWD, "/rootfs", OPEN_TREE_CLONE|AT_RECURSIVE|OPEN_TREE_CLOEXEC)
        mount_setattr($rootfs.tree, "", AT_EMPTY_PATH|AT_RECURSIVE, 0, 0, MS_SLAVE)
      clone3(CLONE_NEWNS|CLONE_INTO_CGROUP, cgroup=$c)
      after
        setns($pid#2, CLONE_NEWPID)
        release()
      child
        await()
        setns($a, CLONE_NEWNET)
        keyctl("_ses.c") or ENOSYS
        umask(022)
        mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, 0, 0, MS_SLAVE)
        $host-root = openat2(AT_FDCWD, "/", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, 0)
        move_mount($rootfs.tree, "", $host-root, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($host-root)
        mkdirat($rootfs.tree, "dev", 0755) or EEXIST
        $dev = openat2($rootfs.tree, "dev", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
        fstatfs($dev, 40864)
        $dev.tree = open_tree(AT_FDCWD, "/dev", OPEN_TREE_CLONE|AT_RECURSIVE|OPEN_TREE_CLOEXEC)
        mount_setattr($dev.tree, "", AT_EMPTY_PATH|AT_RECURSIVE, 0, 0, MS_SLAVE)
        move_mount($dev.tree, "", $dev, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
        close($dev)
        close($dev.tree)
        $rootfs.tree.dir = openat2($rootfs.tree, ".", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)
        fchdir($rootfs.tree)
        umount2("/proc", MNT_DETACH) or EINVAL, EPERM, ENOENT
        umount2("/sys", MNT_DETACH) or EINVAL, EPERM, ENOENT
        chroot(".")
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

describe("what a plan cannot do is refused", () => {
  const refused: [string, Spec, string][] = [
    ["no mount namespace", specOf({ namespaces: [{ type: "pid" }] }), "unsupported_spec"],
    ["a joined mount namespace", specOf({ namespaces: [{ type: "mount", path: "/x" }] }), "unsupported_spec"],
    ["no program", specOf({}, { process: { ...process, args: [] } }), "invalid_spec"],
    ["a mount on the root", specOf({}, { mounts: [{ destination: "/a/..", type: "tmpfs" }] }), "invalid_mount"],
    ["a mount of no type", specOf({}, { mounts: [{ destination: "/a", source: "/x", options: ["ro"] }] }), "invalid_mount"],
    [
      "a relative source without bundle",
      specOf({}, { mounts: [{ destination: "/a", type: "bind", source: "x" }] }),
      "invalid_mount",
    ],
    [
      "ids of a namespace that is not there",
      specOf({}, { mounts: [{ destination: "/a", source: "/x", options: ["bind", "idmap"] }] }),
      "invalid_mount",
    ],
    [
      "a bind mount with a misspelt option",
      specOf({}, { mounts: [{ destination: "/a", source: "/x", options: ["bind", "readonly"] }] }),
      "invalid_mount_option",
    ],
    [
      "an option the kernel cannot take",
      specOf({}, { mounts: [{ destination: "/a", type: "tmpfs", options: [`x=${"y".repeat(256)}`] }] }),
      "invalid_mount_option",
    ],
    [
      "an unknown scheduling flag",
      specOf({}, { process: { ...process, scheduler: { policy: "SCHED_RR", flags: ["__proto__"] } } }),
      "invalid_spec",
    ],
  ];
  test.each(refused)("%s", (_, spec, code) => {
    expect(() => compileCreate(inputOf(spec))).toThrow(expect.objectContaining({ code }));
  });
});

test("a register that one section closed is not used again by an earlier section", () => {
  // `after` runs after `before` but is written first; what `before` opens for the child must survive it
  const mounts = [
    { destination: "/dev", type: "tmpfs" },
    { destination: "/data", source: "/d", options: ["bind"] },
  ];
  const plan = compileCreate(inputOf(specOf({}, { mounts }), v1));
  const closedLater = new Set(plan.after.flatMap((op) => (op.kind === "close" ? [op.fd] : [])));
  for (const op of plan.before) expect(op.out === undefined || !closedLater.has(op.out)).toBeTrue();
});

test("no operation returns a descriptor once the child has left the shim's table", () => {
  const plan = compileCreate(inputOf(specOf({ maskedPaths: ["/a"] }, { process: { ...process, terminal: true } })));
  const left = plan.child.findIndex((op) => op.kind === "unshare" && op.flags === 0x400);
  expect(left).toBeGreaterThan(0);
  expect(plan.child.slice(left).filter((op) => op.out !== undefined)).toEqual([]);
});
