/** One thing to come for each container: its next start, its next health check. */
export class Timers {
  private readonly timers = new Map<string, Timer>();
  private readonly fire: (id: string) => void;
  private held: boolean;

  /** `fire` is called once for each thing that comes, and must not throw. `held`: nothing comes before `begin`. */
  constructor(fire: (id: string) => void, held = false) {
    this.fire = fire;
    this.held = held;
  }

  /** From now on. What was asked for before is not remembered. */
  begin(): void {
    this.held = false;
  }

  /** In `ms` milliseconds, in place of what was to come before. */
  after(id: string, ms: number): void {
    if (this.held) return;
    this.cancel(id);
    const timer = setTimeout(() => {
      this.timers.delete(id);
      this.fire(id);
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
