/**
 * What every cgroup manager does, with real processes: v1, hybrid and v2 run the same tests. Needs root and busybox.
 * A test whose controller the manager does not have is skipped by name.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import type { OnggiError } from "../src/lib/errors.ts";
import type { LinuxResources } from "../src/oci/spec.ts";
import type { CgroupJoin, CgroupManager } from "../src/runtime/cgroups/index.ts";

const MIB = 1 << 20;
const DENY_ALL = { allow: false, access: "rwm" };
const NULL_DEVICE = { allow: true, type: "c", major: 1, minor: 3, access: "rwm" } as const;
const ZERO_DEVICE = { allow: true, type: "c", major: 1, minor: 5, access: "rwm" } as const;

/** Files that take a process into the group when its pid is written to them. */
const procsOf = (join: CgroupJoin): string[] => [...join.tasks, ...(join.cloneInto ? [`${join.cloneInto}/cgroup.procs`] : [])];

/** The thrown error's code. */
function codeOf(attempt: () => unknown): string {
  try {
    attempt();
  } catch (error) {
    return (error as OnggiError).code ?? String(error);
  }
  return "nothing was thrown";
}

/** Where the suite's groups are, by a word of its own: all below `base`, the groups themselves directly below `parent`. */
export interface SuiteNames {
  readonly base: string;
  readonly parent: string;
  group(number: number): string;
}

const plainNames = (word: string): SuiteNames => ({
  base: `/onggi-test-${word}`,
  parent: `/onggi-test-${word}/engine`,
  group: (number) => `/onggi-test-${word}/engine/c${number}`,
});

export function cgroupSuite(name: string, open: () => CgroupManager, namesFor = plainNames): void {
  describe(name, () => {
    const cgroups = open();
    const names = namesFor(`${process.pid}x${Math.random().toString(36).slice(2, 8)}`);
    const has = (...controllers: string[]): boolean => controllers.every((controller) => cgroups.controllers.has(controller));
    let scratch = "";
    let count = 0;
    let running: Bun.Subprocess[] = [];

    const newPath = (): string => names.group(count++);
    const update = (path: string, resources: LinuxResources): void =>
      cgroups.update(path, resources, (message) => {
        throw new Error(message);
      });

    /** Runs a shell script whose shell has joined the group before its first line. */
    function run(join: CgroupJoin, script: string): Bun.Subprocess<"ignore", "pipe", "pipe"> {
      const enter = procsOf(join).map((file) => `echo $$ > ${file} || exit 99`);
      const child = Bun.spawn(["busybox", "sh", "-c", [...enter, script].join("\n")], {
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
      });
      running.push(child);
      return child;
    }

    async function joined(path: string): Promise<void> {
      for (let tries = 0; cgroups.processes(path).length === 0 && tries < 500; tries++) await Bun.sleep(2);
    }

    /** Gives the group a process that stays: systemd removes a group with its last one. */
    async function inhabit(path: string, join: CgroupJoin): Promise<void> {
      run(join, "busybox sleep 100");
      await joined(path);
    }

    beforeAll(() => {
      scratch = mkdtempSync(`${tmpdir()}/onggi-cgroups-`);
    });
    afterEach(async () => {
      for (const path of cgroups.children(names.parent)) await cgroups.remove(path);
      for (const child of running) child.kill("SIGKILL");
      running = [];
    });
    afterAll(async () => {
      await cgroups.remove(names.base);
      rmSync(scratch, { recursive: true, force: true });
    });

    test("create makes the group everywhere, remove takes it away, twice", async () => {
      const path = newPath();
      const join = cgroups.create(path, {});
      const files = procsOf(join);
      expect(files.length).toBeGreaterThan(0);
      for (const file of files) expect(existsSync(file)).toBe(true);
      if (has("memory")) expect(readFileSync(join.oom as string, "utf8")).toContain("oom_kill 0");
      expect(cgroups.join(path)).toEqual(join);
      expect(cgroups.children(names.parent)).toEqual([path]);
      expect(cgroups.processes(path)).toEqual([]);
      await cgroups.remove(path);
      for (const file of files) expect(existsSync(file)).toBe(false);
      await cgroups.remove(path);
      expect(cgroups.children(path)).toEqual([]);
    });

    test("occupied says whether somebody lives there", async () => {
      const path = newPath();
      expect(cgroups.occupied(path)).toBe(false);
      const join = cgroups.create(path, {});
      expect(cgroups.occupied(path)).toBe(false);
      run(join, "busybox sleep 100");
      await joined(path);
      expect(cgroups.occupied(path)).toBe(true);
      await cgroups.kill(path);
      expect(cgroups.occupied(path)).toBe(false);
    });

    test("remove leaves the groups above and beside alone", async () => {
      const [path, other] = [newPath(), newPath()];
      cgroups.create(path, {});
      run(cgroups.create(other, {}), "busybox sleep 100");
      await joined(other);
      await cgroups.remove(path);
      expect(cgroups.children(names.parent)).toEqual([other]);
      expect(cgroups.processes(other).length).toBeGreaterThan(0);
    });

    test("a group that was removed behind its back with its parent is made again", async () => {
      cgroups.create(newPath(), {});
      await open().remove(names.parent);
      const join = cgroups.create(newPath(), {});
      const child = run(join, "exit 7");
      expect(await child.exited).toBe(7);
    });

    test("release_agent is out of reach: notify_on_release is 0", () => {
      for (const file of cgroups.create(newPath(), {}).tasks) {
        const notify = file.replace(/tasks$/, "notify_on_release");
        if (existsSync(notify)) expect(readFileSync(notify, "utf8")).toBe("0\n");
      }
    });

    test.skipIf(!has("memory"))("a process that takes more memory than allowed is killed, and counted", async () => {
      const path = newPath();
      const join = cgroups.create(path, { memory: { limit: 32 * MIB } });
      expect(cgroups.stats(path).memory.limitBytes).toBe(32 * MIB);
      await inhabit(path, join);
      const child = run(join, "busybox dd if=/dev/zero of=/dev/null bs=512M count=1; echo $?");
      expect(await new Response(child.stdout).text()).toContain("137");
      expect(cgroups.stats(path).memory.oomKills).toBeGreaterThan(0);
      expect(readFileSync(join.oom as string, "utf8")).toMatch(/^oom_kill [1-9]/m);
    });

    test.skipIf(!has("memory"))("memory and swap grow and shrink together, in one update", () => {
      const path = newPath();
      cgroups.create(path, { memory: { limit: 64 * MIB, swap: 64 * MIB } });
      for (const size of [256, 32, 128]) {
        update(path, { memory: { limit: size * MIB, swap: size * MIB } });
        expect(cgroups.stats(path).memory.limitBytes).toBe(size * MIB);
      }
      update(path, { memory: { limit: -1 } });
      expect(cgroups.stats(path).memory.limitBytes).toBe(0);
      update(path, { memory: { reservation: 16 * MIB } });
    });

    test.skipIf(!has("memory"))("a limit below what is in use is refused when checkBeforeUpdate is set", async () => {
      const path = newPath();
      const join = cgroups.create(path, { memory: { limit: 256 * MIB } });
      const child = run(
        join,
        'exec busybox awk \'BEGIN { s = sprintf("%67108864s", ""); print "ready"; fflush(); while (1) system("sleep 10") }\'',
      );
      const { value } = await child.stdout.getReader().read();
      expect(new TextDecoder().decode(value)).toContain("ready");
      const code = codeOf(() => update(path, { memory: { limit: 8 * MIB, checkBeforeUpdate: true } }));
      expect(["cgroup_limit_refused", "invalid_cgroup_limit"]).toContain(code);
    });

    test.skipIf(!has("pids"))("a fork bomb is held", async () => {
      const path = newPath();
      const join = cgroups.create(path, { pids: { limit: 12 } });
      expect(cgroups.stats(path).pids.limit).toBe(12);
      const child = run(join, "i=0; while [ $i -lt 60 ]; do busybox sleep 100 & i=$((i+1)); done; wait");
      await Promise.race([child.exited, Bun.sleep(1500)]);
      const { current } = cgroups.stats(path).pids;
      expect(current).toBeLessThanOrEqual(12);
      expect(current).toBeGreaterThan(5);
      update(path, { pids: { limit: -1 } });
      expect(cgroups.stats(path).pids.limit).toBe(0);
    });

    test.skipIf(!has("memory", "cpu", "pids"))("an update that is refused in part changes nothing", () => {
      const path = newPath();
      const before: LinuxResources = { memory: { limit: 32 * MIB }, cpu: { shares: 512, quota: 20_000 }, pids: { limit: 9 } };
      cgroups.create(path, before);
      const files = () => cgroups.limits(path, before).map(({ file }) => [file, readFileSync(file, "utf8")]);
      const there = files();
      const cpu = { shares: 2048, quota: 500 }; // the least the kernel takes is a millisecond
      const refused = { memory: { limit: 64 * MIB, reservation: 16 * MIB }, cpu, pids: { limit: 5 } };
      expect(() => update(path, refused)).toThrow(/^limit cpu.quota = ".*": the kernel refused it with EINVAL/);
      expect(files()).toEqual(there);
      update(path, { ...refused, cpu: { shares: 2048 } });
      expect(files()).not.toEqual(there);
    });

    test.skipIf(!has("cpu"))("idleness and what goes with it are put back as well", () => {
      const path = newPath();
      const shares = (): string => readFileSync(cgroups.limits(path, { cpu: { shares: 2 } })[0]?.file ?? "", "utf8");
      cgroups.create(path, { cpu: { shares: 512 } });
      const there = shares();
      expect(codeOf(() => update(path, { cpu: { idle: 1, quota: 500 } }))).toBe("cgroup_limit_refused");
      expect(shares()).toBe(there);
    });

    test.skipIf(!has("cpu"))("a CPU quota throttles, and an update lifts it", async () => {
      const path = newPath();
      const join = cgroups.create(path, { cpu: { quota: 10_000, period: 50_000, shares: 512 } });
      run(join, "while :; do :; done");
      await joined(path);
      const usage = async (ms: number): Promise<number> => {
        const before = cgroups.stats(path).cpu.usageNs;
        const start = performance.now();
        await Bun.sleep(ms);
        return (cgroups.stats(path).cpu.usageNs - before) / 1e6 / (performance.now() - start);
      };
      if (has("cpuacct") || cgroups.version === "v2") expect(await usage(600)).toBeLessThan(0.4);
      else await Bun.sleep(600);
      const { cpu } = cgroups.stats(path);
      expect(cpu.periods).toBeGreaterThan(5);
      expect(cpu.throttledPeriods).toBeGreaterThan(3);
      expect(cpu.throttledNs).toBeGreaterThan(1e8);
      update(path, { cpu: { quota: -1 } });
      const { throttledPeriods } = cgroups.stats(path).cpu;
      await Bun.sleep(300);
      expect(cgroups.stats(path).cpu.throttledPeriods - throttledPeriods).toBeLessThanOrEqual(1);
    });

    test.skipIf(!has("cpu"))("quota, period and burst change in any direction", () => {
      const path = newPath();
      cgroups.create(path, { cpu: { quota: 50_000, period: 100_000, burst: 20_000 } });
      update(path, { cpu: { quota: 200_000, period: 100_000, burst: 150_000 } });
      update(path, { cpu: { quota: 10_000, period: 20_000, burst: 5_000 } });
      update(path, { cpu: { burst: 0 } });
      update(path, { cpu: { idle: 1 } });
      update(path, { cpu: { idle: 0, shares: 2048 } });
    });

    test.skipIf(!has("cpuset"))("a process runs on the CPUs of its set", async () => {
      const join = cgroups.create(newPath(), { cpu: { cpus: "0" } });
      const child = run(join, "busybox grep Cpus_allowed_list /proc/self/status");
      expect(await new Response(child.stdout).text()).toMatch(/:\s*0\n/);
      const whole = run(cgroups.create(newPath(), {}), "busybox grep Cpus_allowed_list /proc/self/status");
      const own = /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync("/proc/1/status", "utf8"))?.[1];
      expect(await new Response(whole.stdout).text()).toContain(own as string);
    });

    test("a device that is not allowed cannot be opened, before and after updates", async () => {
      const path = newPath();
      const join = cgroups.create(path, { devices: [DENY_ALL, NULL_DEVICE] });
      await inhabit(path, join);
      const script = "busybox head -c 1 /dev/zero > /dev/null 2>&1 && echo zero; echo x > /dev/null && echo null";
      const opens = async (): Promise<string> => (await new Response(run(join, script).stdout).text()).trim().replace("\n", " ");
      expect(await opens()).toBe("null");
      update(path, { devices: [DENY_ALL, NULL_DEVICE, ZERO_DEVICE] });
      expect(await opens()).toBe("zero null");
      update(path, { devices: [DENY_ALL, NULL_DEVICE, ZERO_DEVICE] });
      expect(await opens()).toBe("zero null");
      update(path, { devices: [DENY_ALL, NULL_DEVICE, { ...ZERO_DEVICE, access: "w" }] });
      expect(await opens()).toBe("null");
      if (!has("cpu")) return;
      const devices = [DENY_ALL, NULL_DEVICE, ZERO_DEVICE];
      expect(codeOf(() => update(path, { devices, cpu: { quota: 500 } }))).toBe("cgroup_limit_refused");
      expect(await opens()).toBe("null");
      expect(codeOf(() => update(path, { devices: [DENY_ALL], cpu: { quota: 500 } }))).toBe("cgroup_limit_refused");
      expect(await opens()).toBe("null");
    });

    test("freezing stops a process, thawing lets it go on, a frozen group can be killed", async () => {
      const path = newPath();
      const join = cgroups.create(path, {});
      const file = `${scratch}/counter${count}`;
      run(join, `while :; do echo x >> ${file}; done`);
      const grows = async (): Promise<boolean> => {
        const before = existsSync(file) ? statSync(file).size : 0;
        await Bun.sleep(150);
        return existsSync(file) && statSync(file).size > before;
      };
      await joined(path);
      expect(await grows()).toBe(true);
      expect(cgroups.isFrozen(path)).toBe(false);
      await cgroups.freeze(path, true);
      expect(await grows()).toBe(false);
      await cgroups.freeze(path, true);
      expect(cgroups.isFrozen(path)).toBe(true);
      await cgroups.freeze(path, false);
      expect(cgroups.isFrozen(path)).toBe(false);
      expect(await grows()).toBe(true);
      await cgroups.freeze(path, true);
      await cgroups.kill(path);
      expect(cgroups.processes(path)).toEqual([]);
    });

    test("kill reaches processes that keep forking", async () => {
      const path = newPath();
      const join = cgroups.create(path, has("pids") ? { pids: { limit: 64 } } : {});
      for (let i = 0; i < 3; i++) run(join, "while :; do (busybox sleep 0.02 & busybox sleep 0.03) 2>/dev/null; done");
      await Bun.sleep(200);
      expect(cgroups.processes(path).length).toBeGreaterThan(0);
      await cgroups.kill(path);
      expect(cgroups.processes(path)).toEqual([]);
      await cgroups.remove(path);
    });

    test("remove takes groups that the container made, with the processes in them", async () => {
      const path = newPath();
      const join = cgroups.create(path, {});
      for (const file of procsOf(join)) {
        if (file.includes("cpuset")) continue;
        const inner = file.replace(/[a-z.]+$/, "inner/deeper");
        mkdirSync(inner, { recursive: true });
      }
      const inner = {
        ...join,
        cloneInto: join.cloneInto && `${join.cloneInto}/inner/deeper`,
        tasks: join.tasks.filter((file) => !file.includes("cpuset")).map((file) => file.replace(/tasks$/, "inner/deeper/tasks")),
      };
      run(inner, "busybox sleep 100");
      await joined(path);
      expect(cgroups.processes(path).length).toBeGreaterThan(0);
      await cgroups.remove(path);
      for (const file of procsOf(join)) expect(existsSync(file)).toBe(false);
    });

    test("statistics move", async () => {
      const path = newPath();
      const join = cgroups.create(path, {});
      const child = run(join, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done; busybox sleep 100");
      await child.stdout.getReader().read();
      const stats = cgroups.stats(path);
      if (has("cpu") || has("cpuacct")) {
        expect(stats.cpu.usageNs).toBeGreaterThan(1e6);
        expect(stats.cpu.userNs + stats.cpu.systemNs).toBeGreaterThan(0);
      }
      if (has("memory")) {
        expect(stats.memory.usageBytes).toBeGreaterThan(0);
        expect(stats.memory.maxUsageBytes).toBeGreaterThanOrEqual(stats.memory.usageBytes);
      }
      if (has("pids")) expect(stats.pids.current).toBeGreaterThanOrEqual(1);
      const { detail } = cgroups.stats(path, { detail: true });
      if (has("memory")) expect(detail?.memory.usage.usage).toBeGreaterThan(0);
      if (has("cpuacct")) expect(detail?.perCpu.totalNs.some((value) => value > 0)).toBe(true);
      if (has("memory")) expect(Object.keys(detail?.memory.raw ?? {})).toContain("pgfault");
    });

    test.skipIf(!has("hugetlb") || !existsSync("/sys/kernel/mm/hugepages/hugepages-2048kB"))("huge pages are limited", () => {
      const path = newPath();
      cgroups.create(path, { hugepageLimits: [{ pageSize: "2MB", limit: 4 * MIB }] });
      expect(cgroups.stats(path).hugetlb["2MB"]).toEqual({ usageBytes: 0, maxUsageBytes: 0, failures: 0 });
    });

    test("a refused value leaves nothing behind", () => {
      const path = newPath();
      const wrong: LinuxResources[] = [
        { devices: [{ allow: true, type: "c", access: "x" }] },
        { hugepageLimits: [{ pageSize: "../2MB", limit: 1 }] },
      ];
      if (has("cpuset")) wrong.push({ cpu: { cpus: "4095" } });
      if (has("cpu")) wrong.push({ cpu: { quota: 5 } });
      if (has("memory")) wrong.push({ memory: { limit: 8 * MIB, swap: 4 * MIB } });
      for (const resources of wrong) {
        const code = codeOf(() => cgroups.create(path, resources));
        expect(["cgroup_limit_refused", "invalid_cgroup_limit"]).toContain(code);
        for (const file of procsOf(cgroups.join(path))) expect(existsSync(file)).toBe(false);
      }
    });

    test("a limit that cannot be had is an error that names it", () => {
      const path = newPath();
      const attempt = () =>
        cgroups.create(path, has("net_cls") ? { rdma: { none0: { hcaHandles: 1 } } } : { network: { classID: 5 } });
      expect(attempt).toThrow(has("net_cls") ? /rdma/ : /network\.classID = /);
      expect(["cgroup_controller_missing", "cgroup_limit_unsupported", "cgroup_limit_refused"]).toContain(codeOf(attempt));
      expect(codeOf(() => cgroups.stats(path))).toBe("cgroup_not_found");
      expect(codeOf(() => cgroups.create("/a/../b", {}))).toBe("invalid_cgroup_path");
    });
  });
}
