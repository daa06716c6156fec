import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { skipLoudly } from "../kit/skip.ts";

let engine: Engine;
let pid = 0;
let userNamespaces = true;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
  await engine.ok(["run", "-d", "--name", "still", "busybox", "sleep", "1000"]);
  pid = (await engine.inspect("still")).State.Pid;
  const { features } = JSON.parse(await engine.ok(["engine", "status", "--format", "json"]));
  userNamespaces = features?.userNamespaces ?? true;
  if (!userNamespaces) skipLoudly("user namespaces: this kernel cannot stack id-mapped layers (6.15 can)");
}, 120_000);
afterAll(() => engine.close(), 120_000);

async function run(...words: string[]) {
  const split = words.indexOf("--");
  const [flags, command] = split < 0 ? [[], words] : [words.slice(0, split), words.slice(split + 1)];
  return await engine.onggi(["run", "--rm", ...flags, "busybox", ...command]);
}

const statusOf = (of: number | "self", field: string): string =>
  new RegExp(`^${field}:\\s*(\\S+)`, "m").exec(readFileSync(`/proc/${of}/status`, "utf8"))![1]!;

describe("namespaces", () => {
  test.each(["mnt", "pid", "net", "ipc", "uts", "user", "cgroup"])("%s is the container's own", (name) => {
    if (name === "user" && !userNamespaces) return;
    expect(readlinkSync(`/proc/${pid}/ns/${name}`)).not.toBe(readlinkSync(`/proc/self/ns/${name}`));
  });

  test.each([
    ["--pid", "pid"],
    ["--ipc", "ipc"],
    ["--uts", "uts"],
    ["--network", "net"],
    ["--userns", "user"],
    ["--cgroupns", "cgroup"],
  ])("%s host shares the host's", async (flag, name) => {
    const { stdout } = await run(flag, "host", "--", "readlink", `/proc/self/ns/${name}`);
    expect(stdout.trim()).toBe(readlinkSync(`/proc/self/ns/${name}`));
  });

  test("the container sees its own processes, interfaces and cgroup only", async () => {
    expect((await run("sh", "-c", "ls /proc | grep -c '^[0-9]'")).stdout.trim()).toMatch(/^[23456]$/);
    expect((await run("ls", "/sys/class/net")).stdout).toBe("eth0\nlo\n");
    expect((await run("cat", "/proc/self/cgroup")).stdout).not.toContain("onggi-");
  });

  test("--network none: lo is up and nothing can be reached", async () => {
    const { stdout } = await run(
      "--network",
      "none",
      "--",
      "sh",
      "-c",
      "ip -o link | wc -l; ip -o addr show lo | grep -c 127.0.0.1; ip route | wc -l",
    );
    expect(stdout.split("\n").map((line) => line.trim())).toEqual(["1", "1", "0", ""]);
  });
});

describe("user namespace", () => {
  test("root inside is an unprivileged id outside", () => {
    if (!userNamespaces) return;
    const [inside, outside, size] = readFileSync(`/proc/${pid}/uid_map`, "utf8").trim().split(/\s+/).map(Number);
    expect(inside).toBe(0);
    expect(outside).toBeGreaterThan(65_535);
    expect(size).toBeGreaterThanOrEqual(65_536);
    expect(statSync(`/proc/${pid}`).uid).toBe(outside!);
    expect(statusOf(pid, "Uid")).toBe(String(outside));
  });

  test("inside, the image's files are root's", async () => {
    expect((await run("stat", "-c", "%u:%g", "/bin/busybox")).stdout).toBe("0:0\n");
    expect((await run("sh", "-c", "touch /mine; stat -c %u:%g /mine; chown 5:6 /mine; stat -c %u:%g /mine")).stdout).toBe(
      "0:0\n5:6\n",
    );
  });

  test("two containers have different host ids", async () => {
    if (!userNamespaces) return;
    const id = await engine.ok(["run", "-d", "busybox", "sleep", "1000"]);
    const other = (await engine.inspect(id)).State.Pid;
    expect(statusOf(other, "Uid")).not.toBe(statusOf(pid, "Uid"));
    await engine.ok(["rm", "-f", id]);
  });

  test("inspect says whether there is one, and why not", async () => {
    const id = await engine.ok(["run", "-d", "--privileged", "busybox", "sleep", "1000"]);
    expect(readlinkSync(`/proc/${(await engine.inspect(id)).State.Pid}/ns/user`)).toBe(readlinkSync("/proc/self/ns/user"));
    expect(JSON.stringify(await engine.inspect(id))).toMatch(/privileged/i);
    await engine.ok(["rm", "-f", id]);
  });
});

describe("privileges", () => {
  /** Docker's fourteen: moby's oci/caps/defaults.go. */
  const DOCKER_CAPABILITIES = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31];
  const mask = (bits: readonly number[]): string =>
    bits
      .reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n)
      .toString(16)
      .padStart(16, "0");

  test("capabilities are Docker's default set, none ambient or inheritable", () => {
    expect(statusOf(pid, "CapBnd")).toBe(mask(DOCKER_CAPABILITIES));
    expect(statusOf(pid, "CapPrm")).toBe(mask(DOCKER_CAPABILITIES));
    expect(statusOf(pid, "CapEff")).toBe(mask(DOCKER_CAPABILITIES));
    expect(statusOf(pid, "CapInh")).toBe(mask([]));
    expect(statusOf(pid, "CapAmb")).toBe(mask([]));
  });

  test.each([
    [["--cap-drop", "ALL"], []],
    [["--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE"], [10]],
    [
      ["--cap-drop", "CAP_MKNOD", "--cap-add", "sys_ptrace"],
      [...DOCKER_CAPABILITIES.filter((bit) => bit !== 27), 19],
    ],
  ])("%p", async (flags, bits) => {
    expect((await run(...flags, "--", "grep", "CapBnd", "/proc/self/status")).stdout.trim()).toBe(`CapBnd:\t${mask(bits)}`);
  });

  test("a user who is not root has none in effect", async () => {
    expect((await run("--user", "1000", "--", "grep", "-E", "CapEff|CapPrm", "/proc/self/status")).stdout).toBe(
      `CapPrm:\t${mask([])}\nCapEff:\t${mask([])}\n`,
    );
  });

  test("seccomp filters (mode 2); unconfined does not; what Docker's profile forbids fails", async () => {
    expect(statusOf(pid, "Seccomp")).toBe("2");
    expect((await run("--security-opt", "seccomp=unconfined", "--", "grep", "^Seccomp:", "/proc/self/status")).stdout).toBe(
      "Seccomp:\t0\n",
    );
    expect((await run("unshare", "-m", "true")).code).not.toBe(0);
    expect((await run("sh", "-c", "mount -t tmpfs x /mnt 2>&1 || mount -t tmpfs x /tmp 2>&1")).stdout).toMatch(
      /permitted|denied/i,
    );
  });

  test("no-new-privileges", async () => {
    expect(statusOf(pid, "NoNewPrivs")).toBe("0");
    expect((await run("--security-opt", "no-new-privileges", "--", "grep", "NoNewPrivs", "/proc/self/status")).stdout).toBe(
      "NoNewPrivs:\t1\n",
    );
  });

  test("--privileged has every capability of the engine's, no filter, and the host's devices", async () => {
    const { stdout } = await run(
      "--privileged",
      "--",
      "sh",
      "-c",
      "grep -E 'CapEff|^Seccomp:' /proc/self/status; ls /dev | wc -l",
    );
    expect(stdout).toContain(`CapEff:\t${statusOf("self", "CapBnd")}`);
    expect(stdout).toContain("Seccomp:\t0");
    const hostDevices = readdirSync("/dev").length;
    expect(Number(stdout.trim().split("\n").pop())).toBeGreaterThan(hostDevices / 2);
  });
});

describe("kernel files", () => {
  test("masked paths are empty, read-only paths refuse writes", async () => {
    expect((await run("sh", "-c", "cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | wc -c")).stdout.trim()).toBe("0");
    expect((await run("sh", "-c", "ls -A /proc/scsi /sys/firmware 2>/dev/null | grep -v : | grep -c .")).stdout.trim()).toBe("0");
    for (const path of ["/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/proc/irq/default_smp_affinity"]) {
      expect((await run("sh", "-c", `if [ -e ${path} ]; then echo x > ${path}; else exit 1; fi`)).code, path).not.toBe(0);
    }
  });

  test("/sys and the cgroup tree are read-only", async () => {
    expect(
      (await run("sh", "-c", "mkdir /sys/fs/cgroup/x 2>&1; mkdir /sys/fs/cgroup/*/x 2>&1; echo 1 > /sys/kernel/profiling 2>&1"))
        .stdout,
    ).not.toBe("");
    expect((await run("grep", " /sys sysfs ", "/proc/mounts")).stdout).toMatch(/ ro,/);
  });

  test("--security-opt systempaths=unconfined leaves /proc as the kernel shows it", async () => {
    expect(
      (await run("--security-opt", "systempaths=unconfined", "--", "sh", "-c", "grep -c ' /proc/' /proc/mounts")).stdout.trim(),
    ).toBe("0");
  });

  test("no mount of the host is visible", async () => {
    const { stdout } = await run("cat", "/proc/self/mountinfo");
    // The root's own line may name layer directories; no other line may name a path of the host.
    for (const line of stdout
      .trim()
      .split("\n")
      .filter((each) => each.split(" ")[4] !== "/"))
      expect(line).not.toContain(join(engine.base, "run"));
  });

  test("mount propagation: what the container mounts stays in it", async () => {
    expect((await run("cat", "/proc/self/mountinfo")).stdout).not.toMatch(/ shared:/);
  });
});
