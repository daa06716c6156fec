/** Freezing and thawing: what the record says is meant, and the freezer follows it; also after the engine was killed in between. */
import { messageOf, OnggiError } from "../lib/errors.ts";
import type { Container } from "./container.ts";
import type { Context } from "./context.ts";
import { describe } from "./list.ts";
import { next, WrongState } from "./state.ts";

/** Freezes every process of a running container. `forCommit`: an engine that dies meanwhile leaves it to the next one to thaw it. */
export const pauseContainer = (context: Context, container: Container, forCommit = false): Promise<void> =>
  freeze(context, container, true, forCommit);

export const unpauseContainer = (context: Context, container: Container): Promise<void> =>
  freeze(context, container, false, false);

/** Ends the pause of a commit. No error where somebody else has ended it, or the container. */
export async function endCommitPause(context: Context, container: Container): Promise<void> {
  const { state, frozenForCommit } = container.record;
  if (frozenForCommit && state.status === "paused") await unpauseContainer(context, container);
}

/** For a container that is found running when an engine starts. Its record is not written. */
export async function settleFreezer(context: Context, { record }: Container): Promise<void> {
  if (record.state.status !== "paused" || record.frozenForCommit) record.state.status = "running";
  record.frozenForCommit = false;
  const frozen = record.state.status === "paused";
  try {
    await context.cgroups.freeze(record.cgroupPath, frozen);
  } catch (error) {
    const never = error instanceof OnggiError && error.code === "cgroup_controller_missing";
    if (!never) context.log(`${frozen ? "freeze" : "thaw"} ${record.id}: ${messageOf(error)}`);
  }
}

function freeze(context: Context, container: Container, frozen: boolean, forCommit: boolean): Promise<void> {
  return container.lock.run(async () => {
    const { record } = container;
    const before = record.state.status;
    const status = next(record.name, before, frozen ? "pause" : "unpause");
    const ofCommit = forCommit || record.frozenForCommit === true;
    await context.cgroups.freeze(record.cgroupPath, frozen);
    if (!container.isUp) throw new WrongState(record.name, record.state.status, frozen ? "pause" : "unpause");
    record.state.status = status;
    record.frozenForCommit = forCommit;
    try {
      // A commit's pause ends with the engine: nothing needs to be written for it, and none of it fails on a full disk.
      if (!ofCommit) context.table.update(record, true);
    } catch (error) {
      record.state.status = before;
      await context.cgroups.freeze(record.cgroupPath, !frozen);
      throw error;
    }
    context.events.emit("container", frozen ? "pause" : "unpause", record.id, describe(record));
  });
}
