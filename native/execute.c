// The executor: one operation, one system call.
//
// It runs in the shim (`before`, `after`), with all the engine's rights in the host's namespaces, and in the child
// (`child`), between clone3 and execve, in the container's namespaces with whatever rights the plan has left it. The
// child's memory is a copy of the shim's: it allocates nothing, calls nothing of libc but syscall(2), and touches nothing
// that the shim sees but the shared page. The plan was checked by decode.c, so every argument is what its type says.
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/uio.h>

#include "calls.h"
#include "hook.h"
#include "plan.h"

#define UNSHARE_FILES 0x400
#define OPEN_TRIES 128

static int fd_of(const struct context *context, const struct plan_op *op, int i) {
  return op->args[i] == 0xffffff9cu ? AT_FDCWD : context->shared->reg[op->args[i]];
}

static char *data_of(const struct context *context, const struct plan_op *op, int i) {
  return op->args[i] == 0 ? NULL : (char *)context->plan->bytes + (op->args[i] & 0xffffffffu);
}

static size_t length_of(const struct plan_op *op, int i) { return op->args[i] >> 32; }

// A register that is unset makes the operation pointless: it is skipped.
static bool uses_unset(const struct context *context, const struct plan_op *op) {
#define TYPES(number, name, types, returns) types,
  static const char *const types[OP_KINDS] = {PLAN_OPS(TYPES)};
#undef TYPES
  for (int i = 0; i < op->argc; i++) {
    if (types[op->kind][i] == 'r' && fd_of(context, op, i) == -1) return true;
  }
  return false;
}

// A write that the kernel cut short has not done what the plan says.
static long write_all(int fd, const void *data, size_t length) {
  long written = syscall(SYS_write, fd, data, length);
  if (written < 0 || (size_t)written == length) return written;
  errno = EIO;
  return -1;
}

// From here on the child's descriptors are its own: what the registers hold now, the shim has to close.
static long left_table(struct context *context, long result) {
  if (result == 0 && context->in_child) {
    memcpy(context->shared->kept, context->shared->reg, sizeof context->shared->kept);
    context->shared->own_table = 1;
  }
  return result;
}

static long do_close(struct context *context, const struct plan_op *op) {
  int fd = fd_of(context, op, 0);
  if (op->args[0] < REG_COUNT) context->shared->reg[op->args[0]] = -1;
  return syscall(SYS_close, fd);
}

static long do_mount_setattr(const struct context *context, const struct plan_op *op, bool idmap) {
  struct mount_attributes attributes = {0};
  if (idmap) {
    attributes.set = MOUNT_IDMAP;
    attributes.userns_fd = (uint64_t)fd_of(context, op, 2);
    return syscall(SYS_mount_setattr, fd_of(context, op, 0), "", op->args[1], &attributes, sizeof attributes);
  }
  attributes.set = op->args[3];
  attributes.clear = op->args[4];
  attributes.propagation = op->args[5];
  return syscall(SYS_mount_setattr, fd_of(context, op, 0), data_of(context, op, 1), op->args[2], &attributes,
                 sizeof attributes);
}

static long do_capset(const struct plan_op *op) {
  struct __user_cap_header_struct header = {CAPABILITY_V3, 0};
  struct __user_cap_data_struct sets[2];
  for (int i = 0; i < 2; i++) {
    sets[i].effective = (uint32_t)(op->args[0] >> (32 * i));
    sets[i].permitted = (uint32_t)(op->args[1] >> (32 * i));
    sets[i].inheritable = (uint32_t)(op->args[2] >> (32 * i));
  }
  return syscall(SYS_capset, &header, sets);
}

static long do_seccomp(const struct context *context, const struct plan_op *op) {
  struct {
    unsigned short length;
    void *filter;
  } program = {(unsigned short)(length_of(op, 1) / 8), data_of(context, op, 1)};
  if (length_of(op, 1) / 8 > 65535) {
    errno = EINVAL;
    return -1;
  }
  return syscall(SYS_seccomp, SECCOMP_MODE_FILTER, op->args[0], &program);
}

void report_failure(const struct context *context, uint32_t index, int error) {
  uint8_t message[8] = {SAY_FAILED, 0, (uint8_t)index, (uint8_t)(index >> 8)};
  memcpy(message + 4, &error, sizeof error);
  syscall(SYS_write, context->result > 0 ? context->result : context->shared->reg[REG_SYNC], message, sizeof message);
}

// The shim learns of execve's success by the close-on-exec end of the hand-shake socket. It can only do so once it has
// closed its own copy of that end, and it does that at `created`: so a child that never notifies must not get further.
static long do_execve(struct context *context, const struct plan_op *op, bool open) {
  char **pointers = context->plan->pointers;
  if (!context->shared->notified) {
    errno = EPROTO;
    return -1;
  }
  context->shared->executing = 1;
  char **argv = pointers + op->args[1], **envp = pointers + op->args[2];
  long result = open ? syscall(SYS_execveat, fd_of(context, op, 0), "", argv, envp, AT_EMPTY_PATH)
                     : syscall(SYS_execve, data_of(context, op, 0), argv, envp);
  context->shared->executing = 0;
  if (errno == EACCES) context->exec_denied = true;
  return result;
}

// The shim closes its registers at `created`; with a shared table that would close the child's.
static long do_notify(const struct context *context, const struct plan_op *op) {
  uint8_t message[2] = {SAY_EVENT, (uint8_t)op->args[0]};
  if (op->args[0] == EVENT_CREATED) {
    if (!context->shared->own_table) {
      errno = EPROTO;
      return -1;
    }
    context->shared->notified = 1;
  }
  return syscall(SYS_write, context->shared->reg[REG_SYNC], message, sizeof message);
}

static long do_await(const struct context *context) {
  uint8_t byte;
  long got = syscall(SYS_read, context->shared->reg[REG_SYNC], &byte, 1);
  if (got != 0) return got;
  errno = EPIPE; // the shim is gone
  return -1;
}

// With a descriptor beside it, for whoever carries the plan out.
static long do_send_fd(const struct context *context, const struct plan_op *op) {
  uint8_t bytes[2] = {SAY_EVENT, (uint8_t)op->args[1]};
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
  int fd = fd_of(context, op, 0);
  memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
  struct iovec vector = {bytes, sizeof bytes};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  return syscall(SYS_sendmsg, context->shared->reg[REG_SYNC], &message, MSG_NOSIGNAL);
}

// From here on there is nobody at the hand-shake socket: failures go to the FIFO that the starter reads.
static long do_await_start(struct context *context, const struct plan_op *op) {
  uint8_t byte;
  int result = fd_of(context, op, 1);
  long got;
  do got = syscall(SYS_read, fd_of(context, op, 0), &byte, 1);
  while (got < 0 && errno == EINTR);
  if (got > 0) context->result = result;
  if (got != 0) return got;
  errno = EPIPE;
  return -1;
}

// The clone goes on as another process: its sibling, born into the namespaces that setns and unshare have kept for children.
// What it was cloned from ends; its status means nothing once `forked` is set, which the kernel does before either runs.
static long do_fork(const struct context *context) {
  struct clone3_args args = {.flags = CLONE_FLAG_PARENT | CLONE_FLAG_PARENT_SETTID,
                             .parent_tid = (uint64_t)(uintptr_t)&context->shared->forked};
  long pid = syscall(SYS_clone3, &args, sizeof args);
  while (pid > 0) syscall(SYS_exit_group, 255);
  return pid;
}

// A seccomp filter that is already loaded may forbid the question, with an errno of its choice: many an older profile does not
// know faccessat2. Then a mode bit must do, and execve has the last word.
static bool may_execute(const char *path, const struct stat *status) {
  if (!S_ISREG(status->st_mode)) return false;
  if (syscall(SYS_faccessat2, AT_FDCWD, path, X_OK, AT_EACCESS) == 0) return true;
  return errno != EACCES && (status->st_mode & 0111) != 0;
}

// The first of several files that may be executed; as execvp(3) and the shells do, but without running it.
static long do_look_up(const struct context *context, const struct plan_op *op) {
  bool denied = false;
  for (char **path = context->plan->pointers + op->args[0]; *path; path++) {
    struct stat status;
    if (syscall(SYS_newfstatat, AT_FDCWD, *path, &status, 0) != 0) {
      denied |= errno == EACCES;
    } else if (may_execute(*path, &status)) {
      return 0;
    } else {
      denied = true;
    }
  }
  errno = denied ? EACCES : ENOENT;
  return -1;
}

static long do_open_proc(const struct context *context) {
  char text[32];
  char *start = text + sizeof text - 1;
  *start = 0;
  for (unsigned rest = (unsigned)context->child; rest > 0; rest /= 10) *--start = (char)('0' + rest % 10);
  start -= 6;
  memcpy(start, "/proc/", 6);
  return syscall(SYS_openat, AT_FDCWD, start, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
}

static long do_release(const struct context *context) {
  uint8_t byte = 1;
  return syscall(SYS_sendto, context->sync, &byte, 1, 0x4000 /* MSG_NOSIGNAL */, NULL, 0);
}

// With RESOLVE_IN_ROOT or RESOLVE_BENEATH the kernel gives up with EAGAIN when something was renamed or mounted anywhere on
// the machine while it went through a ".."; openat2(2) says to try again.
static long do_open(const struct context *context, const struct plan_op *op) {
  struct open2_how how = {op->args[2], op->args[3], op->args[4]};
  long fd = -1;
  for (int tries = 0; tries < OPEN_TRIES; tries++) {
    fd = syscall(SYS_openat2, fd_of(context, op, 0), data_of(context, op, 1), &how, sizeof how);
    if (fd >= 0 || errno != EAGAIN) break;
  }
  return fd;
}

// Of the child once it exists, otherwise of the process that makes the call.
static long do_prlimit(const struct context *context, const struct plan_op *op) {
  uint64_t limit[2] = {op->args[1], op->args[2]};
  return syscall(SYS_prlimit64, context->child, op->args[0], limit, NULL);
}

static long refuse_fs(int fd, uint64_t magic) {
  struct statfs found;
  if (syscall(SYS_fstatfs, fd, &found) != 0) return -1;
  if ((uint64_t)found.f_type != magic) return 0;
  errno = EPERM;
  return -1;
}

// What each argument of a call is made of: a descriptor, a pointer, its length, a number.
#define FD(i) fd_of(context, op, i)
#define PTR(i) data_of(context, op, i)
#define LEN(i) length_of(op, i)
#define NUM(i) op->args[i]

// clang-format off
static long run(struct context *context, const struct plan_op *op) {
  switch ((enum op_kind)op->kind) {
    case OP_OPEN: return do_open(context, op);
    case OP_CLOSE: return do_close(context, op);
    case OP_WRITE: return write_all(FD(0), PTR(1), LEN(1));
    case OP_MKDIR: return syscall(SYS_mkdirat, FD(0), PTR(1), NUM(2));
    case OP_MKNOD: return syscall(SYS_mknodat, FD(0), PTR(1), NUM(2), NUM(3));
    case OP_SYMLINK: return syscall(SYS_symlinkat, PTR(0), FD(1), PTR(2));
    case OP_CHOWN: return syscall(SYS_fchownat, FD(0), PTR(1), NUM(2), NUM(3), NUM(4));
    case OP_CHMOD: return syscall(SYS_fchmodat, FD(0), PTR(1), NUM(2));
    case OP_CHDIR: return syscall(SYS_chdir, PTR(0));
    case OP_FCHDIR: return syscall(SYS_fchdir, FD(0));
    case OP_CHROOT: return syscall(SYS_chroot, PTR(0));
    // dup3 refuses what is where it shall be already
    case OP_DUP: return FD(0) == (int)NUM(1) ? FD(0) : syscall(SYS_dup3, FD(0), NUM(1), NUM(2));
    case OP_CLOSE_RANGE: {
      long result = syscall(SYS_close_range, NUM(0), NUM(1), NUM(2));
      return (NUM(2) & RANGE_UNSHARE) ? left_table(context, result) : result;
    }
    case OP_IOCTL_INT: return syscall(SYS_ioctl, FD(0), NUM(1), NUM(2));
    case OP_IOCTL_DATA: return syscall(SYS_ioctl, FD(0), NUM(1), PTR(2));
    case OP_FSOPEN: return syscall(SYS_fsopen, PTR(0), NUM(1));
    case OP_FSCONFIG_FLAG: return syscall(SYS_fsconfig, FD(0), FSCONFIG_FLAG, PTR(1), NULL, 0);
    case OP_FSCONFIG_STRING: return syscall(SYS_fsconfig, FD(0), FSCONFIG_STRING, PTR(1), PTR(2), 0);
    case OP_FSCONFIG_FD: return syscall(SYS_fsconfig, FD(0), FSCONFIG_FD, PTR(1), NULL, FD(2));
    case OP_FSCONFIG_CREATE: return syscall(SYS_fsconfig, FD(0), FSCONFIG_CREATE, NULL, NULL, 0);
    case OP_FSMOUNT: return syscall(SYS_fsmount, FD(0), NUM(1), NUM(2));
    case OP_OPEN_TREE: return syscall(SYS_open_tree, FD(0), PTR(1), NUM(2));
    case OP_MOVE_MOUNT: return syscall(SYS_move_mount, FD(0), PTR(1), FD(2), PTR(3), NUM(4));
    case OP_REFUSE_FS: return refuse_fs(FD(0), NUM(1));
    case OP_MOUNT_SETATTR: return do_mount_setattr(context, op, false);
    case OP_MOUNT_IDMAP: return do_mount_setattr(context, op, true);
    case OP_MOUNT: return syscall(SYS_mount, PTR(0), PTR(1), PTR(2), NUM(3), PTR(4));
    case OP_UMOUNT: return syscall(SYS_umount2, PTR(0), NUM(1));
    case OP_PIVOT_ROOT: return syscall(SYS_pivot_root, PTR(0), PTR(1));
    case OP_UNSHARE: {
      long result = syscall(SYS_unshare, NUM(0));
      return (NUM(0) & UNSHARE_FILES) ? left_table(context, result) : result;
    }
    case OP_SETNS: return syscall(SYS_setns, FD(0), NUM(1));
    case OP_PIDFD_OPEN: return syscall(SYS_pidfd_open, NUM(0), NUM(1));
    case OP_SETHOSTNAME: return syscall(SYS_sethostname, PTR(0), LEN(0));
    case OP_SETDOMAINNAME: return syscall(SYS_setdomainname, PTR(0), LEN(0));
    case OP_PRCTL: return syscall(SYS_prctl, NUM(0), NUM(1), NUM(2), NUM(3), NUM(4));
    case OP_SETGROUPS: return syscall(SYS_setgroups, LEN(0) / 4, PTR(0));
    case OP_SETRESUID: return syscall(SYS_setresuid, NUM(0), NUM(1), NUM(2));
    case OP_SETRESGID: return syscall(SYS_setresgid, NUM(0), NUM(1), NUM(2));
    case OP_CAPSET: return do_capset(op);
    case OP_UMASK: return syscall(SYS_umask, NUM(0));
    case OP_PRLIMIT: return do_prlimit(context, op);
    case OP_PERSONALITY: return syscall(SYS_personality, NUM(0));
    case OP_SCHED_SETATTR: return syscall(SYS_sched_setattr, 0, PTR(0), 0);
    case OP_SCHED_SETAFFINITY: return syscall(SYS_sched_setaffinity, 0, LEN(0), PTR(0));
    case OP_IOPRIO_SET: return syscall(SYS_ioprio_set, NUM(0), NUM(1), NUM(2));
    case OP_SET_MEMPOLICY: return syscall(SYS_set_mempolicy, NUM(0), PTR(1), NUM(2));
    case OP_SETSID: return syscall(SYS_setsid);
    case OP_KEYCTL_JOIN: return syscall(SYS_keyctl, KEYCTL_JOIN, PTR(0));
    case OP_SECCOMP: return do_seccomp(context, op);
    case OP_EXECVE: return do_execve(context, op, false);
    case OP_EXECVEAT: return do_execve(context, op, true);
    case OP_NOTIFY: return do_notify(context, op);
    case OP_AWAIT: return do_await(context);
    case OP_RELEASE: return do_release(context);
    case OP_OPEN_PROC: return do_open_proc(context);
    case OP_FAIL: errno = context->exec_denied ? EACCES : context->last_accepted; return -1;
    case OP_SOCKET: return syscall(SYS_socket, NUM(0), NUM(1), NUM(2));
    case OP_FORK: return do_fork(context);
    case OP_LOOK_UP: return do_look_up(context, op);
    case OP_AWAIT_START: return do_await_start(context, op);
    case OP_SEND_FD: return do_send_fd(context, op);
    case OP_RUN_HOOK: {
      char **pointers = context->plan->pointers;
      return run_hook(PTR(0), pointers + op->args[1], pointers + op->args[2], FD(3), NUM(4));
    }
  }
  errno = ENOSYS; // decode.c lets no other kind pass
  return -1;
}
// clang-format on

// In restore mode there is no child to speak of.
static bool needs_child(uint16_t kind) {
  return kind == OP_RELEASE || kind == OP_OPEN_PROC || kind == OP_PRLIMIT;
}

static bool accepted(const struct plan_op *op, int error) {
  for (int i = 0; i < 4; i++) {
    if (op->accept[i] != 0 && op->accept[i] == error) return true;
  }
  return false;
}

bool execute(struct context *context, const struct plan_op *ops, uint32_t count, uint32_t *index, int *error) {
  for (uint32_t i = 0; i < count; i++) {
    const struct plan_op *op = &ops[i];
    int32_t *out = op->out == NO_REG ? NULL : &context->shared->reg[op->out];
    if (uses_unset(context, op) || (context->restore && needs_child(op->kind))) {
      if (out) *out = -1;
      continue;
    }
    long result = run(context, op);
    if (result >= 0) {
      if (out) *out = (int32_t)result;
      continue;
    }
    int failed = errno;
    if (out) *out = -1;
    if (accepted(op, failed)) {
      context->last_accepted = failed;
    } else if (!context->restore) {
      *index = i;
      *error = failed;
      return false;
    }
  }
  return true;
}
