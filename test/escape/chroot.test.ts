/**
 * Attack: root in the container (it has CAP_SYS_CHROOT, as in Docker) keeps a directory open, enters a chroot below it, steps
 * back and climbs above what it was given as root.
 *
 * What stops it: the container's root is the root of its mount namespace (pivot_root, the old root unmounted), so there is
 * nothing above it to climb to.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { attackImage, attackProgram, plantSecret, SECRET } from "../kit/attack.ts";
import { type Engine, startEngine } from "../kit/engine.ts";

let engine: Engine;
beforeAll(() => {
  engine = startEngine();
});
afterAll(() => engine.close(), 60_000);

test.each([[[]], [["--userns", "host"]], [["--userns", "host", "--security-opt", "seccomp=unconfined", "--cap-add", "ALL"]]])(
  "climbing out of a chroot with %p ends at the container's own root",
  async (flags) => {
    await attackImage(engine, "chroot", [{ name: "tmp/", type: "5", mode: 0o1777 }], [attackProgram("chroot-walk")]);
    const { stdout, code } = await engine.onggi(["run", "--rm", ...flags, "chroot", "/bin/chroot-walk", plantSecret(engine)]);
    expect(stdout).not.toContain(SECRET);
    expect({ stdout, code }).toEqual({ stdout: "contained\n", code: 0 });
  },
);

test("the host's root is not to be had through /proc/1/root or a descriptor of pid 1", async () => {
  await attackImage(engine, "chroot", [{ name: "tmp/", type: "5" }]);
  const secret = plantSecret(engine);
  const script = `cat /proc/1/root${secret} /proc/1/cwd${secret} /proc/*/fd/*${secret} /proc/self/root/../..${secret} 2>/dev/null; echo tried`;
  expect((await engine.onggi(["run", "--rm", "chroot", "sh", "-c", script])).stdout).toBe("tried\n");
});
