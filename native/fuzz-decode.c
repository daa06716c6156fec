// Fuzz target of the plan decoder, for libFuzzer, and a driver for machines that have no clang.
//
//     build/fuzz-decode [ROUNDS [PLAN...]]      changes the plans, or one of its own, at random, the same way every time
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static long decoded;

// Touches what execution would touch: every string to its end, every byte of data, every pointer of every list.
static unsigned long walk(const struct plan *plan) {
#define TYPES(number, name, types, returns) types,
  static const char *const types[OP_KINDS] = {PLAN_OPS(TYPES)};
#undef TYPES
  unsigned long sum = plan->log_path ? strlen(plan->log_path) : 0;
  if (plan->exit_path) sum += strlen(plan->exit_path);
  if (plan->pid_path) sum += strlen(plan->pid_path);
  if (plan->console_path) sum += strlen(plan->console_path);
  uint32_t count = plan->before_count + plan->after_count + plan->child_count;
  for (uint32_t i = 0; i < count; i++) {
    const struct plan_op *op = &plan->before[i];
    sum += strlen(op_name(op->kind));
    for (int k = 0; k < op->argc; k++) {
      const uint8_t *start = plan->bytes + (op->args[k] & 0xffffffffu);
      char type = types[op->kind][k];
      if (type == 's' && op->args[k] != 0) sum += strlen((const char *)start);
      for (uint64_t b = 0; type == 'b' && op->args[k] != 0 && b < op->args[k] >> 32; b++) sum += start[b];
      if (type != 'l') continue;
      for (char **pointer = plan->pointers + op->args[k]; *pointer; pointer++) sum += strlen(*pointer);
    }
  }
  return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct plan plan;
  struct plan_error error;
  static volatile unsigned long sum;
  uint8_t *copy = malloc(size ? size : 1); // of exactly this size, so that the sanitizer sees a byte too far
  if (!copy) return 0;
  memcpy(copy, data, size);
  if (plan_decode(&plan, copy, size, &error)) {
    sum += walk(&plan);
    decoded++;
  } else if (!error.text) {
    abort();
  }
  if (plan.pointers) munmap(plan.pointers, plan.pointer_count * sizeof(char *));
  free(copy);
  return 0;
}

#ifdef FUZZ_DRIVER
static uint64_t state = 0x9e3779b97f4a7c15u;

// xorshift64*
static uint64_t random_u64(void) {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return state * 0x2545f4914f6cdd1du;
}

static void put(uint8_t *plan, size_t size, size_t at, uint64_t value, size_t length) {
  if (at + length <= size) memcpy(plan + at, &value, length);
}

// Changes a plan in place, and its size; the header's own length mostly stays true, so that more than the header is reached.
static size_t mutate(uint8_t *plan, size_t size) {
  static const uint64_t interesting[] = {0, 1, 7, 8, 254, 255, 256, 0xffff, 0x7fffffff, 0xffffffff, 0xffffff9c, 0x100000000, UINT64_MAX};
  for (uint64_t changes = 1 + random_u64() % 8; changes > 0; changes--) {
    size_t at = size ? random_u64() % size : 0;
    uint64_t value = random_u64() % 2 ? interesting[random_u64() % (sizeof interesting / sizeof *interesting)] : random_u64();
    switch (random_u64() % 6) {
      case 0:
        put(plan, size, at, value, 1);
        break;
      case 1:
        put(plan, size, at & ~(size_t)3, value, 4);
        break;
      case 2:
        put(plan, size, at & ~(size_t)7, value, 8);
        break;
      case 3: // a kind, with its place
        put(plan, size, PLAN_HEADER_SIZE + at % (size / PLAN_OP_SIZE + 1) * PLAN_OP_SIZE, value % (OP_KINDS + 1), 2);
        break;
      case 4: // one argument for another
        if (at + 8 <= size) memmove(plan + (at & ~(size_t)7), plan + ((random_u64() % size) & ~(size_t)7), at % 8 ? 4 : 1);
        break;
      default:
        if (random_u64() % 4 == 0) size = at;
        if (size >= 16) put(plan, size, 12, size, 4);
    }
  }
  return size;
}

// A plan with every kind of operation, each with arguments that fit. Returns its size.
static size_t make_seed(uint8_t *plan) {
  static const uint8_t text[16] = "string";
  const uint32_t parents[] = {OP_RELEASE, OP_OPEN_PROC};
  uint64_t data = PLAN_HEADER_SIZE + (uint64_t)OP_KINDS * PLAN_OP_SIZE, list[4] = {2, 0, 0, 0};
  const uint64_t string = data | (uint64_t)6 << 32, bytes = (data + 16) | (uint64_t)64 << 32, strings = (data + 80) | (uint64_t)24 << 32;
  list[1] = list[2] = string;
  memcpy(plan, PLAN_MAGIC, 8);
  const uint32_t header[] = {PLAN_VERSION, (uint32_t)data + 112, 0, 0, NO_CGROUP, 0, 2, OP_KINDS - 2, (uint32_t)data, 31, LOG_CRI, 3};
  memcpy(plan + 8, header, sizeof header);
  put(plan, PLAN_HEADER_SIZE, 64, string, 8);
  for (size_t path = 72; path < PLAN_HEADER_SIZE; path += 8) put(plan, PLAN_HEADER_SIZE, path, string, 8);
#define TYPES(number, name, types, returns) types,
  static const char *const types[OP_KINDS] = {PLAN_OPS(TYPES)};
#undef TYPES
  for (uint32_t place = 0, kind = 0; place < OP_KINDS; place++) {
    while (place >= 2 && (kind == parents[0] || kind == parents[1])) kind++;
    struct plan_op op = {.kind = (uint16_t)(place < 2 ? parents[place] : kind++), .out = NO_REG};
    op.argc = (uint8_t)strlen(types[op.kind]);
    for (int i = 0; i < op.argc; i++) {
      char type = types[op.kind][i];
      op.args[i] = type == 's' ? string : type == 'b' ? bytes : type == 'l' ? strings : 8;
    }
    memcpy(plan + PLAN_HEADER_SIZE + place * PLAN_OP_SIZE, &op, sizeof op);
  }
  memcpy(plan + data, text, sizeof text);
  memset(plan + data + 16, 48, 64); // also a sched_attr that says its size: 0x30303030 is too long
  put(plan, data + 80, data + 16, 56, 4);
  memcpy(plan + data + 80, list, sizeof list);
  return data + 112;
}

static size_t read_seed(const char *path, uint8_t *seed, size_t room) {
  int fd = open(path, O_RDONLY);
  ssize_t length = fd >= 0 ? read(fd, seed, room) : -1;
  if (fd >= 0) close(fd);
  if (length < 0) perror(path);
  return length < 0 ? 0 : (size_t)length;
}

int main(int count, char **arguments) {
  static uint8_t seed[1 << 20], work[1 << 20];
  long rounds = count > 1 ? strtol(arguments[1], NULL, 10) : 20000, run = 0;
  int seeds = count > 2 ? count - 2 : 1;
  for (int i = 0; i < seeds; i++) {
    size_t length = count > 2 ? read_seed(arguments[2 + i], seed, sizeof seed) : make_seed(seed);
    if (length == 0) return 1;
    for (long round = 0; round < rounds / seeds; round++, run++) {
      memcpy(work, seed, length);
      LLVMFuzzerTestOneInput(work, round == 0 ? length : mutate(work, length));
    }
  }
  printf("%ld plans: %ld decoded, the others refused\n", run, decoded);
  return decoded > 0 ? 0 : 1;
}
#endif
