// onggi-runtime's two parts in C: the front, which callers start, and the one-shot executor that the front becomes.
// The contract with the TypeScript part is docs/shim.md, "One shot".
#ifndef ONGGI_ONESHOT_H
#define ONGGI_ONESHOT_H

#include <sys/types.h>

#define ONESHOT_NAME "onggi-oneshot"

// Starts `onggi` beside this program with a socket to it, and becomes the executor, in a copy of this program that nothing
// can write to. Returns only on failure, with the exit status.
int front_main(char **arguments, char **environment);
// Executes one plan on the orders of the process `helper` at the other end of the socket `orders`.
_Noreturn void oneshot_main(int orders, pid_t helper);

#endif
