import type { Created, Started } from "../native/protocol.ts";

export interface Stage {
  stage: string;
  microseconds: number;
  floor?: number;
  aside?: true;
}

/**
 * What the kernel alone takes, in microseconds, measured once on a quiet machine: clone3 with six namespaces and a user namespace
 * with its maps; an id-mapped mount and an overlay over ext4; eight file systems; a static binary by Bun.spawn.
 */
export const floors = { cgroupV1: 153, cgroupV2: 43, spawn: 1100, clone: 680 + 175, overlay: 5 + 222, mounts: 8 * 10 } as const;

/** Where the time of one start goes, stage by stage, in microseconds. */
export class Trace {
  private readonly stages: Stage[] = [];
  private last: number;

  constructor(now = performance.now()) {
    this.last = now;
  }

  /** Ends the stage that began at the last mark. */
  mark(stage: string, floor?: number): void {
    const now = performance.now();
    this.stages.push({ stage, microseconds: Math.round((now - this.last) * 1000), ...(floor === undefined ? {} : { floor }) });
    this.last = now;
  }

  /** The shim's own stages, which ran while the engine waited; by the shim's clock. */
  shim(created: Created, started: Started): void {
    const aside = (name: string, from: bigint, to: bigint, floor?: number) =>
      this.stages.push({
        stage: `shim: ${name}`,
        microseconds: Number((to - from) / 1000n),
        aside: true,
        ...(floor === undefined ? {} : { floor }),
      });
    aside("decode", created.shimStart, created.decoded);
    aside("before and clone", created.decoded, created.cloned, floors.clone);
    aside("after (parent)", created.cloned, created.setUp, floors.overlay);
    aside("child set-up", created.setUp, created.created, floors.mounts);
    aside("start to execve", created.created, started.at);
    this.mark("wait for the shim");
  }

  list(): Stage[] {
    return this.stages;
  }
}
