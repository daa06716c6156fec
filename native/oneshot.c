// The one-shot executor: carries one plan out for onggi-runtime, and goes.
//
// It runs with the caller's rights in the host's namespaces, from a sealed copy of its file, and is not dumpable when it
// is root. It takes orders from `onggi`, its own child, on a socket that nobody else has, and whatever happens to either
// of the two, a container that the other has not been told to leave alone is killed.
#include "oneshot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "setup.h"

#define FDS_MAX 18
enum order { ORDER_GO = 1, ORDER_WAIT, ORDER_LEAVE, ORDER_ADOPT, ORDER_LAUNCH = 16, ORDER_EXIT };
enum answer { ANSWER_EVENT = 1, ANSWER_CREATED, ANSWER_STARTED, ANSWER_FAILED, ANSWER_EXIT };
enum { WAIT_SUBREAPER = 1, WAIT_TERMINAL = 2 };

static int orders;
static pid_t helper;
static struct plan plan;
static struct setup setup;
static int pidfd = -1;
static bool created, told, left;
static volatile pid_t target; // who gets the signals that are meant for the program

static void tell(uint32_t answer, const void *payload, size_t length, int fd) {
  uint8_t bytes[256];
  char control[CMSG_SPACE(sizeof(int))] = {0};
  memcpy(bytes, &answer, sizeof answer);
  memcpy(bytes + sizeof answer, payload, length);
  struct iovec vector = {bytes, sizeof answer + length};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  (void)!sendmsg(orders, &message, MSG_NOSIGNAL); // whoever is gone is noticed by poll
}

static void tell_failed(enum section section, uint32_t index, int error, const char *text) {
  uint8_t payload[12 + 128];
  uint32_t words[3] = {section, index, (uint32_t)error};
  size_t length = strnlen(text, 128);
  if (told) return;
  told = true;
  memcpy(payload, words, sizeof words);
  memcpy(payload + sizeof words, text, length);
  tell(ANSWER_FAILED, payload, sizeof words + length, -1);
}

// Ends and reaps the container that nobody will look after, and ends this program.
static _Noreturn void leave(int status) {
  if (setup.child > 0 && !left) {
    pid_t process = setup_process(&setup);
    kill(process, SIGKILL);
    while (waitpid(process, NULL, __WALL) < 0 && errno == EINTR) continue;
  }
  _exit(status);
}

static uint8_t *read_plan(int fd, size_t *length) {
  struct stat status;
  if (fstat(fd, &status) != 0 || status.st_size <= 0 || status.st_size > PLAN_MAX_LENGTH) return NULL;
  *length = (size_t)status.st_size;
  uint8_t *bytes = mmap(NULL, *length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (bytes == MAP_FAILED) return NULL;
  for (size_t done = 0; done < *length;) {
    ssize_t got = pread(fd, bytes + done, *length - done, (off_t)done);
    if (got <= 0) break; // what is missing stays zero, and the decoder says so
    done += (size_t)got;
  }
  return bytes;
}

static void watch_process(pid_t pid) {
  if (pidfd >= 0) close(pidfd);
  pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  target = pid;
}

// What was cloned has forked what goes on, and has nothing left to do but end.
static void watch_forked(void) {
  while (waitpid(target, NULL, __WALL) < 0 && errno == EINTR) continue;
  watch_process(setup_process(&setup));
}

static void launch(const int *fds, int count) {
  struct plan_error error = {"no plan", NO_INDEX};
  size_t length = 0;
  uint8_t *bytes = count >= 2 ? read_plan(fds[0], &length) : NULL;
  if (!bytes || !plan_decode(&plan, bytes, length, &error)) {
    tell_failed(SECTION_DECODE, error.index, EINVAL, error.text);
    return;
  }
  close(fds[0]);
  if (!setup_begin(&setup, &plan, fds[1])) {
    tell_failed(SECTION_BEFORE, NO_INDEX, errno, "set-up");
    return;
  }
  int32_t *reg = setup.shared->reg;
  if (!(plan.supervision & SUPERVISE_TTY)) {
    for (int i = 0; i < 3; i++) reg[REG_STDIN + i] = i;
  }
  for (int i = 2; i < count; i++) reg[REG_PASSED + i - 2] = fds[i];
  bool good = setup_run(&setup);
  if (setup.child > 0) watch_process(setup.child);
  if (!good) tell_failed(setup.section, setup.index, setup.error, setup_failed_name(&plan, setup.section, setup.index));
}

static void hear_created(void) {
  const int32_t *reg = setup.shared->own_table ? setup.shared->kept : setup.shared->reg;
  int master = (plan.supervision & SUPERVISE_TTY) ? reg[REG_PTY_MASTER] : -1;
  pid_t pid = setup_process(&setup);
  if (pid != target) watch_forked();
  created = true;
  tell(ANSWER_CREATED, &pid, sizeof pid, master);
  bool keep[REG_COUNT] = {false};
  keep[REG_STDIN] = keep[REG_STDOUT] = keep[REG_STDERR] = true;
  setup_close_registers(&setup, keep);
}

// Every copy of the child's end is closed: either by execve, or because the child is dead.
static void hear_end(void) {
  close(setup.sync);
  setup.sync = -1;
  if (!created || !setup.shared->executing || told) return;
  told = true;
  tell(ANSWER_STARTED, NULL, 0, -1);
}

static void hear(void) {
  while (setup.sync >= 0) {
    struct said said = setup_hear(&setup);
    switch (said.word) {
      case WORD_EVENT:
        if (said.event == EVENT_CREATED) {
          hear_created();
        } else {
          uint32_t words[2] = {said.event, (uint32_t)setup_process(&setup)};
          tell(ANSWER_EVENT, words, sizeof words, said.fd);
        }
        if (said.fd >= 0) close(said.fd);
        break;
      case WORD_FAILED:
        tell_failed(SECTION_CHILD, said.index, said.error, setup_failed_name(&plan, SECTION_CHILD, said.index));
        break;
      case WORD_END:
        hear_end();
        return;
      case WORD_NONE:
        return;
    }
  }
}

// The process that has ended stays a zombie until this program goes: one that is left belongs to the caller, who will be its
// parent then and must not miss its end.
static int peek_status(pid_t pid) {
  siginfo_t info = {0};
  while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | __WALL) < 0 && errno == EINTR) continue;
  if (info.si_code == CLD_EXITED) return (info.si_status & 0xff) << 8;
  return info.si_status | (info.si_code == CLD_DUMPED ? 0x80 : 0);
}

static void child_ended(void) {
  pid_t pid = target;
  hear();
  if (target != pid) return;
  if (setup_process(&setup) != pid) {
    watch_forked();
    return;
  }
  int status = peek_status(pid);
  close(pidfd);
  pidfd = -1;
  target = 0;
  tell_failed(SECTION_CHILD, NO_INDEX, 0, "ended before execve, without a word");
  tell(ANSWER_EXIT, &status, sizeof status, -1);
}

static void on_signal(int signal) {
  int error = errno;
  pid_t pid = target;
  if (pid > 0) kill(pid, signal);
  errno = error;
}

// In the foreground this program stands for the container's: what it is sent is passed on. A terminal's size is not a
// matter of signals to the program but of the terminal.
static void stand_for_program(uint32_t flags) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  for (int signal = 1; signal < 65; signal++) {
    bool ours = signal == SIGCHLD || signal == SIGKILL || signal == SIGSTOP || signal == SIGSEGV || signal == SIGBUS;
    if (!ours && !(signal == SIGWINCH && (flags & WAIT_TERMINAL))) sigaction(signal, &action, NULL);
  }
  if (flags & WAIT_SUBREAPER) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

// The program that was launched has made another child of this process, and ended: that one takes its place.
static void adopt(pid_t pid) {
  setup.child = pid;
  left = false;
  watch_process(pid);
}

static void go(void) {
  uint8_t byte = 1;
  if (setup.sync >= 0) (void)!send(setup.sync, &byte, 1, MSG_NOSIGNAL);
}

// What this process was given with an order: the descriptors are the registers' or closed.
static int take_fds(struct msghdr *message, int fds[FDS_MAX]) {
  int count = 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(fds, CMSG_DATA(header), (size_t)count * sizeof(int));
  }
  return count;
}

static _Noreturn void helper_ended(void) {
  int status = 0;
  while (waitpid(helper, &status, 0) < 0 && errno == EINTR) continue;
  leave(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void take_order(void) {
  uint32_t words[2] = {0};
  int fds[FDS_MAX];
  char control[CMSG_SPACE(sizeof fds)];
  struct iovec vector = {words, sizeof words};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t length = recvmsg(orders, &message, MSG_CMSG_CLOEXEC);
  // ECONNRESET: `onggi` has gone without hearing the last answer. It comes before the orders that are still to be read.
  if (length < 0 && (errno == EINTR || errno == ECONNRESET)) return;
  if (length < (ssize_t)sizeof *words) helper_ended();
  int count = take_fds(&message, fds);
  switch (words[0]) {
    case ORDER_LAUNCH:
      launch(fds, count);
      return;
    case ORDER_GO:
      go();
      return;
    case ORDER_WAIT:
      stand_for_program(words[1]);
      return;
    case ORDER_LEAVE:
      left = true;
      go();
      return;
    case ORDER_ADOPT:
      adopt((pid_t)words[1]);
      return;
    case ORDER_EXIT:
      leave((int)(words[1] & 0xff));
    default:
      return;
  }
}

// Signals as a fresh program has them, for the child: what is ignored or blocked passes through execve.
static void arrange_signals(void) {
  static const unsigned long all_default[4];
  for (int signal = 1; signal < 65; signal++) syscall(SYS_rt_sigaction, signal, all_default, NULL, sizeof(uint64_t));
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

_Noreturn void oneshot_main(int socket, pid_t onggi) {
  orders = socket;
  helper = onggi;
  setup.sync = -1;
  arrange_signals();
  if (fcntl(orders, F_SETFD, FD_CLOEXEC) != 0) _exit(64);
  // an unprivileged one is reached by its own user only, and newuidmap(1) must be able to look at it
  if (geteuid() == 0) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  for (;;) {
    pid_t watched = target;
    struct pollfd ready[3] = {{orders, POLLIN, 0}, {setup.sync, POLLIN, 0}, {pidfd, POLLIN, 0}};
    if (poll(ready, 3, -1) < 0) continue;
    if (ready[1].revents) hear();
    // what was just heard may have made another process the one to watch
    if (ready[2].revents && target == watched) child_ended();
    if (ready[0].revents) take_order();
  }
}
