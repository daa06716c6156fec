// A hook of the runtime specification that runs in the container's namespaces (config.md, "POSIX-platform Hooks").
#ifndef ONGGI_HOOK_H
#define ONGGI_HOOK_H

#include <stdint.h>

// In errno: the hook ran and failed; its wait status is in the low 16 bits.
#define HOOK_STATUS 0x10000

// Runs a program with the file `state` as its standard input, and waits for it, at most `timeout_ms` (0: as long as it
// takes). Returns 0, or -1 with errno: that of execve, ETIMEDOUT when it was killed for its time, or HOOK_STATUS and more.
// Called in the child of a plan: makes system calls only.
long run_hook(const char *path, char **argv, char **envp, int state, uint64_t timeout_ms);

#endif
