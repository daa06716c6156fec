import { Mutex } from "../lib/mutex.ts";
import type { Shim } from "../native/shim.ts";
import type { Spec } from "../oci/spec.ts";
import type { ContainerRecord } from "./database.ts";
import { isActive, isUp } from "./state.ts";

export interface ExitStatus {
  readonly exitCode: number;
  readonly oomKilled: boolean;
  readonly error: string;
}

/** One container in a running engine: its record, its shim while it is up, and who waits for it. */
export class Container {
  readonly record: ContainerRecord;
  /** Serialises what changes this container's state. Nothing waits for the container's process while holding it. */
  readonly lock = new Mutex();
  /** Commits of it, one after the other: the end of the first one's pause must not be in the middle of the second. */
  readonly commits = new Mutex();
  /** Connected from the moment it is spawned until its exit is recorded. */
  shim: Shim | null = null;
  /** Volumes that are mounted for its run. */
  acquired: readonly string[] = [];
  /** It does not remove itself at its next exit: it is being restarted. */
  keptAtExit = false;
  /** Nobody finds it by name: it is to take another's place, or has given it up. */
  unnamed = false;
  /** Clients that wait for its next start, to miss nothing of it. */
  readonly arrivals = new Set<(shim: Shim) => Promise<void>>();
  private spec: Spec | null = null;
  private exitWaiters: ((status: ExitStatus) => void)[] = [];
  private removalWaiters: (() => void)[] = [];
  private removed = false;

  /** What whoever makes it should hear. */
  readonly warnings: readonly string[];

  constructor(record: ContainerRecord, warnings: readonly string[] = []) {
    this.record = record;
    this.warnings = warnings;
  }

  /** Keeps the specification that creating the container made, for a start that follows at once. */
  keepSpec(spec: Spec): void {
    this.spec = spec;
    setTimeout(() => this.takeSpec(), 1000).unref();
  }

  /** What was kept, once: a later start looks at the container's files anew. */
  takeSpec(): Spec | null {
    const { spec } = this;
    this.spec = null;
    return spec;
  }

  get id(): string {
    return this.record.id;
  }

  get name(): string {
    return this.record.name;
  }

  get isUp(): boolean {
    return isUp(this.record.state.status);
  }

  get isActive(): boolean {
    return isActive(this.record.state.status);
  }

  get exitStatus(): ExitStatus {
    const { exitCode, oomKilled, error } = this.record.state;
    return { exitCode, oomKilled, error };
  }

  /** Lets those in that wait for its next start. */
  async admit(shim: Shim): Promise<void> {
    for (const arrive of this.arrivals) await arrive(shim);
  }

  /** Resolves at the next exit (or loss), or when the container is removed without one. */
  nextExit(): Promise<ExitStatus> {
    return new Promise((resolve) => this.exitWaiters.push(resolve));
  }

  /** Resolves when the record is gone. */
  removal(): Promise<void> {
    if (this.removed) return Promise.resolve();
    return new Promise((resolve) => this.removalWaiters.push(resolve));
  }

  /** To be called once the exit is recorded. */
  tellExit(): void {
    const waiters = this.exitWaiters;
    this.exitWaiters = [];
    for (const resolve of waiters) resolve(this.exitStatus);
  }

  /** To be called once the record is deleted. */
  tellRemoval(): void {
    this.removed = true;
    const waiters = this.removalWaiters;
    this.removalWaiters = [];
    for (const resolve of waiters) resolve();
    this.tellExit();
  }
}
