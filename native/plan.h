// A plan: decoded by decode.c, executed by execute.c. The format is described in src/plan/encode.ts.
#ifndef ONGGI_PLAN_H
#define ONGGI_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ops.h"

#define PLAN_MAX_LENGTH (16u << 20)
// Strings in the lists of a plan, with the NULL that ends each: argv and envp of every execve together.
#define PLAN_MAX_POINTERS (1u << 20)
#define NO_REG 255
#define NO_CGROUP 0xffffffffu
#define NO_INDEX 0xffffffffu

enum section { SECTION_BEFORE = 0, SECTION_CLONE = 1, SECTION_AFTER = 2, SECTION_CHILD = 3, SECTION_DECODE = 255 };
enum log_format { LOG_NONE = 0, LOG_JSON = 1, LOG_CRI = 2 };
// SUPERVISE_STARTED: the process that a runtime makes runs already.
enum supervision {
  SUPERVISE_TTY = 1,
  SUPERVISE_OPEN_STDIN = 2,
  SUPERVISE_STDIN_ONCE = 4,
  SUPERVISE_DURABLE = 8,
  SUPERVISE_STARTED = 16,
};

// One operation, as it lies in the plan. After decoding, the argument of a string list is an index into plan.pointers.
struct plan_op {
  uint16_t kind;
  uint8_t out;
  uint8_t argc;
  uint16_t accept[4];
  uint32_t zero;
  uint64_t args[PLAN_MAX_ARGS];
};

struct plan {
  uint8_t *bytes; // mapped memory that belongs to the plan, 8-aligned
  uint32_t length;
  uint32_t data; // where the data area begins
  struct plan_op *before, *after, *child;
  uint32_t before_count, after_count, child_count;
  uint64_t clone_flags;
  uint32_t cgroup;
  uint32_t supervision;
  enum log_format log_format;
  uint32_t log_files;
  uint64_t log_size;
  const char *log_path, *exit_path;
  const char *pid_path; // the program is a runtime, and names here the process that it makes
  const char *console_path;
  char **pointers;
  size_t pointer_count;
};

// What is wrong with a plan: a sentence, and the operation counted over all sections, or NO_INDEX.
struct plan_error {
  const char *text;
  uint32_t index;
};

// Takes `bytes` (mapped, 8-aligned, writable; never freed here on failure) and checks all of it, so that execution needs
// no check. False with `error` filled when it is not a plan of this version.
bool plan_decode(struct plan *plan, uint8_t *bytes, size_t length, struct plan_error *error);
// Gives back the plan's memory. A plan that is all zero is allowed.
void plan_free(struct plan *plan);
const char *op_name(uint16_t kind);

// What shim and child share while a process is set up: one anonymous shared page.
struct shared {
  int32_t reg[REG_COUNT];  // descriptors, -1: unset
  int32_t kept[REG_COUNT]; // the registers at the moment the child left the shim's descriptor table
  volatile uint8_t own_table; // the child has left it
  volatile uint8_t notified;  // the child has notified `created`
  volatile uint8_t executing; // the child stands in execve
  volatile pid_t forked;      // the process that the clone has forked and that goes on in its place; written by the kernel
};

// The first byte of what the child says.
enum say { SAY_EVENT = 1, SAY_FAILED = 2 };

// Everything an operation needs to run.
struct context {
  const struct plan *plan;
  struct shared *shared;
  int sync;         // the end of the hand-shake socket that this side uses, in the parent; the child uses its register
  pid_t child;      // 0 before clone and in the child
  bool in_child;
  int last_accepted;  // errno that `fail` reports ...
  bool exec_denied;   // ... unless an execve has failed with EACCES
  bool restore;     // something has failed: run what needs no child, go on after failures
  int result;       // in the child, once it stood at awaitStart: where it reports to instead of the hand-shake socket
};

// In the child: says which operation failed, to whoever waits for it.
void report_failure(const struct context *context, uint32_t index, int error);

// Runs operations in order. Returns true when all are done, else false with the failing one's index and errno.
bool execute(struct context *context, const struct plan_op *ops, uint32_t count, uint32_t *index, int *error);

#endif
