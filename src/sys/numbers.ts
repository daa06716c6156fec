/**
 * System call numbers by architecture: [x86_64, arm64]. arm64 has the kernel's generic table, which lacks the calls that a
 * newer one replaces (open, mkdir, pipe, dup2, epoll_wait): use the newer one everywhere.
 */

// biome-ignore format: a table
export const numbers = {
  read: [0, 63], write: [1, 64], close: [3, 57], ioctl: [16, 29], openat: [257, 56], openat2: [437, 437], mkdirat: [258, 34],
  mknodat: [259, 33], symlinkat: [266, 36], linkat: [265, 37], unlinkat: [263, 35], renameat2: [316, 276], fchownat: [260, 54],
  fchmodat: [268, 53], fchmodat2: [452, 452], fchmod: [91, 52], fchown: [93, 55], utimensat: [280, 88], readlinkat: [267, 78],
  pread64: [17, 67], pwrite64: [18, 68], lseek: [8, 62], fsync: [74, 82], fdatasync: [75, 83], syncfs: [306, 267],
  sync: [162, 81], fallocate: [285, 47], ftruncate: [77, 46], copy_file_range: [326, 285], sendfile: [40, 71], splice: [275, 76],
  dup: [32, 23], dup3: [292, 24], fcntl: [72, 25], pipe2: [293, 59], memfd_create: [319, 279], flock: [73, 32],
  statx: [332, 291], statfs: [137, 43], fstatfs: [138, 44], faccessat2: [439, 439], getxattr: [191, 8], lgetxattr: [192, 9],
  fgetxattr: [193, 10], setxattr: [188, 5], lsetxattr: [189, 6], fsetxattr: [190, 7], listxattr: [194, 11],
  llistxattr: [195, 12], flistxattr: [196, 13], removexattr: [197, 14], lremovexattr: [198, 15], fremovexattr: [199, 16],
  getdents64: [217, 61], fadvise64: [221, 223], sync_file_range: [277, 84], close_range: [436, 436],
  name_to_handle_at: [303, 264], chdir: [80, 49], fchdir: [81, 50], chroot: [161, 51], pivot_root: [155, 41], fsopen: [430, 430],
  fsconfig: [431, 431], fsmount: [432, 432], fspick: [433, 433], open_tree: [428, 428], move_mount: [429, 429],
  mount_setattr: [442, 442], mount: [165, 40], umount2: [166, 39], unshare: [272, 97], setns: [308, 268], pidfd_open: [434, 434],
  pidfd_send_signal: [424, 424], pidfd_getfd: [438, 438], clone3: [435, 435], kill: [62, 129], tgkill: [234, 131],
  wait4: [61, 260], waitid: [247, 95], prctl: [157, 167], prlimit64: [302, 261], capget: [125, 90], capset: [126, 91],
  getpid: [39, 172], getppid: [110, 173], gettid: [186, 178], getuid: [102, 174], geteuid: [107, 175], getgid: [104, 176],
  getegid: [108, 177], setfsuid: [122, 151], setfsgid: [123, 152], getgroups: [115, 158], setsid: [112, 157], getsid: [124, 156], getpgid: [121, 155], setpgid: [109, 154],
  umask: [95, 166], sched_getaffinity: [204, 123], sysinfo: [99, 179], uname: [63, 160], sethostname: [170, 161],
  personality: [135, 92], mmap: [9, 222], munmap: [11, 215], mprotect: [10, 226], socket: [41, 198], bind: [49, 200],
  listen: [50, 201], accept4: [288, 242], connect: [42, 203], socketpair: [53, 199], sendmsg: [46, 211], recvmsg: [47, 212],
  sendto: [44, 206], recvfrom: [45, 207], getsockopt: [55, 209], setsockopt: [54, 208], shutdown: [48, 210],
  getsockname: [51, 204], eventfd2: [290, 19], inotify_init1: [294, 26], inotify_add_watch: [254, 27],
  inotify_rm_watch: [255, 28], epoll_create1: [291, 20], epoll_ctl: [233, 21], epoll_pwait: [281, 22], ppoll: [271, 73],
  getrandom: [318, 278], bpf: [321, 280], seccomp: [317, 277], keyctl: [250, 219], add_key: [248, 217],
  landlock_create_ruleset: [444, 444], landlock_add_rule: [445, 445], landlock_restrict_self: [446, 446],
  timerfd_create: [283, 85], timerfd_settime: [286, 86], statmount: [457, 457], listmount: [458, 458], quotactl: [179, 60],
  swapon: [167, 224], finit_module: [313, 273], init_module: [175, 105], delete_module: [176, 106], reboot: [169, 142],
  acct: [163, 89], setpriority: [141, 140], ioprio_set: [251, 30], ioprio_get: [252, 31], sched_setattr: [314, 274],
  exit_group: [231, 94], process_vm_readv: [310, 270], rt_sigprocmask: [14, 135], signalfd4: [289, 74],
} as const;

/** A system call that the table knows. */
export type Call = keyof typeof numbers;
