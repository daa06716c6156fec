// A container's first process that looks after its program (docker run --init).
#ifndef ONGGI_INIT_H
#define ONGGI_INIT_H

#define INIT_NAME "docker-init"

// Runs the program that `arguments` name behind a "--", passes signals on to it, reaps who has no other parent, and ends as it
// does: with its exit code, or 128 + n after a signal; 127 or 126 when it cannot be run.
_Noreturn void init_main(char **arguments);

#endif
