import type { Created, Started } from "../native/protocol.ts";

/** Where the time of one start goes, stage by stage, in microseconds. */
export class Trace {
  private readonly stages: { stage: string; microseconds: number }[] = [];
  private last: number;

  constructor(now = performance.now()) {
    this.last = now;
  }

  /** Ends the stage that began at the last mark. */
  mark(stage: string): void {
    const now = performance.now();
    this.stages.push({ stage, microseconds: Math.round((now - this.last) * 1000) });
    this.last = now;
  }

  /** The shim's own stages, which ran while the engine waited; by the shim's clock. */
  shim(created: Created, started: Started): void {
    const stage = (name: string, from: bigint, to: bigint) =>
      this.stages.push({ stage: `shim: ${name}`, microseconds: Number((to - from) / 1000n) });
    stage("decode", created.shimStart, created.decoded);
    stage("before and clone", created.decoded, created.cloned);
    stage("after (parent)", created.cloned, created.setUp);
    stage("child set-up", created.setUp, created.created);
    stage("start to execve", created.created, started.at);
    this.mark("wait for the shim");
  }

  list(): { stage: string; microseconds: number }[] {
    return this.stages;
  }
}
