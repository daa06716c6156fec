/**
 * The operations of a plan.
 *
 * A **plan** is the frozen list of everything that happens to a process between `clone3` and `execve`, compiled in
 * TypeScript and executed by `onggi-shim`. Each **operation** is one system call with every argument resolved. A
 * **register** holds the file descriptor one operation returned, for later operations to use.
 *
 * Guarantees the executor gives:
 * - one operation makes exactly one system call, in list order; nothing else is called in the child (`lookUp` makes two for
 *   each file, `runHook` those of a whole process);
 * - an operation that fails with an errno in `accept` sets its `out` register to "unset" and the plan goes on;
 * - an operation that uses an unset register is skipped, and its own `out` becomes unset too;
 * - any other failure ends the plan and is reported as `{section, index, errno}`.
 *
 * The order of `signatures` is the wire numbering: append, never reorder (a running shim may be older than the engine).
 */

/** A register number, 0 to 254, or `AT_FDCWD` where a directory is meant. */
export type Reg = number;

/** The current working directory, as in openat(2). */
export const AT_FDCWD = -100;

/** Registers the shim fills before the first operation runs. */
export const reg = {
  /** The child's ends of its standard streams; unset in tty mode, where the plan opens the pty itself. */
  stdin: 0,
  stdout: 1,
  stderr: 2,
  /** The pty master: the plan's child section sets it, the shim reads and writes it. */
  ptyMaster: 3,
  /** The child's end of the hand-shake socket. */
  sync: 4,
  /** The container's state directory, O_PATH. */
  state: 5,
  /** Descriptor of memory.events (v2) or memory.oom_control (v1); the shim reads `oom_kill` from it at exit. */
  oom: 6,
  /** The parent's end of the hand-shake socket, of which a child that has left the table holds a copy. */
  peer: 7,
  /** File descriptors the engine passed when it spawned the shim: `passed`, `passed + 1`, ... */
  passed: 8,
  /** First register free for the compiler. */
  free: 24,
} as const;

export const MAX_REG = 254;

/** What a group of operations achieves; `onggi explain` prints a plan by group. */
export type Group =
  | "namespaces"
  | "cgroups"
  | "rootfs"
  | "mounts"
  | "devices"
  | "network"
  | "stdio"
  | "privileges"
  | "seccomp"
  | "process"
  | "handshake";

/**
 * How an argument travels:
 * `reg` a register; `int` an unsigned 64-bit number; `str` a NUL-terminated string; `bytes` raw bytes;
 * `strs` a list of strings (argv, envp).
 */
export type ArgType = "reg" | "int" | "str" | "bytes" | "strs";

type ArgValue = {
  reg: Reg;
  int: number | bigint;
  str: string;
  bytes: Uint8Array;
  strs: readonly string[];
};

/**
 * Every kind with its arguments, in the order of the system call's own parameters where it has that many.
 * Section 2 of the manual describes each call by the name in `call`.
 */
export const signatures = {
  // files
  open: { call: "openat2", args: { dir: "reg", path: "str", flags: "int", mode: "int", resolve: "int" } },
  /** The register becomes unset. */
  close: { call: "close", args: { fd: "reg" } },
  write: { call: "write", args: { fd: "reg", data: "bytes" } },
  mkdir: { call: "mkdirat", args: { dir: "reg", path: "str", mode: "int" } },
  mknod: { call: "mknodat", args: { dir: "reg", path: "str", mode: "int", dev: "int" } },
  symlink: { call: "symlinkat", args: { target: "str", dir: "reg", path: "str" } },
  chown: { call: "fchownat", args: { dir: "reg", path: "str", uid: "int", gid: "int", flags: "int" } },
  chmod: { call: "fchmodat", args: { dir: "reg", path: "str", mode: "int" } },
  chdir: { call: "chdir", args: { path: "str" } },
  fchdir: { call: "fchdir", args: { fd: "reg" } },
  chroot: { call: "chroot", args: { path: "str" } },
  /** dup3 onto a fixed descriptor number. */
  dup: { call: "dup3", args: { fd: "reg", target: "int", flags: "int" } },
  closeRange: { call: "close_range", args: { first: "int", last: "int", flags: "int" } },
  /** ioctl whose third argument is a number. */
  ioctlInt: { call: "ioctl", args: { fd: "reg", request: "int", value: "int" } },
  /** ioctl whose third argument points to `data`. */
  ioctlData: { call: "ioctl", args: { fd: "reg", request: "int", data: "bytes" } },
  // mounts
  fsopen: { call: "fsopen", args: { fstype: "str", flags: "int" } },
  fsconfigFlag: { call: "fsconfig", args: { fs: "reg", key: "str" } },
  fsconfigString: { call: "fsconfig", args: { fs: "reg", key: "str", value: "str" } },
  fsconfigFd: { call: "fsconfig", args: { fs: "reg", key: "str", fd: "reg" } },
  fsconfigCreate: { call: "fsconfig", args: { fs: "reg" } },
  fsmount: { call: "fsmount", args: { fs: "reg", flags: "int", attrs: "int" } },
  openTree: { call: "open_tree", args: { dir: "reg", path: "str", flags: "int" } },
  moveMount: {
    call: "move_mount",
    args: { from: "reg", fromPath: "str", to: "reg", toPath: "str", flags: "int" },
  },
  /** Fails with EPERM if `fd` lies on a file system of the type `magic`, statfs(2). */
  refuseFs: { call: "fstatfs", args: { fd: "reg", magic: "int" } },
  /** mount_setattr without an id map. */
  mountSetattr: {
    call: "mount_setattr",
    args: { fd: "reg", path: "str", flags: "int", set: "int", clear: "int", propagation: "int" },
  },
  /** mount_setattr with MOUNT_ATTR_IDMAP by the user namespace in `userns`; `path` is "" (AT_EMPTY_PATH). */
  mountIdmap: { call: "mount_setattr", args: { fd: "reg", flags: "int", userns: "reg" } },
  mount: { call: "mount", args: { source: "str", target: "str", fstype: "str", flags: "int", data: "str" } },
  umount: { call: "umount2", args: { target: "str", flags: "int" } },
  pivotRoot: { call: "pivot_root", args: { newRoot: "str", putOld: "str" } },
  // namespaces
  unshare: { call: "unshare", args: { flags: "int" } },
  setns: { call: "setns", args: { fd: "reg", flags: "int" } },
  pidfdOpen: { call: "pidfd_open", args: { pid: "int", flags: "int" } },
  sethostname: { call: "sethostname", args: { name: "bytes" } },
  setdomainname: { call: "setdomainname", args: { name: "bytes" } },
  // the process
  prctl: { call: "prctl", args: { option: "int", arg2: "int", arg3: "int", arg4: "int", arg5: "int" } },
  /** `gids`: little-endian u32 each. */
  setgroups: { call: "setgroups", args: { gids: "bytes" } },
  setresuid: { call: "setresuid", args: { ruid: "int", euid: "int", suid: "int" } },
  setresgid: { call: "setresgid", args: { rgid: "int", egid: "int", sgid: "int" } },
  capset: { call: "capset", args: { effective: "int", permitted: "int", inheritable: "int" } },
  umask: { call: "umask", args: { mask: "int" } },
  /** In `after`: of the child; in `child`: of itself; in `before`: of the shim. */
  prlimit: { call: "prlimit64", args: { resource: "int", soft: "int", hard: "int" } },
  personality: { call: "personality", args: { persona: "int" } },
  /** `attr`: struct sched_attr. */
  schedSetattr: { call: "sched_setattr", args: { attr: "bytes" } },
  /** `mask`: CPU bit mask. */
  schedSetaffinity: { call: "sched_setaffinity", args: { mask: "bytes" } },
  ioprioSet: { call: "ioprio_set", args: { which: "int", who: "int", ioprio: "int" } },
  setMempolicy: { call: "set_mempolicy", args: { mode: "int", nodes: "bytes", maxnode: "int" } },
  setsid: { call: "setsid", args: {} },
  keyctlJoin: { call: "keyctl", args: { name: "str" } },
  /** SECCOMP_SET_MODE_FILTER; `program`: struct sock_filter each; `out` with SECCOMP_FILTER_FLAG_NEW_LISTENER. */
  seccomp: { call: "seccomp", args: { flags: "int", program: "bytes" } },
  /** On success the plan ends here. */
  execve: { call: "execve", args: { path: "str", argv: "strs", envp: "strs" } },
  // hand-shake
  /** Child: tells the shim that `event` (see `event`) is reached. One write of {u8 1, u8 event} on `reg.sync`. */
  notify: { call: "write", args: { event: "int" } },
  /** Child: waits until the shim releases it. One read of one byte from `reg.sync`. */
  await: { call: "read", args: {} },
  /** Parent: releases the child that stands at `await`. One write of one byte. */
  release: { call: "write", args: {} },
  /** Parent, after clone: opens /proc/<child> O_PATH|O_DIRECTORY|O_CLOEXEC into `out`. */
  openProc: { call: "openat", args: {} },
  /**
   * Ends a PATH search; makes no call. Fails with EACCES if one of the `execve` operations before it failed with EACCES
   * (a file was found that may not be executed), otherwise with the errno of the last accepted failure.
   */
  fail: { call: "", args: {} },
  /** A socket, for the ioctl that sets the loopback device up. */
  socket: { call: "socket", args: { domain: "int", type: "int", protocol: "int" } },
  /**
   * Child: goes on as a sibling of itself, clone3 with CLONE_PARENT, in the pid namespace that setns has chosen for children;
   * what was cloned before ends. So a process is born into a pid namespace when nothing of the host is left about it.
   */
  fork: { call: "clone3", args: {} },
  /** Child: succeeds if one of the files can be executed; else EACCES if there is one that cannot, or ENOENT. */
  lookUp: { call: "faccessat2", args: { paths: "strs" } },
  /**
   * Child: waits for a byte from the FIFO `start`. From then on failures are reported to `result`, which execve closes.
   * Nobody is at the hand-shake socket any more.
   */
  awaitStart: { call: "read", args: { start: "reg", result: "reg" } },
  /** Child: tells of `event` and sends a descriptor along. One sendmsg on `reg.sync`. */
  sendFd: { call: "sendmsg", args: { fd: "reg", event: "int" } },
  /**
   * Child: runs a program to its end with the file `state` as standard input; `timeout` in milliseconds, 0: none. Fails with
   * execve's errno, ETIMEDOUT, or `hookStatus` | wait status.
   */
  runHook: { call: "clone3", args: { path: "str", argv: "strs", envp: "strs", state: "reg", timeout: "int" } },
  /** Of an open file (AT_EMPTY_PATH). On success the plan ends here. */
  execveat: { call: "execveat", args: { fd: "reg", argv: "strs", envp: "strs" } },
} as const satisfies Record<string, { call: string; args: Readonly<Record<string, ArgType>> }>;

export type Kind = keyof typeof signatures;

/**
 * Events a child can notify: it is there, in its namespaces (born); everything is mounted, the root not entered yet;
 * filtered, with the listener; set up (created).
 */
export const event = { created: 1, mounted: 2, filtered: 3, born: 4 } as const;

/** In the errno of a failed `runHook`: the hook ran, and its wait status is in the low 16 bits. */
export const hookStatus = 0x10000;

type ArgsOf<K extends Kind> = {
  readonly [A in keyof (typeof signatures)[K]["args"]]: (typeof signatures)[K]["args"][A] extends ArgType
    ? ArgValue[(typeof signatures)[K]["args"][A]]
    : never;
};

/** What every operation carries besides its call's arguments. */
export interface OpCommon {
  /** Register that receives the returned descriptor. */
  readonly out?: Reg;
  /** errno numbers that are no failure, at most four. */
  readonly accept?: readonly number[];
  readonly group: Group;
  /** The reason, for a reader of `onggi explain` and for the error message: "mount /proc". Lower case, no full stop. */
  readonly why: string;
}

export type Op = { readonly [K in Kind]: { readonly kind: K } & ArgsOf<K> & OpCommon }[Kind];
export type OpOf<K extends Kind> = Extract<Op, { kind: K }>;

/** In which process, and when, a list of operations runs. */
export type Section = "before" | "after" | "child";

/** How the shim supervises the process once the plan has run. */
export interface Supervision {
  /** Standard streams are one pty instead of three pipes. */
  readonly tty: boolean;
  /** Keep standard input open for clients; otherwise it is /dev/null. */
  readonly openStdin: boolean;
  /** Close standard input when the first client that attached to it goes away. */
  readonly stdinOnce: boolean;
  /** Where output is logged; path relative to the state directory. */
  readonly log: {
    readonly format: "json-file" | "cri";
    readonly path: string;
    readonly maxSize: number;
    readonly maxFiles: number;
  } | null;
  /** File that receives the exit record, relative to the state directory; null: nobody but clients is told. */
  readonly exitPath: string | null;
  /** fsync the exit record and its directory before anyone is told. */
  readonly durable: boolean;
  /** The plan's program is an OCI runtime, which makes the process and ends. Absent: the program is the process's own. */
  readonly runtime?: RuntimeSupervision | undefined;
}

/** Where a runtime leaves its word; paths relative to the state directory. */
export interface RuntimeSupervision {
  /** File with the pid of the process it has made. */
  readonly pidPath: string;
  /** Socket that it sends the terminal to; null without a terminal. */
  readonly consolePath: string | null;
  /** The process runs when the runtime ends; otherwise it is created, and START says that it has been started. */
  readonly started: boolean;
}

export interface Plan {
  /** In the shim, before `clone3`. */
  readonly before: readonly Op[];
  readonly clone: {
    /** CLONE_* flags, SIGCHLD excluded (always the exit signal). */
    readonly flags: number;
    /** CLONE_INTO_CGROUP target. */
    readonly cgroup?: Reg;
  };
  /** In the shim, after `clone3`, while the child waits at its first `await`. */
  readonly after: readonly Op[];
  /** In the child. */
  readonly child: readonly Op[];
  readonly supervision: Supervision;
}
