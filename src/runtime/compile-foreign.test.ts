import { expect, test } from "bun:test";
import { facts, mapping, process, supervision } from "../../test/runtime/plans.ts";
import { encode } from "../plan/encode.ts";
import type { Plan } from "../plan/ops.ts";
import { planLines } from "../plan/print.ts";
import { compileForeignCreate, compileForeignExec, type ForeignCreateInput } from "./compile-foreign.ts";

function lines(plan: Plan): string {
  encode(plan);
  return planLines(plan).join("\n");
}

const call = { path: "/bin/runc", argv: ["/bin/runc", "create", "c"], env: ["PATH=/bin"], directory: "/c" };
const input: ForeignCreateInput = {
  process,
  linux: { namespaces: [{ type: "mount" }, { type: "pid" }] },
  root: { kind: "overlay", lower: { passed: 0 }, upper: "/c/upper", work: "/c/work", mountpoint: "/c/rootfs" },
  facts,
  cgroup: { cloneInto: "/sys/fs/cgroup/c", tasks: [], oom: "/sys/fs/cgroup/c/memory.events" },
  call,
  supervision: { ...supervision, runtime: { pidPath: "init.pid", consolePath: null, started: false } },
};

test("a container: the root in a mount namespace of the runtime's own, and nothing else made for it", () => {
  expect(lines(compileForeignCreate(input))).toMatchInlineSnapshot(`
    "before
      $oom = openat2(AT_FDCWD, "/sys/fs/cgroup/c/memory.events", O_RDONLY|O_CLOEXEC, 0, 0) or ENOENT
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
    clone3(CLONE_NEWNS)
    after
    child
      mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, 0, 0, MS_SLAVE)
      $rootfs = openat2(AT_FDCWD, "/c/rootfs", O_DIRECTORY|O_CLOEXEC|O_PATH, 0, 0)
      move_mount($overlay, "", $rootfs, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)
      close($rootfs)
      close($overlay)
      chdir("/c")
      umask(022)
      prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0)
      setsid()
      unshare(CLONE_FILES)
      dup3($stdin, 0, 0)
      dup3($stdout, 1, 0)
      dup3($stderr, 2, 0)
      close($peer)
      close_range(3, ~0U, CLOSE_RANGE_CLOEXEC)
      notify(created)
      execve("/bin/runc", ["/bin/runc","create","c"], {1 variables})"
  `);
});

test("with a user namespace the image is shown with its ids, and the streams are its user's", () => {
  const linux = { ...input.linux, uidMappings: mapping, gidMappings: mapping };
  const plan = lines(compileForeignCreate({ ...input, process: { ...process, user: { uid: 5, gid: 5 } }, linux, userns: 1 }));
  expect(plan).toContain('open_tree($passed0, "", OPEN_TREE_CLONE|AT_EMPTY_PATH|OPEN_TREE_CLOEXEC)');
  expect(plan).toContain("mount_setattr idmap($passed0.tree, AT_EMPTY_PATH, $passed1)");
  expect(plan).toContain('fchownat($stdout, "", 100005');
  expect(plan).toContain("clone3(CLONE_NEWNS)");
});

test("a directory as the root is the runtime's business", () => {
  const plan = lines(compileForeignCreate({ ...input, root: { kind: "directory", path: "/srv/root" } }));
  expect(plan).not.toContain("mount");
  expect(plan).not.toContain("CLONE_NEWNS");
});

test("a kernel whose overlayfs takes no descriptors: by mount(2), in the runtime's mount namespace", () => {
  const root = { ...input.root, lower: { paths: ["/image/b", "/image/a"] } } as ForeignCreateInput["root"];
  const plan = lines(compileForeignCreate({ ...input, root, facts: { ...facts, overlayFds: false } }));
  expect(plan).toContain(
    'mount("overlay", "/c/rootfs", "overlay", 0, "lowerdir=/image/b:/image/a,upperdir=/c/upper,workdir=/c/work")',
  );
});

test("an exec; a terminal is the process's, not the runtime's", () => {
  const runtime = { pidPath: "exec-1.pid", consolePath: "exec-1.sock", started: true };
  const plan = compileForeignExec({ process, linux: {}, call, supervision: { ...supervision, tty: true, runtime } });
  expect(lines(plan)).toMatchInlineSnapshot(`
    "before
    clone3(0)
    after
    child
      chdir("/c")
      umask(022)
      prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0)
      $stdin = openat2(AT_FDCWD, "/dev/null", O_RDWR|O_CLOEXEC, 0, 0)
      $stdout = openat2(AT_FDCWD, "/dev/null", O_RDWR|O_CLOEXEC, 0, 0)
      $stderr = openat2(AT_FDCWD, "/dev/null", O_RDWR|O_CLOEXEC, 0, 0)
      setsid()
      unshare(CLONE_FILES)
      dup3($stdin, 0, 0)
      dup3($stdout, 1, 0)
      dup3($stderr, 2, 0)
      close($peer)
      close_range(3, ~0U, CLOSE_RANGE_CLOEXEC)
      $tmpfs.fs = fsopen("tmpfs", FSOPEN_CLOEXEC)
      fsconfig create($tmpfs.fs)
      $tmpfs = fsmount($tmpfs.fs, FSMOUNT_CLOEXEC, 0)
      mknodat($tmpfs, "null", S_IFCHR|0666, makedev(1, 3)) or EPERM
      $null = openat2($tmpfs, "null", O_RDWR|O_CLOEXEC, 0, 0) or ENOENT, EACCES
      dup3($null, 0, 0)
      dup3($null, 1, 0)
      dup3($null, 2, 0)
      close($tmpfs.fs)
      close($tmpfs)
      close($null)
      notify(created)
      execve("/bin/runc", ["/bin/runc","create","c"], {1 variables})"
  `);
});
