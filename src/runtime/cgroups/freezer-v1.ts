/** The freezer of cgroup v1. Source: Linux Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst. */
import { tryReadText, writeText } from "./files.ts";
import { says, until } from "./lifecycle.ts";

export function thaw(state: string): void {
  if (!says(state, "THAWED") && tryReadText(state) !== null) writeText(state, "THAWED");
}

/**
 * Writes the freezer's state until it is reached. FREEZING can stand still when a task forks or sleeps at the wrong moment;
 * the kernel's own advice is to write FROZEN again, and a thaw in between now and then gets a stuck group going.
 */
export async function freezerReaches(state: string, wanted: "FROZEN" | "THAWED", timeout: number): Promise<boolean> {
  let round = 0;
  return until(() => {
    if (wanted === "FROZEN" && round++ % 50 === 49) writeText(state, "THAWED");
    if (tryReadText(state) === null) return true;
    writeText(state, wanted);
    return says(state, wanted);
  }, timeout);
}
