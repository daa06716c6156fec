/** Starts that are to come. Held until the engine has found out who runs: before that, nothing starts. */
export class RestartTimers {
  private readonly timers = new Map<string, Timer>();
  private readonly start: (id: string) => void;
  private held = true;

  /** `start` is called once for each start that comes; it must not throw. */
  constructor(start: (id: string) => void) {
    this.start = start;
  }

  /** From now on. What was asked for before is not remembered: who is to start says its state. */
  begin(): void {
    this.held = false;
  }

  /** In `ms` milliseconds, in place of an earlier start to come. */
  after(id: string, ms: number): void {
    if (this.held) return;
    this.cancel(id);
    const timer = setTimeout(() => {
      this.timers.delete(id);
      this.start(id);
    }, ms);
    this.timers.set(id, timer);
  }

  cancel(id: string): void {
    clearTimeout(this.timers.get(id));
    this.timers.delete(id);
  }

  close(): void {
    this.held = true;
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
  }
}
