// Starts a program and measures, with as little of its own as can be, how long it takes from posix_spawn to the end of wait.
//
//   stopwatch COMMAND...           prints the nanoseconds; exits with the command's status
//   stopwatch -n N -p P COMMAND... runs it N times, P at a time, and prints the nanoseconds for all of them; an argument "{}" is
//                                  replaced by the number of the run (0 to N - 1). Exits with 1 if any run failed.
//
// The command's standard input and output are /dev/null; its standard error is ours.
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

int main(int argc, char **argv) {
  int runs = 1, width = 1, option;
  while ((option = getopt(argc, argv, "+n:p:")) != -1) {
    if (option == 'n') runs = atoi(optarg);
    else if (option == 'p') width = atoi(optarg);
    else return 2;
  }
  if (optind >= argc || runs < 1 || width < 1) return 2;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
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
  return runs > 1 ? 1 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
