import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { eventually } from "./engine.ts";
import { descriptorCount, engineGroup, expectNoLeaks, findLeaks, formatLeaks, snapshot, unmountBelow } from "./leaks.ts";

const base = mkdtempSync(join(tmpdir(), "onggi-leaks-"));
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

const run = (...command: string[]): string => {
  const result = Bun.spawnSync(command, { stdout: "pipe", stderr: "pipe" });
  if (result.exitCode !== 0) throw new Error(`${command.join(" ")}: ${result.stderr}`);
  return result.stdout.toString().trim();
};

test("a machine that has not changed has no leak", async () => {
  const before = snapshot();
  expect(formatLeaks(findLeaks(base, before))).toBe("");
  await expectNoLeaks(base, before, 0);
});

test("a mount below the base is found, in this namespace or in another one", () => {
  const before = snapshot();
  const target = join(base, "mnt");
  mkdirSync(target, { recursive: true });
  run("mount", "-t", "tmpfs", "planted", target);
  cleanups.push(() => unmountBelow(base));
  expect(findLeaks(base, before).mounts.join("\n")).toContain(target);
});

test("an interface of the engine's networks is found", () => {
  const before = snapshot();
  const name = `og-${engineGroup(base, "cgroupfs").slice("/onggi-".length)}`;
  run("ip", "link", "add", name, "type", "bridge");
  cleanups.push(() => run("ip", "link", "delete", name));
  expect(findLeaks(base, before).networks).toEqual([name]);
});

test("a mount that only another process's namespace has is found", async () => {
  const before = snapshot();
  const target = join(base, "private");
  mkdirSync(target, { recursive: true });
  const child = Bun.spawn(["unshare", "-m", "sh", "-c", `mount -t tmpfs planted ${target} && echo up && exec sleep 60`], {
    stdout: "pipe",
  });
  cleanups.push(async () => {
    child.kill("SIGKILL");
    await child.exited;
  });
  await child.stdout.getReader().read();
  expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(target);
  expect(findLeaks(base, before).mounts.join("\n")).toContain(target);
});

test("a process that works below the base is found by its command line, environment or descriptors", async () => {
  const before = snapshot();
  const file = join(base, "held");
  writeFileSync(file, "");
  const planted = [
    Bun.spawn(["sleep", "61"], { env: { ONGGI_ROOT: join(base, "root") } }),
    Bun.spawn(["sh", "-c", `exec sleep 62 < ${file}`]),
    Bun.spawn(["sh", "-c", "sleep 63; :", `${base}/x`]),
  ];
  cleanups.push(async () => {
    run("pkill", "-P", String(planted[2]!.pid));
    for (const child of planted) child.kill("SIGKILL");
    await Promise.all(planted.map((child) => child.exited));
  });
  await Bun.sleep(100);
  const found = findLeaks(base, before).processes.map((line) => Number(line.split(" ")[0]));
  for (const child of planted) expect(found).toContain(child.pid);
});

test("a cgroup of this engine's is found, another engine's is not", () => {
  const before = snapshot();
  const hierarchy = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].find((path) => existsSync(join(path, "cgroup.procs")))!;
  const planted = join(hierarchy, engineGroup(base), "planted-leak");
  const foreign = join(hierarchy, engineGroup(`${base}-other`));
  for (const directory of [planted, foreign]) mkdirSync(directory, { recursive: true });
  cleanups.push(() => {
    for (const directory of [planted, dirname(planted), foreign]) rmdirSync(directory);
  });
  expect(findLeaks(base, before).cgroups).toEqual([dirname(planted), planted]);
});

test("a loop device over a file below the base is found", () => {
  const before = snapshot();
  const file = join(base, "disk");
  run("truncate", "-s", "1M", file);
  const device = run("losetup", "-f", "--show", file);
  cleanups.push(() => run("losetup", "-d", device));
  expect(findLeaks(base, before).loops).toEqual([`${device.slice("/dev/".length)} ${file}`]);
});

test("a network namespace that a leaked process holds is found", async () => {
  const before = snapshot();
  const child = Bun.spawn(["unshare", "-n", "sh", "-c", "echo up && exec sleep 64"], {
    stdout: "pipe",
    env: { ONGGI_ROOT: join(base, "root"), PATH: process.env.PATH! },
  });
  cleanups.push(async () => {
    child.kill("SIGKILL");
    await child.exited;
  });
  await child.stdout.getReader().read();
  expect(findLeaks(base, before).networkNamespaces.length).toBe(1);
});

test("expectNoLeaks waits for what goes away by itself, and names what does not", async () => {
  const before = snapshot();
  const child = Bun.spawn(["sleep", "0.2"], { env: { ONGGI_ROOT: join(base, "root") } });
  await expectNoLeaks(base, before, 3);
  await child.exited;
  const stays = Bun.spawn(["sleep", "65"], { env: { ONGGI_ROOT: join(base, "root") } });
  cleanups.push(async () => {
    stays.kill("SIGKILL");
    await stays.exited;
  });
  await Bun.sleep(50);
  expect(expectNoLeaks(base, before, 0.1)).rejects.toThrow(/sleep 65/);
});

test("an open descriptor more is one more in the count", async () => {
  // of processes that do nothing: this one's own descriptors come and go
  const fd = openSync("/dev/null", "r");
  cleanups.push(() => closeSync(fd));
  const start = (...more: number[]) => {
    const child = Bun.spawn(["sleep", "100"], { stdio: ["ignore", "ignore", "ignore", ...more] });
    cleanups.push(() => child.kill());
    return child.pid;
  };
  const [plain, one] = [start(), start(fd)];
  // before its execve a child has more
  await eventually("one has one more", () => descriptorCount(one) === descriptorCount(plain) + 1);
});

describe("unmountBelow", () => {
  const points = (): string[] =>
    readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .map((line) => line.split(" ")[4] ?? "");
  const tmpfs = (target: string): void => {
    mkdirSync(target, { recursive: true });
    run("mount", "-t", "tmpfs", "planted", target);
  };

  test("takes off what lies below, stacked, nested or named with a space, and nothing beside it", () => {
    const [own, beside] = [join(base, "own"), join(base, "own-beside")];
    cleanups.push(() => unmountBelow(base));
    for (const target of [beside, own, join(own, "a"), join(own, "a"), join(own, "a/b c"), join(own, "z")]) tmpfs(target);
    unmountBelow(own);
    expect(points().filter((point) => point.startsWith(base))).toEqual([beside, own]);
    unmountBelow(own);
  });

  test.each(["", "/", "/tmp", "/tmp/", "//tmp", "/tmp/..", "/tmp/../proc", "tmp/x", "./x/y", "/tmp/x/"])("refuses %j", (path) => {
    const before = points();
    expect(() => unmountBelow(path)).toThrow(RangeError);
    expect(points()).toEqual(before);
  });
});
