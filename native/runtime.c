// A process that an OCI runtime makes.
//
// The plan's program is then the runtime, which makes the process, writes its pid to a file in the state directory and ends.
// The shim is a child subreaper, so what the runtime leaves becomes its child, and takes the place of the runtime.
// The runtime comes from the engine, with all the rights the shim has; what it says is checked so that its mistakes end as
// a failed set-up and not as a wrong process under supervision.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim.h"

// The path is reached through the state directory's descriptor: an address has room for 107 bytes.
static bool console_listen(struct process *process) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int length = snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", FD_STATE, process->console_path);
  if (length < 0 || (size_t)length >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return false;
  }
  (void)unlinkat(FD_STATE, process->console_path, 0);
  process->console.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (process->console.fd < 0) return false;
  if (bind(process->console.fd, (struct sockaddr *)&address, sizeof address) != 0) return false;
  if (listen(process->console.fd, 1) != 0) return false;
  watch_set(&process->console, EPOLLIN);
  return true;
}

bool runtime_prepare(struct process *process) {
  const struct plan *plan = &process->plan;
  if (!plan->pid_path) return true;
  process->pid_path = strdup(plan->pid_path);
  if (plan->console_path) process->console_path = strdup(plan->console_path);
  if (!process->pid_path || (plan->console_path && !process->console_path)) return false;
  (void)unlinkat(FD_STATE, process->pid_path, 0); // an earlier run's
  return !process->console_path || console_listen(process);
}

void runtime_forget(struct process *process) {
  watch_close(&process->console);
  if (process->console_path) (void)unlinkat(FD_STATE, process->console_path, 0);
  free(process->pid_path);
  free(process->console_path);
  process->pid_path = process->console_path = NULL;
}

// The terminal's master, which comes with one message; -1: not yet, or none.
static int receive_master(int fd) {
  char bytes[256], control[CMSG_SPACE(sizeof(int))];
  struct iovec vector = {bytes, sizeof bytes};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0) return -1;
  const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  int master = -1;
  if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) memcpy(&master, CMSG_DATA(header), sizeof master);
  return master;
}

void console_ready(struct process *process) {
  int fd = accept4(process->console.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) { // it listened until now
    watch_close(&process->console);
    process->console.fd = fd;
    watch_set(&process->console, EPOLLIN);
  }
  int master = receive_master(process->console.fd);
  if (master < 0 && (errno == EAGAIN || errno == EINTR)) return;
  watch_close(&process->console);
  if (master >= 0) pty_adopt(process, master);
}

bool runtime_works(const struct process *process) {
  return process->pid_path && process->state == STATE_CREATING && process->pid > 0 && !process->reaped;
}

// The pid in the file, 0: there is none.
static pid_t named_pid(const char *path) {
  char text[16];
  int fd = openat(FD_STATE, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  ssize_t length = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
  if (fd >= 0) close(fd);
  (void)unlinkat(FD_STATE, path, 0);
  text[length > 0 ? length : 0] = 0;
  long pid = strtol(text, NULL, 10);
  return pid > 1 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

// Puts the process that the runtime has made in the runtime's place. Returns what is wrong with it, or NULL.
static const char *adopt(struct process *process) {
  pid_t pid = named_pid(process->pid_path);
  siginfo_t unused;
  if (pid == 0) return "the runtime has named no process";
  for (const struct process *other = processes; other; other = other->next) {
    if (other->pid == pid) return "the runtime has named another process";
  }
  if (waitid(P_PID, (id_t)pid, &unused, WEXITED | WNOHANG | WNOWAIT) != 0) return "the runtime has named a process that is not its child";
  if (process->console.fd >= 0) console_ready(process);
  if ((process->supervision & SUPERVISE_TTY) && process->out[0].fd < 0) {
    (void)kill(pid, SIGKILL);
    return "the runtime has sent no terminal";
  }
  const struct process *first = process_find(0);
  if (first && first->reaped) (void)kill(pid, SIGKILL); // as any exec when process 0 ends
  process->pid = pid;
  process->state = STATE_CREATED;
  process->adopted = true;
  process->moments[MOMENT_CREATED] = now_ns();
  return NULL;
}

bool runtime_ended(struct process *process, int wait_status) {
  if (!runtime_works(process)) return false;
  process_hear(process, true);
  if (process->failed) return false;
  const char *wrong = wait_status == 0 ? adopt(process) : "the runtime has failed";
  // What it wrote to the process's streams is its complaint, which is in its log as well.
  if (wrong) streams_close(process);
  else if (!(process->supervision & SUPERVISE_TTY)) streams_watch(process);
  runtime_forget(process);
  if (wrong) {
    process_fail(process, SECTION_CHILD, NO_INDEX, 0, wrong);
    return false;
  }
  tell_created(NULL, process);
  clients_resume(WAIT_LAUNCH);
  clients_resume(process->number);
  if (process->supervision & SUPERVISE_STARTED) runtime_started(process);
  else if (process->start_asked) release_soon(process);
  return true;
}

void runtime_started(struct process *process) {
  process->state = STATE_RUNNING;
  process->started_at = now_ns();
  tell_started(NULL, process);
}
