// Numbers, flags and structures of system calls that the headers of Debian 12's libc lack or spread over headers that
// contradict each other. From the kernel's uapi headers; numbers since 5.1 are the same on every architecture.
#ifndef ONGGI_CALLS_H
#define ONGGI_CALLS_H

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_open_tree
#define SYS_open_tree 428
#define SYS_move_mount 429
#define SYS_fsopen 430
#define SYS_fsconfig 431
#define SYS_fsmount 432
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif
#ifndef SYS_newfstatat // the same call has the name of its 64-bit kin on some architectures
#define SYS_newfstatat SYS_fstatat64
#endif

#define FSCONFIG_FLAG 0
#define FSCONFIG_STRING 1
#define FSCONFIG_FD 5
#define FSCONFIG_CREATE 6
#define MOUNT_IDMAP 0x00100000
#define SECCOMP_MODE_FILTER 1
#define KEYCTL_JOIN 1
#define CAPABILITY_V3 0x20080522
#define RANGE_UNSHARE 2
#define RANGE_CLOEXEC 4

// clone3(2), linux/sched.h
#define CLONE_FLAG_FILES 0x00000400ULL
#define CLONE_FLAG_PIDFD 0x00001000ULL
#define CLONE_FLAG_PARENT 0x00008000ULL
#define CLONE_FLAG_PARENT_SETTID 0x00100000ULL
#define CLONE_FLAG_CLEAR_SIGHAND 0x100000000ULL
#define CLONE_FLAG_INTO_CGROUP 0x200000000ULL
// NEWTIME NEWNS NEWCGROUP NEWUTS NEWIPC NEWUSER NEWPID NEWNET: all that a plan may ask for besides FILES
#define CLONE_FLAGS_NAMESPACES 0x7e020080ULL

struct clone3_args {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

// openat2(2)
struct open2_how {
  uint64_t flags, mode, resolve;
};

// mount_setattr(2)
struct mount_attributes {
  uint64_t set, clear, propagation, userns_fd;
};

#endif
