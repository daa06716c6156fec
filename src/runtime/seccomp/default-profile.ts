/**
 * Docker's default seccomp profile: every system call it allows and on which condition. What it leaves out answers EPERM,
 * io_uring, kexec, swap, the keyring and the like among them, and what is newer than all of it ENOSYS (`enosys.ts`).
 * It is the part for x86_64 and arm64. Facts from moby's profiles/seccomp/default.json of June 2026.
 */
import type { Condition, ConditionalProfile, ConditionalRule } from "./types.ts";

const words = (text: string): string[] => text.trim().split(/\s+/);

/** Calls that are allowed without a condition on their arguments, on a condition of the container. */
const allow = (includes: Condition | null, names: string): ConditionalRule => ({
  names: words(names),
  action: "SCMP_ACT_ALLOW",
  ...(includes ? { includes } : {}),
});

/** A call that is allowed if one argument compares so. */
const allowIf = (name: string, index: number, op: string, value: number): ConditionalRule => ({
  names: [name],
  action: "SCMP_ACT_ALLOW",
  args: [{ index, op, value }],
});

const caps = (...names: string[]): Condition => ({ caps: names });
const arches = (...names: string[]): Condition => ({ arches: names });

const AF_ALG = 38;
const AF_VSOCK = 40;

/** CLONE_NEW: NS, CGROUP, UTS, IPC, USER, PID, NET. clone(2) may not make a namespace without CAP_SYS_ADMIN. */
const CLONE_NEW = 0x0002_0000 | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000;

/** personality(2): PER_LINUX, PER_LINUX32, either with UNAME26, and 0xffffffff, which only asks. */
const PERSONALITIES = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

const ALWAYS = `
  _llseek _newselect accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32
  clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
  clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl
  epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group
  faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32
  fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs
  fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat
  get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32
  getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32
  getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr
  getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents
  io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill landlock_add_rule landlock_create_ruleset
  landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr listxattrat llistxattr
  lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir
  mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive
  mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock
  munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2
  pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease
  pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg
  recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall riscv_hwprobe
  rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
  rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
  sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
  sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send
  sendfile sendfile64 sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid
  setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32
  setresuid setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr setxattrat shmat shmctl
  shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs
  statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete
  timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
  timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat
  uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev
`;

export const DEFAULT_PROFILE: ConditionalProfile = Object.freeze({
  defaultAction: "SCMP_ACT_ERRNO",
  defaultErrnoRet: 1,
  archMap: [
    { architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86", "SCMP_ARCH_X32"] },
    { architecture: "SCMP_ARCH_AARCH64", subArchitectures: ["SCMP_ARCH_ARM"] },
  ],
  syscalls: [
    allow(null, ALWAYS),
    // ptrace was a way round seccomp before 4.8.
    allow({ minKernel: "4.8" }, "process_vm_readv process_vm_writev ptrace"),
    // Every address family but AF_ALG (the kernel's crypto) and AF_VSOCK (the hypervisor, which has no namespaces).
    allowIf("socket", 0, "SCMP_CMP_LT", AF_ALG),
    allowIf("socket", 0, "SCMP_CMP_EQ", AF_ALG + 1),
    allowIf("socket", 0, "SCMP_CMP_GT", AF_VSOCK),
    ...PERSONALITIES.map((value) => allowIf("personality", 0, "SCMP_CMP_EQ", value)),
    allow(arches("arm", "arm64"), "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls"),
    allow(arches("amd64", "x32"), "arch_prctl"),
    allow(arches("amd64", "x32", "x86"), "modify_ldt"),
    allow(caps("CAP_DAC_READ_SEARCH"), "open_by_handle_at"),
    allow(
      caps("CAP_SYS_ADMIN"),
      `bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules
       lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname
       sethostname setns syslog umount umount2 unshare`,
    ),
    {
      names: ["clone"],
      action: "SCMP_ACT_ALLOW",
      args: [{ index: 0, op: "SCMP_CMP_MASKED_EQ", value: CLONE_NEW, valueTwo: 0 }],
      excludes: caps("CAP_SYS_ADMIN"),
    },
    // A filter cannot read the flags of clone3, which are in memory: ENOSYS makes the libc use clone.
    { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: 38, excludes: { caps: ["CAP_SYS_ADMIN"] } },
    allow(caps("CAP_SYS_BOOT"), "reboot"),
    allow(caps("CAP_SYS_CHROOT"), "chroot"),
    allow(caps("CAP_SYS_MODULE"), "delete_module init_module finit_module"),
    allow(caps("CAP_SYS_PACCT"), "acct"),
    allow(caps("CAP_SYS_PTRACE"), "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"),
    allow(caps("CAP_SYS_RAWIO"), "iopl ioperm"),
    allow(caps("CAP_SYS_TIME"), "settimeofday stime clock_settime clock_settime64"),
    allow(caps("CAP_SYS_TTY_CONFIG"), "vhangup"),
    allow(caps("CAP_SYS_NICE"), "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    allow(caps("CAP_SYSLOG"), "syslog"),
    allow(caps("CAP_BPF"), "bpf"),
    allow(caps("CAP_PERFMON"), "perf_event_open"),
  ],
} satisfies ConditionalProfile);
