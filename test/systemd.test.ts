/** The systemd driver, where systemd is the first process and has cgroup v2: in a VM (scripts/test-vm). */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, openSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { detectCgroups, openCgroups } from "../src/runtime/cgroups/index.ts";
import { attachLoop, close } from "../src/sys/index.ts";
import { cgroupSuite } from "./cgroups-suite.ts";

const layout = detectCgroups();
const usable = process.getuid?.() === 0 && layout.version === "v2" && existsSync("/run/systemd/system");

if (!usable) {
  describe("systemd driver", () => test.skip("needs root, systemd and cgroup v2", () => {}));
} else {
  cgroupSuite(
    "systemd driver",
    () => openCgroups({ layout, systemd: true }),
    (word) => ({
      base: `/onggi_test_${word}.slice`,
      parent: `/onggi_test_${word}.slice`,
      group: (number) => `/onggi_test_${word}.slice/c${number}.scope`,
    }),
  );

  describe("systemd's scopes", () => {
    const cgroups = openCgroups({ layout, systemd: true });
    const slice = `/onggi_scopes_${process.pid}.slice`;
    afterAll(() => cgroups.remove(slice));

    const groupOf = (pid: number): string => readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().slice(3);
    const sleeper = (): Bun.Subprocess => Bun.spawn(["sleep", "100"], { stdio: ["ignore", "ignore", "ignore"] });

    test("a process that is named is in its scope at once, alone, with the limits", async () => {
      const path = `${slice}/named.scope`;
      const { pid } = sleeper();
      cgroups.create(path, { pids: { limit: 7 } }, { pid });
      expect(groupOf(pid)).toBe(path);
      expect(cgroups.processes(path)).toEqual([pid]);
      expect(cgroups.occupied(path)).toBe(true);
      expect(cgroups.stats(path).pids.limit).toBe(7);
      await cgroups.remove(path);
      expect(existsSync(`/sys/fs/cgroup${path}`)).toBe(false);
    });

    test("a name that is in use is refused, one whose scope has ended is taken again", async () => {
      const path = `${slice}/again.scope`;
      const first = sleeper();
      cgroups.create(path, {}, { pid: first.pid });
      const second = sleeper();
      expect(() => cgroups.create(path, {}, { pid: second.pid })).toThrow(/UnitExists/);
      for (let round = 0; round < 3; round++) {
        first.kill("SIGKILL");
        await first.exited;
        await cgroups.remove(path);
        const next = sleeper();
        cgroups.create(path, {}, { pid: next.pid });
        expect(groupOf(next.pid)).toBe(path);
        next.kill("SIGKILL");
        await next.exited;
      }
      second.kill("SIGKILL");
      await cgroups.remove(path);
    });

    test("limits are systemd's too, and survive its reload", async () => {
      const path = `${slice}/reload.scope`;
      const { pid } = sleeper();
      cgroups.create(path, { memory: { limit: 64 << 20 } }, { pid });
      cgroups.update(path, { memory: { limit: 96 << 20 } }, console.error);
      expect(Bun.spawnSync(["systemctl", "daemon-reload"]).exitCode).toBe(0);
      expect(cgroups.stats(path).memory.limitBytes).toBe(96 << 20);
      await cgroups.remove(path);
    });

    test("limits of block devices survive it too", async () => {
      const path = `${slice}/disk.scope`;
      const image = join(tmpdir(), `onggi-disk-${process.pid}`);
      const file = openSync(image, "wx+");
      truncateSync(image, 1 << 20);
      const loop = attachLoop(file, { readOnly: false });
      close(file);
      rmSync(image);
      const number = readFileSync(`/sys/block/${loop.path.slice("/dev/".length)}/dev`, "utf8").trim();
      const [major = 0, minor = 0] = number.split(":").map(Number);
      const { pid } = sleeper();
      const throttleReadBpsDevice = [{ major, minor, rate: 4096 }];
      cgroups.create(path, { blockIO: { throttleReadBpsDevice } }, { pid });
      expect(Bun.spawnSync(["systemctl", "daemon-reload"]).exitCode).toBe(0);
      const limits = readFileSync(`/sys/fs/cgroup${path}/io.max`, "utf8").trim();
      expect(limits).toBe(`${number} rbps=4096 wbps=max riops=max wiops=max`);
      await cgroups.remove(path);
      close(loop.fd);
    });

    test("a group of the cgroupfs driver can be updated, stopped and removed", async () => {
      const path = `/onggi-plain-${process.pid}/c`;
      openCgroups({ layout }).create(path, {});
      cgroups.update(path, { pids: { limit: 5 } }, console.error);
      expect(cgroups.stats(path).pids.limit).toBe(5);
      await cgroups.remove(path);
      await cgroups.remove(`/onggi-plain-${process.pid}`);
      expect(() => cgroups.create(path, {})).toThrow(/needs \/SLICE\/NAME.scope/);
    });
  });
}
