// Carrying a plan out up to the point where its process exists: what the shim and the one-shot executor have in common.
#ifndef ONGGI_SETUP_H
#define ONGGI_SETUP_H

#include "plan.h"

#define NO_WIRE_INDEX 0xffff

struct setup {
  const struct plan *plan;
  struct shared *shared;
  int sync;             // this side's end of the hand-shake socket
  pid_t child;          // 0: not cloned
  uint64_t cloned_at, set_up_at;
  enum section section; // where it failed, with index and errno
  uint32_t index;
  int error;
};

// What the child says on the hand-shake socket.
enum word { WORD_NONE, WORD_EVENT, WORD_FAILED, WORD_END };
struct said {
  enum word word;
  uint8_t event;
  int fd; // that came with the event, or -1
  uint32_t index;
  int error;
};

// Makes the shared page and the hand-shake socket, and fills the registers for the child's end of it and for `state`.
// False with errno when the machine lacks something; setup_end clears away either way.
bool setup_begin(struct setup *setup, const struct plan *plan, int state);
// Runs `before`, clone3 and `after`. However far that gets, `after` is run: if something has failed, those of its operations
// that need no child are (it is where a `before` that changed this process itself, such as setns, is undone). False with
// section, index and error; the child, if there is one, has been killed and is to be waited for.
bool setup_run(struct setup *setup);
// Takes one message, without waiting.
struct said setup_hear(const struct setup *setup);
// The process that the plan is about: the clone, or the one the clone has forked.
pid_t setup_process(const struct setup *setup);
// Closes what the registers hold for this process, but for those in `keep` (REG_COUNT flags, or NULL).
void setup_close_registers(const struct setup *setup, const bool *keep);
void setup_end(struct setup *setup);
// The name of the operation that failed.
const char *setup_failed_name(const struct plan *plan, enum section section, uint32_t index);

#endif
