/** The cgroup managers on what this host has mounted: its own version, and of a hybrid host each half alone as well. */
import { describe, test } from "bun:test";
import { detectCgroups, openCgroups } from "../src/runtime/cgroups/index.ts";
import { cgroupSuite } from "./cgroups-suite.ts";

if (process.getuid?.() !== 0) {
  describe("cgroups", () => test.skip("need root", () => {}));
} else {
  const layout = detectCgroups();
  cgroupSuite(`this host's cgroups (${layout.version})`, () => openCgroups({ layout }));
  if (layout.version === "hybrid") {
    cgroupSuite("v1 without the unified tree", () => openCgroups({ layout: { ...layout, version: "v1", v2: null } }));
    cgroupSuite("v2 with the controllers of the unified tree", () =>
      openCgroups({ layout: { ...layout, version: "v2", v1: [] } }),
    );
  }
}
