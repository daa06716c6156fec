/** N containers one after the other (ONGGI_REPEAT, default 1000): nothing may grow with their number. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { type Engine, slowness, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { descriptorCount, engineGroup, findLeaks, mountsBelow, onggiCgroups, snapshot } from "../kit/leaks.ts";

const count = Number(process.env.ONGGI_REPEAT ?? 1000);

const nothing = snapshot();
let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(() => engine.close(), 120_000);

async function counts() {
  // What a run leaves for the background is given its time.
  await Bun.sleep(500 * slowness);
  const pid = await engine.pid();
  return {
    descriptors: descriptorCount(pid),
    mounts: mountsBelow(engine.base).length,
    cgroups: onggiCgroups(engineGroup(engine.base)).length,
    processes: findLeaks(engine.base, nothing).processes.length,
    rssKib: Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]),
  };
}

test(
  `${count} run --rm in a row leave every count flat`,
  async () => {
    const run = async (index: number): Promise<void> => {
      const { stdout, stderr, code } = await engine.onggi(["run", "--rm", "--memory", "64m", "busybox", "echo", String(index)]);
      expect({ stdout, stderr, code }).toEqual({ stdout: `${index}\n`, stderr: "", code: 0 });
    };
    // The first ones fill caches (a mounted image, a compiled seccomp filter, the heap's size).
    for (let index = 0; index < Math.min(50, count / 2); index += 1) await run(index);
    const before = await counts();
    for (let index = 0; index < count; index += 1) await run(index);
    const after = await counts();
    expect(after.descriptors).toBeLessThanOrEqual(before.descriptors + 2);
    expect(after.mounts).toBe(before.mounts);
    expect(after.cgroups).toBe(before.cgroups);
    expect(after.processes).toBe(before.processes);
    // A garbage-collected heap breathes; a leak of one record and its buffers per container would show as more than 100 KiB each.
    expect(after.rssKib - before.rssKib).toBeLessThan(24 * 1024 + count * 20);
  },
  count * 1000 * slowness + 60_000,
);
