// The processes of this shim: the container's first, execs, and whoever is orphaned to it.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim.h"

struct process *processes;

// Execs that have ended, for an engine that was not there: the last EXITED_MAX.
struct exited {
  uint32_t process, pid, state;
  int32_t wait_status;
  uint32_t flags, exited_at[2];
};
static struct exited *exited;
static unsigned exited_count;

struct process *process_new(uint16_t number) {
  struct process *process = calloc(1, sizeof *process);
  if (!process) return NULL;
  process->number = number;
  process->state = STATE_CREATING;
  process->log.fd = -1;
  process->console = (struct watch){WATCH_CONSOLE, -1, 0, process};
  process->sync = (struct watch){WATCH_SYNC, -1, 0, process};
  process->in = (struct watch){WATCH_INPUT, -1, 0, process};
  process->out[0] = (struct watch){WATCH_STDOUT, -1, 0, process};
  process->out[1] = (struct watch){WATCH_STDERR, -1, 0, process};
  process->oom = (struct watch){WATCH_OOM, -1, 0, process};
  struct process **end = &processes;
  while (*end) end = &(*end)->next;
  return *end = process;
}

struct process *process_find(uint16_t number) {
  struct process *process = processes;
  while (process && process->number != number) process = process->next;
  return process;
}

uint16_t process_number(void) {
  static uint16_t last;
  for (unsigned tries = 0; tries < 65536; tries++) {
    last++;
    bool taken = last == 0 || process_find(last);
    for (unsigned i = 0; i < exited_count && i < EXITED_MAX; i++) taken |= exited[i].process == last;
    if (!taken) return last;
  }
  return 0;
}

// Whether `pid` is about to take the process's place.
static bool is_successor(const struct process *process, pid_t pid) {
  return process->setup.shared && setup_process(&process->setup) == pid;
}

// Reaps a child, any if `pid` is -1. False: there is none that has ended.
static bool reap(pid_t pid) {
  int status;
  pid_t ended;
  do ended = waitpid(pid, &status, WNOHANG);
  while (ended < 0 && errno == EINTR);
  if (ended <= 0) return false;
  struct process *process = processes;
  while (process && (process->reaped || (process->pid != ended && !is_successor(process, ended)))) process = process->next;
  if (process && process->pid != ended) (void)process_succeeded(process); // it has died before what forked it: that ends unnoticed
  if (process && !process_succeeded(process) && !runtime_ended(process, status)) process_ended(process, status);
  return true;
}

void processes_reap(void) {
  bool works = false;
  for (struct process *process = processes; process; process = process->next) {
    if (runtime_works(process)) reap(process->pid);
    works |= runtime_works(process);
  }
  if (!works) {
    while (reap(-1)) continue;
    return;
  }
  // Of the others that have ended one may be what a runtime is about to name: they wait until it has ended.
  for (struct process *process = processes; process; process = process->next) {
    if (process->pid > 0 && !process->reaped) reap(process->pid);
  }
}

static struct exited summary(const struct process *process) {
  struct exited s = {process->number, (uint32_t)process->pid, process->state, process->wait_status, process->exit_flags, {0}};
  memcpy(s.exited_at, &process->exited_at, sizeof process->exited_at);
  return s;
}

bool processes_sweep(void) {
  bool left = false;
  for (struct process **link = &processes; *link;) {
    struct process *process = *link;
    if (process->number == 0 || process->state != STATE_EXITED) {
      left |= process->number != 0;
      link = &process->next;
      continue;
    }
    if (!exited) exited = calloc(EXITED_MAX, sizeof *exited);
    if (exited) exited[exited_count++ % EXITED_MAX] = summary(process);
    for (struct client *client = clients; client; client = client->next) {
      if (!client->dead) client_detach(client, process->number);
    }
    *link = process->next;
    free(process->exit_path);
    free(process);
  }
  return left;
}

void status_append(struct buffer *buffer) {
  for (const struct process *process = processes; process; process = process->next) {
    struct exited s = summary(process);
    buffer_append(buffer, &s, sizeof s);
  }
  for (unsigned i = 0; i < exited_count && i < EXITED_MAX; i++) buffer_append(buffer, &exited[i], sizeof exited[i]);
}

// The parent of a process, as /proc tells; 0: it is gone.
static pid_t parent_of(int proc, const char *name) {
  char path[32], text[512];
  size_t length = strnlen(name, 16);
  memcpy(path, name, length);
  memcpy(path + length, "/stat", 6);
  int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  if (got <= 0) return 0;
  text[got] = 0;
  const char *after = strrchr(text, ')'); // "pid (name) state parent": the name may hold anything
  return after && strlen(after) > 4 ? (pid_t)strtol(after + 3, NULL, 10) : 0;
}

// Adds to `found` (which it grows) every process whose parent is in it; returns whether there was a new one.
static bool find_children(int proc, pid_t **found, size_t *count) {
  bool more = false;
  DIR *entries = fdopendir(openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const struct dirent *entry;
  while (entries && (entry = readdir(entries))) {
    pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
    if (pid <= 0) continue;
    pid_t parent = parent_of(proc, entry->d_name);
    bool child = false, known = false;
    for (size_t i = 0; i < *count; i++) {
      child |= (*found)[i] == parent;
      known |= (*found)[i] == pid;
    }
    pid_t *grown = child && !known ? realloc(*found, (*count + 1) * sizeof pid) : NULL;
    if (!grown) continue;
    grown[(*count)++] = pid;
    *found = grown;
    more = true;
  }
  if (entries) closedir(entries);
  return more;
}

int kill_all(int signal) {
  int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
  pid_t *found = malloc(sizeof *found);
  size_t count = 1, told = 1;
  if (proc < 0 || !found) {
    free(found);
    return proc < 0 ? errno : ENOMEM;
  }
  found[0] = getpid();
  // Again until nobody is new: a process may fork while its parent is being signalled.
  for (int round = 0; round < 16 && find_children(proc, &found, &count); round++) {
    for (; told < count; told++) (void)kill(found[told], signal);
  }
  free(found);
  close(proc);
  return 0;
}
