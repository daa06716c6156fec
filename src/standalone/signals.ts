/** Signals to a foreground command are the program's, and the front passes them on; a terminal sends them to this process too. */
export function ignoreSignals(): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const) process.on(signal, () => {});
}
