// Sets a process up under the shim: its streams, the plan, and the hand-shake with the child.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "calls.h"
#include "shim.h"

// Closes what the registers hold, but not what the shim goes on to use.
static void close_registers(struct process *process) {
  const struct shared *shared = process->setup.shared;
  const int32_t *reg = shared->own_table ? shared->kept : shared->reg;
  bool keep[REG_COUNT] = {false};
  if (!process->failed && reg[REG_OOM] >= 0) {
    process->oom.fd = reg[REG_OOM];
    watch_set(&process->oom, EPOLLPRI);
    keep[REG_OOM] = true;
  }
  if (!process->failed && reg[REG_PTY_MASTER] >= 0 && (process->supervision & SUPERVISE_TTY)) {
    pty_adopt(process, reg[REG_PTY_MASTER]);
    keep[REG_PTY_MASTER] = true;
  }
  setup_close_registers(&process->setup, keep);
}

// The set-up is over, well or not: its memory goes.
static void end_setup(struct process *process) {
  if (!process->setup.shared) return;
  if (process->state == STATE_CREATING && !process->handed) close_registers(process);
  setup_end(&process->setup);
  watch_close(&process->sync);
  plan_free(&process->plan);
}

static void fail_setup(struct process *process, enum section section, uint32_t index, int error) {
  process_fail(process, section, index, error, setup_failed_name(&process->plan, section, index));
  end_setup(process);
}

static bool prepare(struct process *process) {
  struct setup *setup = &process->setup;
  int streams[3];
  if (!setup_begin(setup, &process->plan, FD_STATE)) return false;
  process->sync.fd = setup->sync;
  for (int i = 0; process->number == 0 && i < passed; i++) setup->shared->reg[REG_PASSED + i] = FD_PASSED + i;
  if (!runtime_prepare(process) || !streams_open(process, streams)) return false;
  memcpy(&setup->shared->reg[REG_STDIN], streams, sizeof streams);
  return true;
}

static bool run_plan(struct process *process) {
  struct setup *setup = &process->setup;
  bool good = setup_run(setup);
  process->pid = setup->child;
  process->moments[MOMENT_CLONED] = setup->cloned_at;
  process->moments[MOMENT_SET_UP] = setup->set_up_at;
  if (good) return true;
  if (process->pid > 0) {
    process_fail(process, setup->section, setup->index, setup->error, setup_failed_name(&process->plan, setup->section, setup->index));
  } else {
    fail_setup(process, setup->section, setup->index, setup->error);
  }
  return false;
}

void process_launch(struct process *process) {
  const struct plan *plan = &process->plan;
  process->supervision = plan->supervision;
  if (plan->exit_path) process->exit_path = strdup(plan->exit_path);
  log_open(&process->log, plan, FD_STATE);
  bool prepared = prepare(process);
  if (!prepared && process->setup.shared) fail_setup(process, SECTION_BEFORE, NO_INDEX, errno);
  if (!prepared && !process->failed) {
    process_fail(process, SECTION_BEFORE, NO_INDEX, errno, "no memory to set up in");
    plan_free(&process->plan);
  }
  if (prepared && run_plan(process)) {
    watch_set(&process->sync, EPOLLIN);
  } else if (process->pid == 0) {
    process_ended(process, 255 << 8);
  }
}

static void hear_created(struct process *process) {
  if (process->state != STATE_CREATING || process->handed || !process->setup.shared->own_table) return;
  process_succeeded(process);
  close_registers(process);
  process->handed = process->pid_path != NULL;
  if (process->handed) return; // the process is created when the runtime has ended
  process->state = STATE_CREATED;
  process->moments[MOMENT_CREATED] = now_ns();
  tell_created(NULL, process);
  clients_resume(WAIT_LAUNCH);
  if (process->start_asked) release_soon(process);
}

// Every copy of the child's end is closed: either by execve, or because the child is dead.
static void hear_end(struct process *process) {
  bool executed = (process->state == STATE_CREATED || process->handed) && process->setup.shared->executing;
  if (executed && process->handed) {
    end_setup(process);
    clients_resume(WAIT_LAUNCH);
  } else if (executed) {
    process->state = STATE_RUNNING;
    process->started_at = now_ns();
    tell_started(NULL, process);
    end_setup(process);
  } else {
    watch_set(&process->sync, 0);
  }
}

void process_hear(struct process *process, bool ended) {
  while (process->setup.shared && !process->failed) {
    struct said said = setup_hear(&process->setup);
    if (said.fd >= 0) close(said.fd); // no plan of the engine's sends one
    if (said.word == WORD_EVENT && said.event == EVENT_CREATED) hear_created(process);
    if (said.word == WORD_FAILED) fail_setup(process, SECTION_CHILD, said.index, said.error);
    if (said.word == WORD_END) hear_end(process);
    if (said.word == WORD_END || said.word == WORD_NONE) break;
  }
  if (!ended || !process->setup.shared) return;
  if (!process->failed) hear_end(process);
  if (!process->setup.shared) return;
  process_fail(process, SECTION_CHILD, NO_INDEX, 0, "ended before execve, without a word");
  end_setup(process);
}

bool process_succeeded(struct process *process) {
  pid_t forked = process->setup.shared ? setup_process(&process->setup) : 0;
  if (forked <= 0 || forked == process->pid) return false;
  process->pid = forked;
  return true;
}

void process_release(struct process *process) {
  uint8_t byte = 1;
  process->release_due = false;
  if (process->adopted && process->state == STATE_CREATED) runtime_started(process);
  if (!process->setup.shared || process->state != STATE_CREATED) return;
  if (send(process->sync.fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1) complain("cannot release the process", errno);
}
