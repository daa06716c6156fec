// The plan's decoder: everything is checked here, once, before anything runs.
//
// Its input comes from the engine, over a memfd or the shim's socket: a peer with all the rights the shim has. It is
// checked nevertheless in full, because a damaged or foreign plan must end as an error, not as a half-made container.
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "calls.h"
#include "plan.h"

_Static_assert(sizeof(struct plan_op) == PLAN_OP_SIZE, "operations are used where they lie");
_Static_assert(sizeof(void *) == sizeof(uint64_t), "string lists hold pointers of eight bytes");

struct signature {
  const char *name;
  const char *types;
  bool returns;
};
#define SIGNATURE(number, name, types, returns) {name, types, returns},
static const struct signature signatures[OP_KINDS] = {PLAN_OPS(SIGNATURE)};
#undef SIGNATURE

const char *op_name(uint16_t kind) { return kind < OP_KINDS ? signatures[kind].name : "?"; }

static uint32_t u32_at(const uint8_t *bytes) {
  uint32_t value;
  memcpy(&value, bytes, sizeof value);
  return value;
}

static uint64_t u64_at(const uint8_t *bytes) {
  uint64_t value;
  memcpy(&value, bytes, sizeof value);
  return value;
}

// A reference is absent (0), or names `extra` bytes more than its length, all within the data area.
static bool reference_fits(const struct plan *plan, uint64_t reference, uint32_t extra) {
  if (reference == 0) return true;
  uint64_t start = reference & 0xffffffffu, length = reference >> 32;
  return start % 8 == 0 && start >= plan->data && start + length + extra <= plan->length;
}

static bool string_fits(const struct plan *plan, uint64_t reference) {
  if (reference == 0) return true;
  if (!reference_fits(plan, reference, 1)) return false;
  const uint8_t *start = plan->bytes + (reference & 0xffffffffu);
  return memchr(start, 0, (reference >> 32) + 1) == start + (reference >> 32);
}

// The number of pointers a list takes with its NULL, 0 when it is not a list.
static size_t list_pointers(const struct plan *plan, uint64_t reference) {
  if (reference == 0 || !reference_fits(plan, reference, 0) || (reference >> 32) < 8) return 0;
  const uint8_t *list = plan->bytes + (reference & 0xffffffffu);
  uint64_t count = u32_at(list);
  if ((reference >> 32) != 8 + 8 * count) return 0;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t string = u64_at(list + 8 + 8 * i);
    if (string == 0 || !string_fits(plan, string)) return 0;
  }
  return count + 1;
}

static const char *check_argument(struct plan *plan, char type, uint64_t value) {
  switch (type) {
    case 'r':
      return value < REG_COUNT || value == 0xffffff9cu ? NULL : "no such register";
    case 'i':
      return NULL;
    case 's':
      return string_fits(plan, value) ? NULL : "a string that does not lie in the data, or is not ended by its only NUL";
    case 'b':
      return reference_fits(plan, value, 0) ? NULL : "bytes that do not lie in the data";
    case 'l': {
      size_t pointers = list_pointers(plan, value);
      if (pointers == 0) return "a list of strings that does not lie in the data";
      plan->pointer_count += pointers;
      return plan->pointer_count <= PLAN_MAX_POINTERS ? NULL : "too many strings in lists";
    }
    default:
      return "unknown argument type";
  }
}

// Arguments whose length another argument or the call itself takes for granted.
static const char *check_shape(const struct plan *plan, const struct plan_op *op) {
  uint64_t length = op->args[0] >> 32;
  if (op->kind == OP_SECCOMP && (op->args[1] >> 32) % 8 != 0) return "a seccomp program of broken instructions";
  if (op->kind == OP_SETGROUPS && length % 4 != 0) return "a list of broken group ids";
  if (op->kind == OP_SET_MEMPOLICY && (op->args[1] >> 32) * 8 < op->args[2]) return "a node mask shorter than it says";
  if (op->kind == OP_SCHED_SETATTR && (length < 48 || u32_at(plan->bytes + (op->args[0] & 0xffffffffu)) > length)) {
    return "scheduling attributes shorter than they say";
  }
  if (op->kind == OP_NOTIFY && op->args[0] > 255) return "an event over 255";
  return NULL;
}

static const char *check_op(struct plan *plan, const struct plan_op *op) {
  if (op->kind >= OP_KINDS) return "an operation this shim does not know";
  const struct signature *signature = &signatures[op->kind];
  if (op->argc != strlen(signature->types)) return "a wrong number of arguments";
  if (op->out != NO_REG && !signature->returns) return "a register for the result of a call that returns no descriptor";
  if (op->zero != 0) return "reserved bytes that are not zero";
  for (uint8_t i = 0; i < op->argc; i++) {
    const char *wrong = check_argument(plan, signature->types[i], op->args[i]);
    if (wrong) return wrong;
  }
  return check_shape(plan, op);
}

// Which operations make sense in which process.
static const char *check_place(uint16_t kind, bool child) {
  bool childs = kind == OP_EXECVE || kind == OP_NOTIFY || kind == OP_AWAIT || kind == OP_FORK || kind == OP_LOOK_UP ||
                kind == OP_AWAIT_START || kind == OP_SEND_FD || kind == OP_RUN_HOOK;
  bool parents = kind == OP_RELEASE || kind == OP_OPEN_PROC;
  if (childs && !child) return "an operation of the child in the shim's section";
  if (parents && child) return "an operation of the shim in the child's section";
  return NULL;
}

// Every list gets its argv-like array, and its argument becomes that array's place in plan->pointers.
static bool build_lists(struct plan *plan, struct plan_op *ops, uint64_t count) {
  if (plan->pointer_count == 0) return true;
  void *memory =
      mmap(NULL, plan->pointer_count * sizeof(char *), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  plan->pointers = memory;
  size_t next = 0;
  for (uint64_t i = 0; i < count; i++) {
    const char *types = signatures[ops[i].kind].types;
    for (uint8_t k = 0; k < ops[i].argc; k++) {
      if (types[k] != 'l') continue;
      const uint8_t *list = plan->bytes + (ops[i].args[k] & 0xffffffffu);
      uint32_t strings = u32_at(list);
      ops[i].args[k] = next;
      for (uint32_t s = 0; s < strings; s++) {
        plan->pointers[next++] = (char *)plan->bytes + (u64_at(list + 8 + 8 * (uint64_t)s) & 0xffffffffu);
      }
      plan->pointers[next++] = NULL;
    }
  }
  return true;
}

static const char *text_of(const struct plan *plan, uint64_t reference) {
  return reference == 0 ? NULL : (const char *)plan->bytes + (reference & 0xffffffffu);
}

static const char *decode_header(struct plan *plan) {
  const uint8_t *header = plan->bytes;
  if (plan->length < PLAN_HEADER_SIZE || memcmp(header, PLAN_MAGIC, 8) != 0) return "not a plan";
  if (u32_at(header + 8) != PLAN_VERSION) return "a plan of another version";
  if (u32_at(header + 12) != plan->length) return "a plan that is longer or shorter than it says";
  plan->clone_flags = u64_at(header + 16);
  plan->cgroup = u32_at(header + 24);
  plan->before_count = u32_at(header + 28);
  plan->after_count = u32_at(header + 32);
  plan->child_count = u32_at(header + 36);
  plan->data = u32_at(header + 40);
  plan->supervision = u32_at(header + 44);
  uint32_t format = u32_at(header + 48);
  plan->log_files = u32_at(header + 52);
  plan->log_size = u64_at(header + 56);

  uint64_t count = (uint64_t)plan->before_count + plan->after_count + plan->child_count;
  if (plan->before_count > 65535 || plan->after_count > 65535 || plan->child_count > 65535) return "too many operations";
  if (plan->data != PLAN_HEADER_SIZE + count * PLAN_OP_SIZE || plan->data > plan->length) return "operations that end elsewhere";
  if ((plan->clone_flags & ~(CLONE_FLAGS_NAMESPACES | CLONE_FLAG_FILES)) != 0) return "clone flags that are no namespace";
  if (plan->cgroup != NO_CGROUP && plan->cgroup >= REG_COUNT) return "no such cgroup register";
  if (format > LOG_CRI) return "an unknown log format";
  plan->log_format = (enum log_format)format;
  if (!string_fits(plan, u64_at(header + 64)) || !string_fits(plan, u64_at(header + 72))) return "a broken log or exit path";
  plan->log_path = text_of(plan, u64_at(header + 64));
  plan->exit_path = text_of(plan, u64_at(header + 72));
  if (plan->log_format != LOG_NONE && (plan->log_path == NULL || plan->log_files == 0)) return "a log without path or files";
  if (!string_fits(plan, u64_at(header + 80)) || !string_fits(plan, u64_at(header + 88))) return "a broken pid or console path";
  plan->pid_path = text_of(plan, u64_at(header + 80));
  plan->console_path = text_of(plan, u64_at(header + 88));
  bool tty = (plan->supervision & SUPERVISE_TTY) != 0, started = (plan->supervision & SUPERVISE_STARTED) != 0;
  if (!plan->pid_path && (plan->console_path || started)) return "what a runtime says, without a runtime";
  if (plan->pid_path && (plan->console_path != NULL) != tty) return "a runtime's terminal without a place, or a place without one";
  return NULL;
}

bool plan_decode(struct plan *plan, uint8_t *bytes, size_t length, struct plan_error *error) {
  memset(plan, 0, sizeof *plan);
  *error = (struct plan_error){NULL, NO_INDEX};
  if (length > PLAN_MAX_LENGTH) {
    error->text = "a plan over 16 MiB";
    return false;
  }
  plan->bytes = bytes;
  plan->length = (uint32_t)length;
  error->text = decode_header(plan);
  if (error->text) return false;

  struct plan_op *ops = (struct plan_op *)(void *)(bytes + PLAN_HEADER_SIZE);
  uint32_t parents = plan->before_count + plan->after_count, count = parents + plan->child_count;
  for (uint32_t i = 0; i < count; i++) {
    error->index = i;
    error->text = check_op(plan, &ops[i]);
    if (!error->text) error->text = check_place(ops[i].kind, i >= parents);
    if (error->text) return false;
  }
  plan->before = ops;
  plan->after = ops + plan->before_count;
  plan->child = ops + parents;
  *error = (struct plan_error){NULL, NO_INDEX};
  if (build_lists(plan, ops, count)) return true;
  error->text = "no memory for its strings";
  return false;
}

void plan_free(struct plan *plan) {
  if (plan->pointers) munmap(plan->pointers, plan->pointer_count * sizeof(char *));
  if (plan->bytes) munmap(plan->bytes, plan->length);
  memset(plan, 0, sizeof *plan);
}
