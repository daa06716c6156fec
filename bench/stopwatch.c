// Starts a program and measures, with as little of its own as can be, how long it takes from posix_spawn to the end of wait.
//
//   stopwatch COMMAND...           prints the nanoseconds; exits with the command's status
//   stopwatch -n N -p P COMMAND... runs it N times, P at a time, and prints the nanoseconds for all of them; an argument "{}" is
//                                  replaced by the number of the run (0 to N - 1). Exits with 1 if any run failed.
//   stopwatch -m FILE COMMAND...   prints, instead of a time, the peak resident memory, in KiB, of the largest of all the
//                                  processes that the command consists of. It leaves one behind, whose pid it has written
//                                  to FILE: that one is killed. Exits with the command's status.
//   stopwatch -c COMMAND...        prints the nanoseconds of processor time, user and system, that it and those it has waited for took
//
// The command's standard input and output are /dev/null; its standard error is ours.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static long long now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static pid_t start(char **argv, int run, const posix_spawn_file_actions_t *actions) {
  char number[16];
  char *args[64];
  int count = 0;
  snprintf(number, sizeof number, "%d", run);
  for (; argv[count] && count < 63; count++) args[count] = strcmp(argv[count], "{}") == 0 ? number : argv[count];
  args[count] = NULL;
  pid_t pid;
  int error = posix_spawnp(&pid, args[0], actions, NULL, args, environ);
  if (error != 0) {
    fprintf(stderr, "stopwatch: %s: %s\n", args[0], strerror(error));
    exit(127);
  }
  return pid;
}

static int status_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

// Ends the process that is left: until then there would be no end to waiting.
static void end_process_in(const char *path) {
  FILE *file = fopen(path, "r");
  int pid = 0;
  if (file && fscanf(file, "%d", &pid) == 1 && pid > 1) kill(pid, SIGKILL);
  if (file) fclose(file);
}

// Orphans come to this process, and with them what they have used: a parent that does not wait does not count its children.
static int measure_memory(char **argv, const char *pid_file, const posix_spawn_file_actions_t *actions) {
  struct rusage usage;
  long peak = 0;
  int status, result = 2;
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  pid_t command = start(argv, 0, actions);
  for (pid_t pid; (pid = wait4(-1, &status, 0, &usage)) > 0;) {
    if (usage.ru_maxrss > peak) peak = usage.ru_maxrss;
    if (pid != command) continue;
    result = status_of(status);
    end_process_in(pid_file);
  }
  printf("%ld\n", peak);
  return result;
}

static int measure_processor(char **argv, const posix_spawn_file_actions_t *actions) {
  struct rusage usage;
  int status;
  if (wait4(start(argv, 0, actions), &status, 0, &usage) < 0) return 2;
  long long seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec;
  long long microseconds = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
  printf("%lld\n", seconds * 1000000000LL + microseconds * 1000);
  return status_of(status);
}

int main(int argc, char **argv) {
  int runs = 1, width = 1, processor = 0, option;
  const char *pid_file = NULL;
  while ((option = getopt(argc, argv, "+cn:p:m:")) != -1) {
    if (option == 'n') runs = atoi(optarg);
    else if (option == 'p') width = atoi(optarg);
    else if (option == 'm') pid_file = optarg;
    else if (option == 'c') processor = 1;
    else return 2;
  }
  if (optind >= argc || runs < 1 || width < 1) return 2;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  if (processor) return measure_processor(argv + optind, &actions);
  if (pid_file) return measure_memory(argv + optind, pid_file, &actions);
  int started = 0, running = 0, failed = 0, status = 0;
  long long from = now();
  while (started < runs || running > 0) {
    if (started < runs && running < width) {
      start(argv + optind, started++, &actions);
      running++;
      continue;
    }
    if (wait(&status) < 0) return 2;
    running--;
    if (status != 0) failed++;
  }
  printf("%lld\n", now() - from);
  if (failed == 0) return 0;
  return runs > 1 ? 1 : status_of(status);
}
