// Generated from src/plan/ops.ts by scripts/generate-ops.ts. Do not edit.
#ifndef ONGGI_OPS_H
#define ONGGI_OPS_H

#define PLAN_MAGIC "ONGGIPLN"
#define PLAN_VERSION 1
#define PLAN_HEADER_SIZE 96
#define PLAN_OP_SIZE 64
#define PLAN_MAX_ARGS 6
#define REG_COUNT 255
#define REG_STDIN 0
#define REG_STDOUT 1
#define REG_STDERR 2
#define REG_PTY_MASTER 3
#define REG_SYNC 4
#define REG_STATE 5
#define REG_OOM 6
#define REG_PEER 7
#define REG_PASSED 8
#define REG_FREE 24
#define EVENT_CREATED 1
#define EVENT_MOUNTED 2
#define EVENT_FILTERED 3
#define EVENT_BORN 4

// X(number, name, argument types, returns a descriptor); types: r register, i integer, s string, b bytes, l string list
#define PLAN_OPS(X) \
  X(OP_OPEN, "open", "rsiii", 1) \
  X(OP_CLOSE, "close", "r", 0) \
  X(OP_WRITE, "write", "rb", 0) \
  X(OP_MKDIR, "mkdir", "rsi", 0) \
  X(OP_MKNOD, "mknod", "rsii", 0) \
  X(OP_SYMLINK, "symlink", "srs", 0) \
  X(OP_CHOWN, "chown", "rsiii", 0) \
  X(OP_CHMOD, "chmod", "rsi", 0) \
  X(OP_CHDIR, "chdir", "s", 0) \
  X(OP_FCHDIR, "fchdir", "r", 0) \
  X(OP_CHROOT, "chroot", "s", 0) \
  X(OP_DUP, "dup", "rii", 1) \
  X(OP_CLOSE_RANGE, "closeRange", "iii", 0) \
  X(OP_IOCTL_INT, "ioctlInt", "rii", 1) \
  X(OP_IOCTL_DATA, "ioctlData", "rib", 0) \
  X(OP_FSOPEN, "fsopen", "si", 1) \
  X(OP_FSCONFIG_FLAG, "fsconfigFlag", "rs", 0) \
  X(OP_FSCONFIG_STRING, "fsconfigString", "rss", 0) \
  X(OP_FSCONFIG_FD, "fsconfigFd", "rsr", 0) \
  X(OP_FSCONFIG_CREATE, "fsconfigCreate", "r", 0) \
  X(OP_FSMOUNT, "fsmount", "rii", 1) \
  X(OP_OPEN_TREE, "openTree", "rsi", 1) \
  X(OP_MOVE_MOUNT, "moveMount", "rsrsi", 0) \
  X(OP_REFUSE_FS, "refuseFs", "ri", 0) \
  X(OP_MOUNT_SETATTR, "mountSetattr", "rsiiii", 0) \
  X(OP_MOUNT_IDMAP, "mountIdmap", "rir", 0) \
  X(OP_MOUNT, "mount", "sssis", 0) \
  X(OP_UMOUNT, "umount", "si", 0) \
  X(OP_PIVOT_ROOT, "pivotRoot", "ss", 0) \
  X(OP_UNSHARE, "unshare", "i", 0) \
  X(OP_SETNS, "setns", "ri", 0) \
  X(OP_PIDFD_OPEN, "pidfdOpen", "ii", 1) \
  X(OP_SETHOSTNAME, "sethostname", "b", 0) \
  X(OP_SETDOMAINNAME, "setdomainname", "b", 0) \
  X(OP_PRCTL, "prctl", "iiiii", 0) \
  X(OP_SETGROUPS, "setgroups", "b", 0) \
  X(OP_SETRESUID, "setresuid", "iii", 0) \
  X(OP_SETRESGID, "setresgid", "iii", 0) \
  X(OP_CAPSET, "capset", "iii", 0) \
  X(OP_UMASK, "umask", "i", 0) \
  X(OP_PRLIMIT, "prlimit", "iii", 0) \
  X(OP_PERSONALITY, "personality", "i", 0) \
  X(OP_SCHED_SETATTR, "schedSetattr", "b", 0) \
  X(OP_SCHED_SETAFFINITY, "schedSetaffinity", "b", 0) \
  X(OP_IOPRIO_SET, "ioprioSet", "iii", 0) \
  X(OP_SET_MEMPOLICY, "setMempolicy", "ibi", 0) \
  X(OP_SETSID, "setsid", "", 0) \
  X(OP_KEYCTL_JOIN, "keyctlJoin", "s", 0) \
  X(OP_SECCOMP, "seccomp", "ib", 1) \
  X(OP_EXECVE, "execve", "sll", 0) \
  X(OP_NOTIFY, "notify", "i", 0) \
  X(OP_AWAIT, "await", "", 0) \
  X(OP_RELEASE, "release", "", 0) \
  X(OP_OPEN_PROC, "openProc", "", 1) \
  X(OP_FAIL, "fail", "", 0) \
  X(OP_SOCKET, "socket", "iii", 1) \
  X(OP_FORK, "fork", "", 0) \
  X(OP_LOOK_UP, "lookUp", "l", 0) \
  X(OP_AWAIT_START, "awaitStart", "rr", 0) \
  X(OP_SEND_FD, "sendFd", "ri", 0) \
  X(OP_RUN_HOOK, "runHook", "sllri", 0) \
  X(OP_EXECVEAT, "execveat", "rll", 0)

#define PLAN_OP_NUMBER(number, name, types, returns) number,
enum op_kind { PLAN_OPS(PLAN_OP_NUMBER) };
#undef PLAN_OP_NUMBER
#define OP_KINDS 62

#endif
