// The front: what a caller of onggi-runtime starts.
//
// It runs with the caller's rights. TypeScript cannot run between clone and execve, and a container must be the child of the
// process that the caller knows; so that process is this program, and `onggi` works beside it. While `onggi` starts, the
// front copies itself into a sealed memory file and goes on from there: a container whose process has this program as
// its executable for a moment, before execve or by an execve of /proc/self/exe, holds a file that is nobody's
// (CVE-2019-5736).
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "calls.h"
#include "oneshot.h"

#define NAME "onggi-runtime"
#define HELPER "onggi"
// Where descriptors of ours go, out of the way of those that a caller passes on to the container, which begin at 3.
#define OUR_DESCRIPTORS 64
#define MFD_EXECUTABLE 0x10u

static int fail(const char *what) {
  fprintf(stderr, NAME ": %s: %s\n", what, strerror(errno));
  return 1;
}

// A stream that the caller has closed would be the next descriptor that is opened here, and so reach the container.
static bool keep_standard_streams(void) {
  int fd;
  do fd = open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= 2);
  if (fd < 0) return false;
  close(fd);
  return true;
}

// The path of a file beside this program's own. False when this program has another name: it is then no front.
static bool beside(const char *name, char *path, size_t size) {
  ssize_t length = readlink("/proc/self/exe", path, size - 1);
  if (length <= 0) return false;
  path[length] = 0;
  char *slash = strrchr(path, '/');
  size_t room = size - (size_t)(slash ? slash + 1 - path : 0);
  if (!slash || strcmp(slash + 1, NAME) != 0 || strlen(name) + 1 > room) {
    errno = ENOENT;
    return false;
  }
  memcpy(slash + 1, name, strlen(name) + 1);
  return true;
}

// Variables that would change how the helper's own interpreter runs: they are meant for the caller's programs.
static bool is_interpreters(const char *variable) { return strncmp(variable, "BUN_", 4) == 0 || strncmp(variable, "NODE_", 5) == 0; }

// What `onggi` needs for one short command: the socket's number, and no compiler of hot code, whose start costs more than a
// command of some milliseconds gains.
static char **helper_environment(char **environment, int socket) {
  static char number[32];
  static char *const ours[] = {number, "BUN_JSC_useBaselineJIT=0", "BUN_JSC_useRegExpJIT=0"};
  const size_t count = sizeof ours / sizeof *ours;
  snprintf(number, sizeof number, "ONGGI_FRONT=%d", socket);
  size_t length = 0;
  while (environment[length]) length++;
  char **all = calloc(length + count + 1, sizeof *all);
  if (!all) return NULL;
  memcpy(all, ours, sizeof ours);
  char **next = all + count;
  for (char **variable = environment; *variable; variable++) {
    if (!is_interpreters(*variable)) *next++ = *variable;
  }
  return all;
}

static pid_t start_helper(const char *path, char **arguments, char **environment) {
  pid_t pid = vfork();
  if (pid != 0) return pid;
  execve(path, arguments, environment);
  (void)fail(path);
  _exit(1);
}

// A copy of this program that can be neither written to nor grown nor unsealed.
static int sealed_copy(void) {
  struct stat status;
  int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (self < 0 || fstat(self, &status) != 0) return -1;
  int copy = (int)syscall(SYS_memfd_create, NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXECUTABLE);
  if (copy < 0 && errno == EINVAL) copy = (int)syscall(SYS_memfd_create, NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  for (off_t done = 0; copy >= 0 && done < status.st_size;) {
    if (sendfile(copy, self, &done, (size_t)(status.st_size - done)) <= 0) return -1;
  }
  close(self);
  if (copy < 0 || fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) return -1;
  int high = fcntl(copy, F_DUPFD_CLOEXEC, OUR_DESCRIPTORS);
  if (high < 0) return copy;
  close(copy);
  return high;
}

static bool open_socket(int ends[2]) {
  int low[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, low) != 0) return false;
  for (int i = 0; i < 2; i++) {
    ends[i] = fcntl(low[i], F_DUPFD, OUR_DESCRIPTORS);
    if (ends[i] < 0) ends[i] = fcntl(low[i], F_DUPFD, 3); // the limit of open files is very low
    if (ends[i] < 0) return false;
    close(low[i]);
  }
  return true;
}

int front_main(char **arguments, char **environment) {
  char path[4096], orders[16], helper[16];
  int ends[2];
  if (!keep_standard_streams()) return fail("cannot open /dev/null");
  if (!beside(HELPER, path, sizeof path)) return fail("cannot find " HELPER " beside itself");
  if (!open_socket(ends)) return fail("cannot make a socket");
  char **all = helper_environment(environment, ends[1]);
  if (!all) return fail("cannot start " HELPER);
  (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  pid_t pid = start_helper(path, arguments, all);
  if (pid < 0) return fail("cannot start " HELPER);
  close(ends[1]);
  int copy = sealed_copy();
  if (copy < 0) return fail("cannot copy itself into memory");
  (void)fcntl(ends[0], F_SETFD, 0);
  snprintf(orders, sizeof orders, "%d", ends[0]);
  snprintf(helper, sizeof helper, "%d", (int)pid);
  char *next[] = {ONESHOT_NAME, orders, helper, NULL}, *none[] = {NULL};
  syscall(SYS_execveat, copy, "", next, none, AT_EMPTY_PATH);
  return fail("cannot run from memory (is vm.memfd_noexec set?)");
}
