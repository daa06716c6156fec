/**
 * The kernel's numbers under the kernel's names, grouped by what they are used with: `O.O_CLOEXEC`, `CAP.CAP_CHOWN`.
 *
 * This file imports nothing and touches nothing, so pure code may use it. Every number is compared with the kernel's own
 * headers by a test. x86_64 and arm64 differ only in four `O_*` bits, chosen by `process.arch`.
 */

const arm64 = process.arch === "arm64";

/** Flags of open(2). */
// biome-ignore format: a table
export const O = {
  O_RDONLY: 0, O_WRONLY: 1, O_RDWR: 2, O_ACCMODE: 3, O_CREAT: 0o100, O_EXCL: 0o200, O_NOCTTY: 0o400, O_TRUNC: 0o1000,
  O_APPEND: 0o2000, O_NONBLOCK: 0o4000, O_DSYNC: 0o10000, O_SYNC: 0o4010000, O_DIRECTORY: arm64 ? 0o40000 : 0o200000,
  O_NOFOLLOW: arm64 ? 0o100000 : 0o400000, O_DIRECT: arm64 ? 0o200000 : 0o40000, O_LARGEFILE: arm64 ? 0o400000 : 0o100000,
  O_NOATIME: 0o1000000, O_CLOEXEC: 0o2000000, O_PATH: 0o10000000, O_TMPFILE: arm64 ? 0o20040000 : 0o20200000,
} as const;

/** Directory descriptors and flags of the *at(2) calls. */
// biome-ignore format: a table
export const AT = {
  AT_FDCWD: -100, AT_SYMLINK_NOFOLLOW: 0x100, AT_EACCESS: 0x200, AT_REMOVEDIR: 0x200, AT_SYMLINK_FOLLOW: 0x400,
  AT_NO_AUTOMOUNT: 0x800, AT_EMPTY_PATH: 0x1000, AT_STATX_SYNC_AS_STAT: 0, AT_STATX_FORCE_SYNC: 0x2000,
  AT_STATX_DONT_SYNC: 0x4000, AT_RECURSIVE: 0x8000,
} as const;

/** File types and permission bits, inode(7). */
// biome-ignore format: a table
export const S = {
  S_IFMT: 0o170000, S_IFSOCK: 0o140000, S_IFLNK: 0o120000, S_IFREG: 0o100000, S_IFBLK: 0o60000, S_IFDIR: 0o40000,
  S_IFCHR: 0o20000, S_IFIFO: 0o10000, S_ISUID: 0o4000, S_ISGID: 0o2000, S_ISVTX: 0o1000,
} as const;

/** Directory entry types, getdents64(2). */
// biome-ignore format: a table
export const DT = {
  DT_UNKNOWN: 0, DT_FIFO: 1, DT_CHR: 2, DT_DIR: 4, DT_BLK: 6, DT_REG: 8, DT_LNK: 10, DT_SOCK: 12, DT_WHT: 14,
} as const;

/** Masks of statx(2). */
// biome-ignore format: a table
export const STATX = {
  STATX_TYPE: 1, STATX_MODE: 2, STATX_NLINK: 4, STATX_UID: 8, STATX_GID: 0x10, STATX_ATIME: 0x20, STATX_MTIME: 0x40,
  STATX_CTIME: 0x80, STATX_INO: 0x100, STATX_SIZE: 0x200, STATX_BLOCKS: 0x400, STATX_BASIC_STATS: 0x7ff, STATX_BTIME: 0x800,
  STATX_MNT_ID: 0x1000, STATX_DIOALIGN: 0x2000, STATX_MNT_ID_UNIQUE: 0x4000,
} as const;

/** Attribute bits that statx(2) returns. */
// biome-ignore format: a table
export const STATX_ATTR = {
  STATX_ATTR_COMPRESSED: 4, STATX_ATTR_IMMUTABLE: 0x10, STATX_ATTR_APPEND: 0x20, STATX_ATTR_NODUMP: 0x40,
  STATX_ATTR_ENCRYPTED: 0x800, STATX_ATTR_AUTOMOUNT: 0x1000, STATX_ATTR_MOUNT_ROOT: 0x2000, STATX_ATTR_VERITY: 0x100000,
  STATX_ATTR_DAX: 0x200000,
} as const;

/** How openat2(2) resolves a path. */
// biome-ignore format: a table
export const RESOLVE = {
  RESOLVE_NO_XDEV: 1, RESOLVE_NO_MAGICLINKS: 2, RESOLVE_NO_SYMLINKS: 4, RESOLVE_BENEATH: 8, RESOLVE_IN_ROOT: 0x10,
  RESOLVE_CACHED: 0x20,
} as const;

/** Flags of renameat2(2). */
// biome-ignore format: a table
export const RENAME = {
  RENAME_NOREPLACE: 1, RENAME_EXCHANGE: 2, RENAME_WHITEOUT: 4,
} as const;

/** Flags of setxattr(2). */
// biome-ignore format: a table
export const XATTR = {
  XATTR_CREATE: 1, XATTR_REPLACE: 2,
} as const;

/** Modes of fallocate(2). */
// biome-ignore format: a table
export const FALLOC = {
  FALLOC_FL_KEEP_SIZE: 1, FALLOC_FL_PUNCH_HOLE: 2, FALLOC_FL_COLLAPSE_RANGE: 8, FALLOC_FL_ZERO_RANGE: 0x10,
} as const;

/** Special nanoseconds of utimensat(2). */
// biome-ignore format: a table
export const UTIME = {
  UTIME_NOW: 0x3fffffff, UTIME_OMIT: 0x3ffffffe,
} as const;

/** Flags of mount(2). */
// biome-ignore format: a table
export const MS = {
  MS_RDONLY: 1, MS_NOSUID: 2, MS_NODEV: 4, MS_NOEXEC: 8, MS_SYNCHRONOUS: 0x10, MS_REMOUNT: 0x20, MS_MANDLOCK: 0x40,
  MS_DIRSYNC: 0x80, MS_NOSYMFOLLOW: 0x100, MS_NOATIME: 0x400, MS_NODIRATIME: 0x800, MS_BIND: 0x1000, MS_MOVE: 0x2000,
  MS_REC: 0x4000, MS_SILENT: 0x8000, MS_POSIXACL: 0x10000, MS_UNBINDABLE: 0x20000, MS_PRIVATE: 0x40000, MS_SLAVE: 0x80000,
  MS_SHARED: 0x100000, MS_RELATIME: 0x200000, MS_I_VERSION: 0x800000, MS_STRICTATIME: 0x1000000, MS_LAZYTIME: 0x2000000,
} as const;

/** Flags of umount2(2). */
// biome-ignore format: a table
export const MNT = {
  MNT_FORCE: 1, MNT_DETACH: 2, MNT_EXPIRE: 4, UMOUNT_NOFOLLOW: 8,
} as const;

/** Attributes of fsmount(2) and mount_setattr(2). */
// biome-ignore format: a table
export const MOUNT_ATTR = {
  MOUNT_ATTR_RDONLY: 1, MOUNT_ATTR_NOSUID: 2, MOUNT_ATTR_NODEV: 4, MOUNT_ATTR_NOEXEC: 8, MOUNT_ATTR__ATIME: 0x70,
  MOUNT_ATTR_RELATIME: 0, MOUNT_ATTR_NOATIME: 0x10, MOUNT_ATTR_STRICTATIME: 0x20, MOUNT_ATTR_NODIRATIME: 0x80,
  MOUNT_ATTR_IDMAP: 0x100000, MOUNT_ATTR_NOSYMFOLLOW: 0x200000,
} as const;

/** Flags of fsopen(2). */
// biome-ignore format: a table
export const FSOPEN = {
  FSOPEN_CLOEXEC: 1,
} as const;

/** Flags of fspick(2). */
// biome-ignore format: a table
export const FSPICK = {
  FSPICK_CLOEXEC: 1, FSPICK_SYMLINK_NOFOLLOW: 2, FSPICK_NO_AUTOMOUNT: 4, FSPICK_EMPTY_PATH: 8,
} as const;

/** Flags of fsmount(2). */
// biome-ignore format: a table
export const FSMOUNT = {
  FSMOUNT_CLOEXEC: 1,
} as const;

/** Commands of fsconfig(2). */
// biome-ignore format: a table
export const FSCONFIG = {
  FSCONFIG_SET_FLAG: 0, FSCONFIG_SET_STRING: 1, FSCONFIG_SET_BINARY: 2, FSCONFIG_SET_PATH: 3, FSCONFIG_SET_PATH_EMPTY: 4,
  FSCONFIG_SET_FD: 5, FSCONFIG_CMD_CREATE: 6, FSCONFIG_CMD_RECONFIGURE: 7, FSCONFIG_CMD_CREATE_EXCL: 8,
} as const;

/** Flags of open_tree(2), beside AT_*. */
// biome-ignore format: a table
export const OPEN_TREE = {
  OPEN_TREE_CLONE: 1, OPEN_TREE_CLOEXEC: 0x80000,
} as const;

/** Flags of move_mount(2). */
// biome-ignore format: a table
export const MOVE_MOUNT = {
  MOVE_MOUNT_F_SYMLINKS: 1, MOVE_MOUNT_F_AUTOMOUNTS: 2, MOVE_MOUNT_F_EMPTY_PATH: 4, MOVE_MOUNT_T_SYMLINKS: 0x10,
  MOVE_MOUNT_T_AUTOMOUNTS: 0x20, MOVE_MOUNT_T_EMPTY_PATH: 0x40, MOVE_MOUNT_SET_GROUP: 0x100, MOVE_MOUNT_BENEATH: 0x200,
} as const;

/** Flags of clone3(2), unshare(2) and setns(2). */
// biome-ignore format: a table
export const CLONE = {
  CLONE_VM: 0x100, CLONE_FS: 0x200, CLONE_FILES: 0x400, CLONE_SIGHAND: 0x800, CLONE_PIDFD: 0x1000, CLONE_VFORK: 0x4000,
  CLONE_PARENT: 0x8000, CLONE_THREAD: 0x10000, CLONE_NEWNS: 0x20000, CLONE_SYSVSEM: 0x40000, CLONE_SETTLS: 0x80000,
  CLONE_NEWCGROUP: 0x2000000, CLONE_NEWUTS: 0x4000000, CLONE_NEWIPC: 0x8000000, CLONE_NEWUSER: 0x10000000,
  CLONE_NEWPID: 0x20000000, CLONE_NEWNET: 0x40000000, CLONE_IO: 0x80000000, CLONE_NEWTIME: 0x80,
  CLONE_CLEAR_SIGHAND: 0x100000000, CLONE_INTO_CGROUP: 0x200000000,
} as const;

/** ioctl(2) requests on namespace descriptors, ioctl_ns(2). */
// biome-ignore format: a table
export const NS = {
  NS_GET_USERNS: 0xb701, NS_GET_PARENT: 0xb702, NS_GET_NSTYPE: 0xb703, NS_GET_OWNER_UID: 0xb704,
} as const;

/** Options of wait4(2). */
// biome-ignore format: a table
export const WAIT = {
  WNOHANG: 1, WUNTRACED: 2, WCONTINUED: 8, __WALL: 0x40000000, __WCLONE: 0x80000000,
} as const;

/** Operations of flock(2). */
// biome-ignore format: a table
export const LOCK = {
  LOCK_SH: 1, LOCK_EX: 2, LOCK_NB: 4, LOCK_UN: 8,
} as const;

/** Commands of fcntl(2). */
// biome-ignore format: a table
export const F = {
  F_DUPFD: 0, F_GETFD: 1, F_SETFD: 2, F_GETFL: 3, F_SETFL: 4, F_DUPFD_CLOEXEC: 1030, F_SETPIPE_SZ: 1031, F_GETPIPE_SZ: 1032,
  F_ADD_SEALS: 1033, F_GET_SEALS: 1034, FD_CLOEXEC: 1,
} as const;

/** Flags of memfd_create(2). */
// biome-ignore format: a table
export const MFD = {
  MFD_CLOEXEC: 1, MFD_ALLOW_SEALING: 2, MFD_HUGETLB: 4, MFD_NOEXEC_SEAL: 8, MFD_EXEC: 0x10,
} as const;

/** Seals of a memfd, fcntl(2). */
// biome-ignore format: a table
export const F_SEAL = {
  F_SEAL_SEAL: 1, F_SEAL_SHRINK: 2, F_SEAL_GROW: 4, F_SEAL_WRITE: 8, F_SEAL_FUTURE_WRITE: 0x10, F_SEAL_EXEC: 0x20,
} as const;

/** Options of prctl(2). */
// biome-ignore format: a table
export const PR = {
  PR_SET_PDEATHSIG: 1, PR_GET_DUMPABLE: 3, PR_SET_DUMPABLE: 4, PR_GET_KEEPCAPS: 7, PR_SET_KEEPCAPS: 8, PR_SET_NAME: 15,
  PR_GET_NAME: 16, PR_GET_SECCOMP: 21, PR_CAPBSET_READ: 23, PR_CAPBSET_DROP: 24, PR_GET_SECUREBITS: 27, PR_SET_SECUREBITS: 28,
  PR_SET_CHILD_SUBREAPER: 36, PR_GET_CHILD_SUBREAPER: 37, PR_SET_NO_NEW_PRIVS: 38, PR_GET_NO_NEW_PRIVS: 39,
  PR_SET_THP_DISABLE: 41, PR_CAP_AMBIENT: 47, PR_CAP_AMBIENT_IS_SET: 1, PR_CAP_AMBIENT_RAISE: 2, PR_CAP_AMBIENT_LOWER: 3,
  PR_CAP_AMBIENT_CLEAR_ALL: 4, PR_SET_MM: 35, PR_SET_IO_FLUSHER: 57,
} as const;

/** Secure bits, capabilities(7). */
// biome-ignore format: a table
export const SECBIT = {
  SECBIT_NOROOT: 1, SECBIT_NOROOT_LOCKED: 2, SECBIT_NO_SETUID_FIXUP: 4, SECBIT_NO_SETUID_FIXUP_LOCKED: 8,
  SECBIT_KEEP_CAPS: 0x10, SECBIT_KEEP_CAPS_LOCKED: 0x20, SECBIT_NO_CAP_AMBIENT_RAISE: 0x40,
  SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED: 0x80,
} as const;

/** Capability numbers, capabilities(7). */
// biome-ignore format: a table
export const CAP = {
  CAP_CHOWN: 0, CAP_DAC_OVERRIDE: 1, CAP_DAC_READ_SEARCH: 2, CAP_FOWNER: 3, CAP_FSETID: 4, CAP_KILL: 5, CAP_SETGID: 6,
  CAP_SETUID: 7, CAP_SETPCAP: 8, CAP_LINUX_IMMUTABLE: 9, CAP_NET_BIND_SERVICE: 10, CAP_NET_BROADCAST: 11, CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13, CAP_IPC_LOCK: 14, CAP_IPC_OWNER: 15, CAP_SYS_MODULE: 16, CAP_SYS_RAWIO: 17, CAP_SYS_CHROOT: 18,
  CAP_SYS_PTRACE: 19, CAP_SYS_PACCT: 20, CAP_SYS_ADMIN: 21, CAP_SYS_BOOT: 22, CAP_SYS_NICE: 23, CAP_SYS_RESOURCE: 24,
  CAP_SYS_TIME: 25, CAP_SYS_TTY_CONFIG: 26, CAP_MKNOD: 27, CAP_LEASE: 28, CAP_AUDIT_WRITE: 29, CAP_AUDIT_CONTROL: 30,
  CAP_SETFCAP: 31, CAP_MAC_OVERRIDE: 32, CAP_MAC_ADMIN: 33, CAP_SYSLOG: 34, CAP_WAKE_ALARM: 35, CAP_BLOCK_SUSPEND: 36,
  CAP_AUDIT_READ: 37, CAP_PERFMON: 38, CAP_BPF: 39, CAP_CHECKPOINT_RESTORE: 40,
} as const;

/** Resources of prlimit(2). */
// biome-ignore format: a table
export const RLIMIT = {
  RLIMIT_CPU: 0, RLIMIT_FSIZE: 1, RLIMIT_DATA: 2, RLIMIT_STACK: 3, RLIMIT_CORE: 4, RLIMIT_RSS: 5, RLIMIT_NPROC: 6,
  RLIMIT_NOFILE: 7, RLIMIT_MEMLOCK: 8, RLIMIT_AS: 9, RLIMIT_LOCKS: 10, RLIMIT_SIGPENDING: 11, RLIMIT_MSGQUEUE: 12,
  RLIMIT_NICE: 13, RLIMIT_RTPRIO: 14, RLIMIT_RTTIME: 15,
} as const;

/** Policies and flags of sched_setattr(2). */
// biome-ignore format: a table
export const SCHED = {
  SCHED_OTHER: 0, SCHED_FIFO: 1, SCHED_RR: 2, SCHED_BATCH: 3, SCHED_IDLE: 5, SCHED_DEADLINE: 6, SCHED_FLAG_RESET_ON_FORK: 1,
  SCHED_FLAG_RECLAIM: 2, SCHED_FLAG_DL_OVERRUN: 4, SCHED_FLAG_KEEP_POLICY: 8, SCHED_FLAG_KEEP_PARAMS: 0x10,
  SCHED_FLAG_UTIL_CLAMP_MIN: 0x20, SCHED_FLAG_UTIL_CLAMP_MAX: 0x40,
} as const;

/** Classes and targets of ioprio_set(2). */
// biome-ignore format: a table
export const IOPRIO = {
  IOPRIO_CLASS_NONE: 0, IOPRIO_CLASS_RT: 1, IOPRIO_CLASS_BE: 2, IOPRIO_CLASS_IDLE: 3, IOPRIO_CLASS_SHIFT: 13,
  IOPRIO_WHO_PROCESS: 1, IOPRIO_WHO_PGRP: 2, IOPRIO_WHO_USER: 3,
} as const;

/** Modes and flags of set_mempolicy(2). */
// biome-ignore format: a table
export const MPOL = {
  MPOL_DEFAULT: 0, MPOL_PREFERRED: 1, MPOL_BIND: 2, MPOL_INTERLEAVE: 3, MPOL_LOCAL: 4, MPOL_PREFERRED_MANY: 5,
  MPOL_WEIGHTED_INTERLEAVE: 6,
  MPOL_F_STATIC_NODES: 32768, MPOL_F_RELATIVE_NODES: 16384, MPOL_F_NUMA_BALANCING: 8192,
} as const;

/** Domains and flags of personality(2). */
// biome-ignore format: a table
export const PER = {
  PER_LINUX: 0, PER_LINUX32: 8, UNAME26: 0x20000, ADDR_NO_RANDOMIZE: 0x40000, FDPIC_FUNCPTRS: 0x80000, MMAP_PAGE_ZERO: 0x100000,
  ADDR_COMPAT_LAYOUT: 0x200000, READ_IMPLIES_EXEC: 0x400000, ADDR_LIMIT_32BIT: 0x800000, SHORT_INODE: 0x1000000,
  WHOLE_SECONDS: 0x2000000, STICKY_TIMEOUTS: 0x4000000, ADDR_LIMIT_3GB: 0x8000000,
} as const;

/** Signal numbers, signal(7). */
// biome-ignore format: a table
export const SIG = {
  SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGILL: 4, SIGTRAP: 5, SIGABRT: 6, SIGBUS: 7, SIGFPE: 8, SIGKILL: 9, SIGUSR1: 10,
  SIGSEGV: 11, SIGUSR2: 12, SIGPIPE: 13, SIGALRM: 14, SIGTERM: 15, SIGSTKFLT: 16, SIGCHLD: 17, SIGCONT: 18, SIGSTOP: 19,
  SIGTSTP: 20, SIGTTIN: 21, SIGTTOU: 22, SIGURG: 23, SIGXCPU: 24, SIGXFSZ: 25, SIGVTALRM: 26, SIGPROF: 27, SIGWINCH: 28,
  SIGIO: 29, SIGPWR: 30, SIGSYS: 31, SIGRTMIN: 32, SIGRTMAX: 64,
} as const;

/** Terminal requests of ioctl(2), ioctl_tty(2). */
// biome-ignore format: a table
export const TIOC = {
  TCGETS: 0x5401, TCSETS: 0x5402, TCSETSW: 0x5403, TCSETSF: 0x5404, TIOCSCTTY: 0x540e, TIOCNOTTY: 0x5422, TIOCGWINSZ: 0x5413,
  TIOCSWINSZ: 0x5414, TIOCGPTN: 0x80045430, TIOCSPTLCK: 0x40045431, TIOCGPTPEER: 0x5441, TIOCGPGRP: 0x540f, TIOCSPGRP: 0x5410,
  FIONREAD: 0x541b,
} as const;

/** Bits of struct termios, termios(3). */
// biome-ignore format: a table
export const TERMIOS = {
  IGNBRK: 1, BRKINT: 2, PARMRK: 8, ISTRIP: 0x20, INLCR: 0x40, IGNCR: 0x80, ICRNL: 0x100, IXON: 0x400, OPOST: 1, CSIZE: 0x30,
  PARENB: 0x100, CS8: 0x30, ECHO: 8, ECHONL: 0x40, ICANON: 2, ISIG: 1, IEXTEN: 0x8000, VTIME: 5, VMIN: 6,
} as const;

/** Address families. */
// biome-ignore format: a table
export const AF = {
  AF_UNSPEC: 0, AF_UNIX: 1, AF_INET: 2, AF_INET6: 10, AF_NETLINK: 16, AF_PACKET: 17, AF_BRIDGE: 7, AF_VSOCK: 40,
} as const;

/** Socket types and flags, socket(2). */
// biome-ignore format: a table
export const SOCK = {
  SOCK_STREAM: 1, SOCK_DGRAM: 2, SOCK_RAW: 3, SOCK_SEQPACKET: 5, SOCK_CLOEXEC: 0x80000, SOCK_NONBLOCK: 0x800,
} as const;

/** Socket levels, options and ancillary types, socket(7). */
// biome-ignore format: a table
export const SO = {
  SOL_SOCKET: 1, SO_RCVBUF: 8, SO_SNDBUF: 7, SO_PASSCRED: 16, SO_PEERCRED: 17, SO_PEERGROUPS: 59, SO_RCVTIMEO: 20, SO_ATTACH_FILTER: 26, SIOCGSKNS: 0x894c, SO_RCVBUFFORCE: 33,
  SO_SNDBUFFORCE: 32, SO_SNDTIMEO: 21, SO_ERROR: 4, SO_TYPE: 3, SO_REUSEADDR: 2, SO_NETNS_COOKIE: 71, SCM_RIGHTS: 1, SCM_CREDENTIALS: 2,
} as const;

/** Protocols and options of ip(7) and ipv6(7). */
// biome-ignore format: a table
export const IPPROTO = {
  IPPROTO_TCP: 6, IPPROTO_UDP: 17, IPPROTO_SCTP: 132, IPPROTO_IPV6: 41, IPV6_V6ONLY: 26,
} as const;

/** Flags of send(2) and recv(2). */
// biome-ignore format: a table
export const MSG = {
  MSG_PEEK: 2, MSG_CTRUNC: 8, MSG_TRUNC: 0x20, MSG_DONTWAIT: 0x40, MSG_NOSIGNAL: 0x4000, MSG_CMSG_CLOEXEC: 0x40000000,
} as const;

/** Operations, flags and events of epoll(7). */
// biome-ignore format: a table
export const EPOLL = {
  EPOLL_CLOEXEC: 0x80000, EPOLL_CTL_ADD: 1, EPOLL_CTL_DEL: 2, EPOLL_CTL_MOD: 3, EPOLLIN: 1, EPOLLOUT: 4, EPOLLERR: 8, EPOLLHUP: 0x10,
  EPOLLRDHUP: 0x2000,
} as const;

/** Events of poll(2). */
// biome-ignore format: a table
export const POLL = {
  POLLIN: 1, POLLPRI: 2, POLLOUT: 4, POLLERR: 8, POLLHUP: 0x10, POLLNVAL: 0x20,
} as const;

/** Flags of eventfd(2). */
// biome-ignore format: a table
export const EFD = {
  EFD_SEMAPHORE: 1, EFD_CLOEXEC: 0x80000, EFD_NONBLOCK: 0x800,
} as const;

/** Events and flags of inotify(7). */
// biome-ignore format: a table
export const IN = {
  IN_ACCESS: 1, IN_MODIFY: 2, IN_ATTRIB: 4, IN_CLOSE_WRITE: 8, IN_CLOSE_NOWRITE: 0x10, IN_OPEN: 0x20, IN_MOVED_FROM: 0x40,
  IN_MOVED_TO: 0x80, IN_CREATE: 0x100, IN_DELETE: 0x200, IN_DELETE_SELF: 0x400, IN_MOVE_SELF: 0x800, IN_UNMOUNT: 0x2000,
  IN_Q_OVERFLOW: 0x4000, IN_IGNORED: 0x8000, IN_ONLYDIR: 0x1000000, IN_DONT_FOLLOW: 0x2000000, IN_EXCL_UNLINK: 0x4000000,
  IN_MASK_CREATE: 0x10000000, IN_MASK_ADD: 0x20000000, IN_ISDIR: 0x40000000, IN_ONESHOT: 0x80000000, IN_CLOEXEC: 0x80000,
  IN_NONBLOCK: 0x800,
} as const;

/** Flags of getrandom(2). */
// biome-ignore format: a table
export const GRND = {
  GRND_NONBLOCK: 1, GRND_RANDOM: 2, GRND_INSECURE: 4,
} as const;

/** Flags of close_range(2). */
// biome-ignore format: a table
export const CLOSE_RANGE = {
  CLOSE_RANGE_UNSHARE: 2, CLOSE_RANGE_CLOEXEC: 4,
} as const;

/** Loop devices, loop(4). */
// biome-ignore format: a table
export const LOOP = {
  LOOP_CONFIGURE: 19466, LOOP_CLR_FD: 19457, LOOP_GET_STATUS64: 19461, LOOP_CTL_GET_FREE: 19586, LO_FLAGS_READ_ONLY: 1,
  LO_FLAGS_AUTOCLEAR: 4, LO_FLAGS_PARTSCAN: 8, LO_FLAGS_DIRECT_IO: 0x10,
} as const;

/** fs-verity, linux/fsverity.h. */
// biome-ignore format: a table
export const VERITY = {
  FS_IOC_ENABLE_VERITY: 0x40806685, FS_IOC_MEASURE_VERITY: 0xc0046686, FS_VERITY_HASH_ALG_SHA256: 1,
} as const;

/** bpf(2): commands, program types, attach types and flags. */
// biome-ignore format: a table
export const BPF = {
  BPF_PROG_LOAD: 5, BPF_PROG_ATTACH: 8, BPF_PROG_DETACH: 9, BPF_PROG_GET_FD_BY_ID: 13, BPF_PROG_QUERY: 16,
  BPF_PROG_TYPE_CGROUP_SKB: 8, BPF_PROG_TYPE_CGROUP_SOCK: 9, BPF_PROG_TYPE_CGROUP_DEVICE: 15, BPF_PROG_TYPE_CGROUP_SYSCTL: 23,
  BPF_CGROUP_INET_INGRESS: 0, BPF_CGROUP_INET_EGRESS: 1, BPF_CGROUP_DEVICE: 6, BPF_F_ALLOW_OVERRIDE: 1, BPF_F_ALLOW_MULTI: 2,
  BPF_F_REPLACE: 4, BPF_F_QUERY_EFFECTIVE: 1, BPF_DEVCG_ACC_MKNOD: 1, BPF_DEVCG_ACC_READ: 2, BPF_DEVCG_ACC_WRITE: 4,
  BPF_DEVCG_DEV_BLOCK: 1, BPF_DEVCG_DEV_CHAR: 2,
} as const;

/** seccomp(2): operations, filter flags and actions. */
// biome-ignore format: a table
export const SECCOMP = {
  SECCOMP_SET_MODE_STRICT: 0, SECCOMP_SET_MODE_FILTER: 1, SECCOMP_GET_ACTION_AVAIL: 2, SECCOMP_GET_NOTIF_SIZES: 3,
  SECCOMP_FILTER_FLAG_TSYNC: 1, SECCOMP_FILTER_FLAG_LOG: 2, SECCOMP_FILTER_FLAG_SPEC_ALLOW: 4,
  SECCOMP_FILTER_FLAG_NEW_LISTENER: 8, SECCOMP_FILTER_FLAG_TSYNC_ESRCH: 0x10, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: 0x20,
  SECCOMP_RET_KILL_PROCESS: 0x80000000, SECCOMP_RET_KILL_THREAD: 0, SECCOMP_RET_TRAP: 0x30000, SECCOMP_RET_ERRNO: 0x50000,
  SECCOMP_RET_USER_NOTIF: 0x7fc00000, SECCOMP_RET_TRACE: 0x7ff00000, SECCOMP_RET_LOG: 0x7ffc0000, SECCOMP_RET_ALLOW: 0x7fff0000,
} as const;

/** File system types that statfs(2) returns. */
// biome-ignore format: a table
export const MAGIC = {
  TMPFS_MAGIC: 0x1021994, EXT4_SUPER_MAGIC: 0xef53, XFS_SUPER_MAGIC: 0x58465342, BTRFS_SUPER_MAGIC: 0x9123683e,
  OVERLAYFS_SUPER_MAGIC: 0x794c7630, EROFS_SUPER_MAGIC_V1: 0xe0f5e1e2, CGROUP_SUPER_MAGIC: 0x27e0eb,
  CGROUP2_SUPER_MAGIC: 0x63677270, PROC_SUPER_MAGIC: 0x9fa0, SYSFS_MAGIC: 0x62656572, NSFS_MAGIC: 0x6e736673,
  NFS_SUPER_MAGIC: 0x6969, DEVPTS_SUPER_MAGIC: 0x1cd1, BPF_FS_MAGIC: 0xcafe4a11,
} as const;
