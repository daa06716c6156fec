// Sets a process up: streams, the plan's `before`, clone3, its `after`, and the hand-shake with its `child`.
//
// Everything here runs with the engine's rights in the host's namespaces, except run_child: it runs in the namespaces that
// clone3 made, on a copy of the shim's memory, and in the shim's own descriptor table until the plan leaves it.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "calls.h"
#include "shim.h"

#define NO_WIRE_INDEX 0xffff

// Closes what the registers hold for the shim, but not what it goes on to use.
static void close_registers(struct process *process) {
  struct shared *shared = process->shared;
  const int32_t *reg = shared->own_table ? shared->kept : shared->reg;
  for (int i = 0; i < REG_COUNT; i++) {
    if (reg[i] < 0) continue;
    if (i == REG_OOM && !process->failed) {
      process->oom.fd = reg[i];
      watch_set(&process->oom, EPOLLPRI);
    } else if (i == REG_PTY_MASTER && !process->failed && (process->supervision & SUPERVISE_TTY)) {
      pty_adopt(process, reg[i]);
    } else {
      close(reg[i]);
    }
  }
}

// The set-up is over, well or not: its memory goes.
static void end_setup(struct process *process) {
  if (!process->shared) return;
  if (process->state == STATE_CREATING) close_registers(process);
  munmap(process->shared, sizeof *process->shared);
  process->shared = NULL;
  watch_close(&process->sync);
  plan_free(&process->plan);
}

static void fail_setup(struct process *process, enum section section, uint32_t index, int error) {
  const struct plan *plan = &process->plan;
  const struct plan_op *ops = section == SECTION_BEFORE ? plan->before : section == SECTION_AFTER ? plan->after : plan->child;
  const char *text = section == SECTION_CLONE ? "clone3" : index == NO_INDEX ? "set-up" : op_name(ops[index].kind);
  process_fail(process, section, index, error, text);
  end_setup(process);
}

static _Noreturn void run_child(struct context *context) {
  uint32_t index = NO_WIRE_INDEX;
  int error = EPROTO; // the plan ended without execve
  context->in_child = true;
  execute(context, context->plan->child, context->plan->child_count, &index, &error);
  uint8_t message[8] = {2, 0, (uint8_t)index, (uint8_t)(index >> 8)};
  memcpy(message + 4, &error, sizeof error);
  syscall(SYS_write, context->shared->reg[REG_SYNC], message, sizeof message);
  for (;;) syscall(SYS_exit_group, 255);
}

// Like fork, but into new namespaces. Every handler of the shim is reset in the child without a call; no signal is blocked.
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

// Runs `before`, clone3 and `after`. However far that gets, `after` is run: if something has failed, those of its
// operations that need no child are (it is where a `before` that changed the shim itself, such as setns, is undone).
static bool run_sections(struct process *process, struct context *context) {
  const struct plan *plan = &process->plan;
  enum section section = SECTION_BEFORE;
  uint32_t index = NO_INDEX;
  int error = 0;
  bool good = execute(context, plan->before, plan->before_count, &index, &error);
  if (good) {
    section = SECTION_CLONE;
    context->child = clone_child(context);
    good = context->child > 0;
    if (!good) error = errno;
    process->moments[MOMENT_CLONED] = now_ns();
  }
  if (good) {
    section = SECTION_AFTER;
    process->pid = context->child;
    good = execute(context, plan->after, plan->after_count, &index, &error);
    process->moments[MOMENT_SET_UP] = now_ns();
  }
  if (good) return true;
  context->restore = true;
  uint32_t unused_index;
  int unused_error;
  uint32_t done = section == SECTION_AFTER ? index + 1 : 0;
  execute(context, plan->after + done, plan->after_count - done, &unused_index, &unused_error);
  if (section == SECTION_CLONE) index = NO_INDEX;
  if (process->pid > 0) {
    kill(process->pid, SIGKILL); // its registers are closed once it is reaped: until then it may open more
    process_fail(process, section, index, error, op_name(plan->after[index].kind));
  } else {
    fail_setup(process, section, index, error);
  }
  return false;
}

static bool prepare(struct process *process, struct context *context) {
  int sync[2], streams[3];
  struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) {
    process_fail(process, SECTION_BEFORE, NO_INDEX, errno, "no memory to set up in");
    plan_free(&process->plan);
    return false;
  }
  memset(shared->reg, -1, sizeof shared->reg);
  process->shared = shared;
  *context = (struct context){.plan = &process->plan, .shared = shared, .sync = -1};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sync) != 0) return false;
  process->sync.fd = context->sync = sync[0];
  shared->reg[REG_SYNC] = sync[1];
  shared->reg[REG_STATE] = fcntl(FD_STATE, F_DUPFD_CLOEXEC, 3);
  for (int i = 0; process->number == 0 && i < passed; i++) shared->reg[REG_PASSED + i] = FD_PASSED + i;
  if (!streams_open(process, streams)) return false;
  memcpy(&shared->reg[REG_STDIN], streams, sizeof streams);
  return true;
}

void process_launch(struct process *process) {
  const struct plan *plan = &process->plan;
  struct context context;
  process->supervision = plan->supervision;
  if (plan->exit_path) process->exit_path = strdup(plan->exit_path);
  log_open(&process->log, plan, FD_STATE);
  bool prepared = prepare(process, &context);
  if (!prepared && process->shared) fail_setup(process, SECTION_BEFORE, NO_INDEX, errno);
  if (prepared && run_sections(process, &context)) {
    watch_set(&process->sync, EPOLLIN);
  } else if (process->pid == 0) {
    process_ended(process, 255 << 8);
  }
}

static void hear_created(struct process *process) {
  if (process->state != STATE_CREATING || !process->shared->own_table) return;
  close_registers(process);
  process->state = STATE_CREATED;
  process->moments[MOMENT_CREATED] = now_ns();
  tell_created(NULL, process);
  clients_resume(WAIT_LAUNCH);
  if (process->start_asked) release_soon(process);
}

// Every copy of the child's end is closed: either by execve, or because the child is dead.
static void hear_end(struct process *process) {
  bool executed = process->state == STATE_CREATED && process->shared->executing;
  if (executed) {
    process->state = STATE_RUNNING;
    process->started_at = now_ns();
    tell_started(NULL, process);
    end_setup(process);
  } else {
    watch_set(&process->sync, 0);
  }
}

void process_hear(struct process *process, bool ended) {
  while (process->shared && !process->failed) {
    uint8_t message[8];
    ssize_t length = recv(process->sync.fd, message, sizeof message, MSG_DONTWAIT);
    if (length == 2 && message[0] == 1 && message[1] == EVENT_CREATED) {
      hear_created(process);
    } else if (length == 8 && message[0] == 2) {
      uint32_t index = (uint32_t)message[2] | (uint32_t)message[3] << 8;
      int error;
      memcpy(&error, message + 4, sizeof error);
      fail_setup(process, SECTION_CHILD, index < process->plan.child_count ? index : NO_INDEX, error);
    } else if (length <= 0 && !(length < 0 && errno == EINTR)) {
      if (length == 0 || errno != EAGAIN) hear_end(process);
      break;
    }
  }
  if (!ended || !process->shared) return;
  if (!process->failed) hear_end(process);
  if (!process->shared) return;
  process_fail(process, SECTION_CHILD, NO_INDEX, 0, "ended before execve, without a word");
  end_setup(process);
}

void process_release(struct process *process) {
  uint8_t byte = 1;
  process->release_due = false;
  if (!process->shared || process->state != STATE_CREATED) return;
  if (send(process->sync.fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1) complain("cannot release the process", errno);
}
