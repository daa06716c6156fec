/** The cgroup managers on what this host has mounted: its own version, and of a hybrid host each half alone as well. */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
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

  const user = 65534;
  // By its path: busybox as a shell would take its own.
  const setpriv = Bun.which("setpriv") ?? "";
  describe.skipIf(layout.v2 === null || setpriv === "")("a v2 group that is delegated to a user", () => {
    test("is that user's to make groups in, limit, freeze and remove", async () => {
      const cgroups = openCgroups({ layout: { ...layout, version: "v2", v1: [] } });
      const base = `/onggi-test-delegated-${process.pid}`;
      const directory = `${layout.v2?.mountpoint}${base}`;
      const { controllers } = cgroups;
      try {
        cgroups.create(base, controllers.has("pids") ? { pids: { limit: 50 } } : {});
        cgroups.delegate(base, user);
        const owner = (file: string): number => statSync(`${directory}/${file}`).uid;
        expect([owner("."), owner("cgroup.procs"), owner("cgroup.subtree_control")]).toEqual([user, user, user]);
        // The limits stay those of whoever delegated.
        if (controllers.has("pids")) expect(owner("pids.max")).toBe(0);
        mkdirSync(`${directory}/user`);
        const script = `echo $$ > ${directory}/user/cgroup.procs; chown ${user} ${directory}/user/cgroup.procs; exec "$@"`;
        const command = [setpriv, `--reuid=${user}`, `--regid=${user}`, "--clear-groups", process.execPath];
        const child = Bun.spawn(
          ["sh", "-c", script, "sh", ...command, join(import.meta.dirname, "cgroups-rootless-child.ts"), base],
          {
            stdout: "pipe",
            stderr: "pipe",
            env: { PATH: process.env.PATH ?? "", HOME: "/" },
          },
        );
        const [output, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
        expect({ output, errors }).toEqual({
          output: `${JSON.stringify({ uid: user, frozen: true, limit: "9", left: [`${base}/user`] })}\n`,
          errors: "",
        });
      } finally {
        await cgroups.remove(base);
      }
      expect(existsSync(directory)).toBe(false);
    });
  });
}
