import type { Plan } from "../plan/ops.ts";
import type { LimitFile } from "../runtime/cgroups/index.ts";
import type { Context } from "./context.ts";
import { draft } from "./create.ts";
import { foreignPlan } from "./foreign.ts";
import { hooksOf } from "./hooks.ts";
import { takeSlot } from "./ipc-mode.ts";
import { createPlan, specOf } from "./prepare.ts";
import type { ContainerRequest } from "./types.ts";

export interface Explained {
  readonly plan: Plan;
  /** What is written into its cgroup before that. */
  readonly limits: readonly LimitFile[];
}

/** The plan of the container this request would make. Makes nothing: the id and the range of user ids are samples. */
export function explainContainer(context: Context, request: ContainerRequest): Explained {
  const sketch = draft(context, request);
  const slot = sketch.isolationReason === "" ? takeSlot(context, sketch.request) : null;
  if (slot !== null) context.slots.release(slot);
  const record = { ...sketch, slot };
  const spec = specOf(context, record);
  const join = context.cgroups.join(record.cgroupPath);
  const limits = context.cgroups.limits(record.cgroupPath, spec.linux?.resources ?? {});
  if (record.runtime) return { plan: foreignPlan(context, record, record.runtime, spec, join).plan, limits };
  const hooks = hooksOf(context, record, spec);
  try {
    const { plan, release } = createPlan(context, record, spec, join, { hookState: hooks?.state });
    release();
    return { plan, limits };
  } finally {
    hooks?.close();
  }
}
