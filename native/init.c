// The init of a container. It runs inside, as the container's user and with nothing of the host's: it has no more rights than
// the program it starts, and its executable is a sealed file in memory (CVE-2019-5736).
//
// Every signal is blocked and taken by sigwaitinfo, so none is lost between two looks; as process 1 of a pid namespace it would not
// even get those it does not handle. What a fault of its own raises stays unblocked.
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const int faults[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS};

// The program, in a process group of its own that has the terminal, as a shell would start it.
_Noreturn static void run(char **program, const sigset_t *before) {
  (void)setpgid(0, 0);
  (void)tcsetpgrp(0, getpgrp()); // no terminal: nothing to have; SIGTTOU is blocked still
  sigprocmask(SIG_SETMASK, before, NULL);
  execvp(program[0], program);
  int error = errno;
  dprintf(2, "exec %s failed: %s\n", program[0], strerror(error));
  _exit(error == ENOENT || error == ENOTDIR ? 127 : 126);
}

// Reaps whoever has ended. Returns whether `child` was among them, with its wait status.
static bool reap(pid_t child, int *status) {
  bool over = false;
  int ended;
  for (pid_t pid; (pid = waitpid(-1, &ended, WNOHANG)) > 0;) {
    if (pid != child) continue;
    *status = ended;
    over = true;
  }
  return over;
}

_Noreturn void init_main(char **arguments) {
  char **program = arguments + 1;
  if (*program && strcmp(*program, "--") == 0) program++;
  if (!*program) _exit(127);
  (void)prctl(PR_SET_NAME, INIT_NAME);
  (void)prctl(PR_SET_CHILD_SUBREAPER, 1); // where the pid namespace is another's

  sigset_t all, before;
  sigfillset(&all);
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&all, faults[i]);
  sigprocmask(SIG_SETMASK, &all, &before);

  pid_t child = fork();
  if (child < 0) _exit(126);
  if (child == 0) run(program, &before);

  for (int status = 0;;) {
    int signal = sigwaitinfo(&all, NULL);
    if (signal == SIGCHLD) {
      if (!reap(child, &status)) continue;
      _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    }
    // of the terminal, about this process's own reading and writing
    if (signal > 0 && signal != SIGTTIN && signal != SIGTTOU) kill(child, signal);
  }
}
