// Hooks that run in the container: forked by the child of a plan, on a copy of its memory.
//
// A hook is the host's program or the container's, as the specification says which; it gets the state on standard input,
// the child's standard output and error, and no other descriptor.
#include "hook.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/wait.h>

#include "calls.h"

static _Noreturn void become_hook(const char *path, char **argv, char **envp, int state, int report) {
  syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  syscall(SYS_lseek, state, 0, 0);
  // the report goes to a place that no descriptor below has, so that the state may be 0 itself
  long failed = state == 0 ? 0 : syscall(SYS_dup3, state, 0, 0);
  if (failed >= 0 && syscall(SYS_close_range, 3, ~0u, RANGE_CLOEXEC) == 0) syscall(SYS_execve, path, argv, envp);
  int error = errno;
  syscall(SYS_write, report, &error, sizeof error);
  syscall(SYS_exit_group, 127);
  __builtin_trap(); // the container's filter refuses exit_group
}

// What execve failed with, 0 if it did not.
static int exec_error(int report) {
  int error = 0;
  long got;
  do got = syscall(SYS_read, report, &error, sizeof error);
  while (got < 0 && errno == EINTR);
  return got == (long)sizeof error ? error : 0;
}

static bool ends_in_time(int pidfd, uint64_t timeout_ms) {
  struct pollfd ended = {pidfd, POLLIN, 0};
  struct timespec left = {(time_t)(timeout_ms / 1000), (long)(timeout_ms % 1000) * 1000000};
  long ready;
  // the kernel writes what is left of the time into its argument, so an interrupted wait goes on
  do ready = syscall(SYS_ppoll, &ended, 1, timeout_ms == 0 ? NULL : &left, NULL, 8);
  while (ready < 0 && errno == EINTR);
  return ready != 0;
}

static long outcome(pid_t pid, int pidfd, int report, uint64_t timeout_ms) {
  int error = exec_error(report), status = 0;
  bool late = error == 0 && !ends_in_time(pidfd, timeout_ms);
  if (late) syscall(SYS_kill, pid, SIGKILL);
  long waited;
  do waited = syscall(SYS_wait4, pid, &status, __WALL, NULL);
  while (waited < 0 && errno == EINTR);
  if (error == 0 && late) error = ETIMEDOUT;
  if (error == 0 && waited < 0) error = errno;
  if (error == 0 && status != 0) error = HOOK_STATUS | (status & 0xffff);
  if (error == 0) return 0;
  errno = error;
  return -1;
}

// A startContainer hook runs behind the container's filter: Docker's knows no clone3, whose flags a filter cannot see.
static long fork_watched(int *pidfd) {
  struct clone3_args args = {.flags = CLONE_FLAG_PIDFD, .exit_signal = SIGCHLD, .pidfd = (uint64_t)(uintptr_t)pidfd};
  long pid = syscall(SYS_clone3, &args, sizeof args);
  return pid < 0 && errno == ENOSYS ? syscall(SYS_clone, CLONE_FLAG_PIDFD | SIGCHLD, 0, pidfd, 0, 0) : pid;
}

long run_hook(const char *path, char **argv, char **envp, int state, uint64_t timeout_ms) {
  int report[2], pidfd = -1;
  if (syscall(SYS_pipe2, report, 02000000 /* O_CLOEXEC */) != 0) return -1;
  long pid = fork_watched(&pidfd);
  if (pid == 0) become_hook(path, argv, envp, state, report[1]);
  int error = errno;
  syscall(SYS_close, report[1]);
  long result = pid > 0 ? outcome((pid_t)pid, pidfd, report[0], timeout_ms) : -1;
  if (pid > 0) error = errno;
  if (pidfd >= 0) syscall(SYS_close, pidfd);
  syscall(SYS_close, report[0]);
  errno = error;
  return result;
}
