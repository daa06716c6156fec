// Carrying a plan out: the registers, `before`, clone3, `after`, and what the child says.
//
// Everything here runs with the caller's rights in the host's namespaces, except run_child: it runs in the namespaces that
// clone3 made, on a copy of this process's memory, and in this process's own descriptor table until the plan leaves it.
#include "setup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "calls.h"

static uint64_t monotonic_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

bool setup_begin(struct setup *setup, const struct plan *plan, int state) {
  int sync[2];
  *setup = (struct setup){.plan = plan, .sync = -1, .section = SECTION_BEFORE, .index = NO_INDEX};
  struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return false;
  memset(shared->reg, -1, sizeof shared->reg);
  setup->shared = shared;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sync) != 0) return false;
  setup->sync = shared->reg[REG_PEER] = sync[0];
  shared->reg[REG_SYNC] = sync[1];
  shared->reg[REG_STATE] = fcntl(state, F_DUPFD_CLOEXEC, 3);
  return true;
}

static _Noreturn void run_child(struct context *context) {
  uint32_t index = NO_WIRE_INDEX;
  int error = EPROTO; // the plan ended without execve
  context->in_child = true;
  execute(context, context->plan->child, context->plan->child_count, &index, &error);
  report_failure(context, index, error);
  syscall(SYS_exit_group, 255);
  __builtin_trap(); // the plan's own filter refuses exit_group
}

// Like fork, but into new namespaces. Every handler of this process is reset in the child without a call; no signal is
// blocked.
static pid_t clone_child(struct context *context) {
  struct clone3_args args = {.flags = context->plan->clone_flags | CLONE_FLAG_FILES | CLONE_FLAG_CLEAR_SIGHAND, .exit_signal = SIGCHLD};
  uint32_t cgroup = context->plan->cgroup;
  if (cgroup != NO_CGROUP && context->shared->reg[cgroup] >= 0) {
    args.flags |= CLONE_FLAG_INTO_CGROUP;
    args.cgroup = (uint64_t)context->shared->reg[cgroup];
  }
  long pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) run_child(context);
  return (pid_t)pid;
}

bool setup_run(struct setup *setup) {
  const struct plan *plan = setup->plan;
  struct context context = {.plan = plan, .shared = setup->shared, .sync = setup->sync};
  setup->section = SECTION_BEFORE;
  setup->index = NO_INDEX;
  bool good = execute(&context, plan->before, plan->before_count, &setup->index, &setup->error);
  if (good) {
    setup->section = SECTION_CLONE;
    setup->child = clone_child(&context);
    good = setup->child > 0;
    if (!good) setup->error = errno;
    if (!good) setup->child = 0;
    context.child = setup->child;
    setup->cloned_at = monotonic_ns();
  }
  if (good) {
    setup->section = SECTION_AFTER;
    good = execute(&context, plan->after, plan->after_count, &setup->index, &setup->error);
    setup->set_up_at = monotonic_ns();
  }
  if (good) return true;
  context.restore = true;
  uint32_t unused_index;
  int unused_error;
  uint32_t done = setup->section == SECTION_AFTER ? setup->index + 1 : 0;
  execute(&context, plan->after + done, plan->after_count - done, &unused_index, &unused_error);
  if (setup->section == SECTION_CLONE) setup->index = NO_INDEX;
  if (setup->child > 0) kill(setup->child, SIGKILL); // its registers are closed once it is reaped: until then it may open more
  return false;
}

static int received_fd(struct msghdr *message) {
  struct cmsghdr *header = CMSG_FIRSTHDR(message);
  int fd = -1;
  if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return fd;
}

struct said setup_hear(const struct setup *setup) {
  uint8_t bytes[8];
  char control[CMSG_SPACE(sizeof(int))];
  struct iovec vector = {bytes, sizeof bytes};
  struct said said = {.word = WORD_NONE, .fd = -1, .index = NO_INDEX};
  for (;;) {
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t length = recvmsg(setup->sync, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0 && errno == EAGAIN) return said;
    if (length <= 0) {
      said.word = WORD_END;
      return said;
    }
    said.fd = received_fd(&message);
    if (length == 2 && bytes[0] == SAY_EVENT) {
      said.word = WORD_EVENT;
      said.event = bytes[1];
      return said;
    }
    if (length == 8 && bytes[0] == SAY_FAILED) {
      uint32_t index = (uint32_t)bytes[2] | (uint32_t)bytes[3] << 8;
      said.word = WORD_FAILED;
      said.index = index < setup->plan->child_count ? index : NO_INDEX;
      memcpy(&said.error, bytes + 4, sizeof said.error);
      return said;
    }
    if (said.fd >= 0) close(said.fd);
    said.fd = -1;
  }
}

pid_t setup_process(const struct setup *setup) {
  pid_t forked = setup->shared ? setup->shared->forked : 0;
  return forked > 0 ? forked : setup->child;
}

void setup_close_registers(const struct setup *setup, const bool *keep) {
  const int32_t *reg = setup->shared->own_table ? setup->shared->kept : setup->shared->reg;
  for (int i = 0; i < REG_COUNT; i++) {
    if (reg[i] >= 0 && i != REG_PEER && !(keep && keep[i])) close(reg[i]);
  }
}

void setup_end(struct setup *setup) {
  if (setup->shared) munmap(setup->shared, sizeof *setup->shared);
  setup->shared = NULL;
}

const char *setup_failed_name(const struct plan *plan, enum section section, uint32_t index) {
  const struct plan_op *ops = section == SECTION_BEFORE ? plan->before : section == SECTION_AFTER ? plan->after : plan->child;
  if (section == SECTION_CLONE) return "clone3";
  return index == NO_INDEX ? "set-up" : op_name(ops[index].kind);
}
