import { describe, expect, test } from "bun:test";
import { exec, mapping, process, supervision, v1 } from "../../test/runtime/plans.ts";
import type { Process } from "../oci/spec.ts";

describe("a whole plan", () => {
  test("an exec, cgroup v2", () => {
    expect(exec({})).toMatchInlineSnapshot(`
      "before
        $pidfd = pidfd_open(42, 0)
        $c = openat2(AT_FDCWD, "/sys/fs/cgroup/c", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, 0)
      clone3(0|CLONE_INTO_CGROUP, cgroup=$c)
      after
      child
        setns($pidfd, CLONE_NEWNS|CLONE_NEWPID|CLONE_NEWNET)
        unshare(CLONE_FILES)
        dup3($stdin, 0, 0)
        dup3($stdout, 1, 0)
        dup3($stderr, 2, 0)
        $sync = dup3($sync, 3, O_RDONLY|O_CLOEXEC)
        close_range(4, ~0U, 0)
        fork()
        setsid()
        $host-root = openat2(AT_FDCWD, "/", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS)
        fchdir($host-root)
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

  test("an exec with a terminal in a user namespace, cgroup v1", () => {
    const target = { pid: 42, namespaces: ["mount", "user", "pid"], uidMappings: mapping, cgroup: v1.cgroup } as const;
    const terminal: Process = {
      ...process,
      terminal: true,
      user: { uid: 5, gid: 5 },
      cwd: "/home",
      execCPUAffinity: { initial: "0", final: "0-1" },
    };
    expect(exec({ process: terminal, target, supervision: { ...supervision, tty: true } })).toMatchInlineSnapshot(`
      "before
        $pidfd = pidfd_open(42, 0)
        $tasks = openat2(AT_FDCWD, "/sys/fs/cgroup/cpu,cpuacct/c/tasks", O_WRONLY|O_CLOEXEC, 0, 0)
      clone3(0)
      after
      child
        sched_setaffinity({01 00 00 00 00 00 00 00})
        write($tasks, "0")
        setns($pidfd, CLONE_NEWNS|CLONE_NEWUSER|CLONE_NEWPID)
        setgroups([])
        setresgid(0, 0, 0)
        setresuid(0, 0, 0)
        sched_setaffinity({03 00 00 00 00 00 00 00})
        $ptyMaster = openat2(AT_FDCWD, "/dev/pts/ptmx", O_RDWR|O_NOCTTY|O_CLOEXEC, 0, RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS)
        ioctl($ptyMaster, TIOCSPTLCK, {00 00 00 00})
        $slave = ioctl($ptyMaster, TIOCGPTPEER, O_RDWR|O_NOCTTY|O_CLOEXEC)
        fchownat($slave, "", 5, -1, AT_EMPTY_PATH)
        unshare(CLONE_FILES)
        dup3($slave, 0, 0)
        dup3($slave, 1, 0)
        dup3($slave, 2, 0)
        $stdin = dup3($slave, 0, 0)
        $sync = dup3($sync, 3, O_RDONLY|O_CLOEXEC)
        close_range(4, ~0U, 0)
        fork()
        setsid()
        ioctl($stdin, TIOCSCTTY, 0)
        $home = openat2(AT_FDCWD, "/home", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, RESOLVE_NO_MAGICLINKS)
        fchdir($home)
        prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)
        prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
        setgroups([])
        setresgid(5, 5, 5)
        setresuid(5, 5, 5)
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

test("ambient are those capabilities that may be: permitted and inheritable", () => {
  const capabilities = {
    bounding: ["CAP_CHOWN", "CAP_DAC_OVERRIDE"],
    permitted: ["CAP_CHOWN"],
    inheritable: ["CAP_CHOWN", "CAP_DAC_OVERRIDE"],
    ambient: ["CAP_CHOWN", "CAP_DAC_OVERRIDE"],
  };
  const raised = (more: object) =>
    exec({ process: { ...process, capabilities: { ...capabilities, ...more } } }).match(/AMBIENT_RAISE, \w+/g);
  expect(raised({})).toEqual(["AMBIENT_RAISE, CAP_CHOWN"]);
  expect(raised({ inheritable: [] })).toBe(null);
});
