/** One attack of several CVEs: an image whose /proc is not where procfs gets mounted, so that what protects it misses. */
import { expect } from "bun:test";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Bundle, TestRuntime } from "../../kit/bundle.ts";

/** A tree that looks enough like procfs for a runtime that does not look closely. */
export function plantFakeProc(rootfs: string, name = "fake"): void {
  const fake = join(rootfs, name);
  for (const directory of ["self/attr", "self/fd", "thread-self/attr", "sys/kernel"])
    mkdirSync(join(fake, directory), { recursive: true });
  for (const file of [
    "self/attr/exec",
    "self/attr/keycreate",
    "self/oom_score_adj",
    "self/setgroups",
    "sys/kernel/shm_rmid_forced",
    "keys",
  ])
    writeFileSync(join(fake, file), "bait\n");
}

export function linkProc(rootfs: string, target: string): void {
  rmSync(join(rootfs, "proc"), { recursive: true, force: true });
  symlinkSync(target, join(rootfs, "proc"));
}

/** Prints the type of /proc, and whether it is masked and read-only where the default specification says so. */
export const INSPECT_PROC = `
echo "type $(stat -f -c %T /proc)"
[ "$(stat -c %t:%T /proc/keys 2>/dev/null)" = 1:3 ] && echo "keys masked"
touch /proc/sys/kernel/shm_rmid_forced 2>/dev/null
(echo 0 > /proc/sys/kernel/shm_rmid_forced) 2>/dev/null && echo "sys writable"
mount -o remount,rw /proc/sys 2>/dev/null && echo "sys remounted"
exit 0`;

/** The runtime either refuses the bundle, or gives it a real and protected /proc; it never goes half-way. */
export async function expectRealProcOrRefusal(runtime: TestRuntime, bundle: Bundle): Promise<void> {
  const { code, stdout, stderr } = await runtime.call(["run", "--bundle", bundle.directory, bundle.id]);
  if (code === 0) expect(stdout).toBe("type proc\nkeys masked\n");
  else {
    expect(code).toBe(1);
    expect(stderr).not.toBe("");
    expect(stdout).toBe("");
  }
  await runtime.expectNothingLeft(bundle.id);
}
