/** Namespaces: made, joined or the host's, with the ids, names, clocks and sysctls that were asked for. */
import { afterAll, expect, test } from "bun:test";
import { chownSync, readlinkSync } from "node:fs";
import type { NamespaceType } from "../../src/oci/spec.ts";
import { TestRuntime, testNewer } from "../kit/bundle.ts";
import { type Change, joinNamespace, userNamespace } from "../kit/oci-spec.ts";

const runtime = new TestRuntime();
afterAll(() => runtime.close(), 60_000);

const FILES: Readonly<Record<NamespaceType, string>> = {
  ...{ pid: "pid", network: "net", mount: "mnt", ipc: "ipc", uts: "uts", user: "user", cgroup: "cgroup", time: "time" },
};
const links = (pid: number | "self"): Record<string, string> =>
  Object.fromEntries(Object.values(FILES).map((file) => [file, readlinkSync(`/proc/${pid}/ns/${file}`)]));
const add =
  (type: NamespaceType): Change =>
  (spec) => {
    spec.linux!.namespaces!.push({ type });
  };

test("those asked for are new, the others the host's", async () => {
  const bundle = await runtime.running();
  const [own, host] = [links((await runtime.state(bundle.id)).pid), links("self")];
  for (const file of ["pid", "net", "mnt", "ipc", "uts"]) expect(own[file], file).not.toBe(host[file]!);
  for (const file of ["user", "cgroup", "time"]) expect(own[file], file).toBe(host[file]!);
  await runtime.remove(bundle);
});

test.each(["network", "ipc", "pid", "uts"] as const)("the host's %s namespace, if none is asked for", async (type) => {
  const unnamed: Change = (spec) => {
    if (type === "uts") delete spec.hostname;
  };
  const bundle = await runtime.running(["sleep", "1000"], joinNamespace(type), unnamed);
  const { pid } = await runtime.state(bundle.id);
  expect(links(pid)[FILES[type]]).toBe(links("self")[FILES[type]]!);
  await runtime.remove(bundle);
});

test.each(["network", "ipc", "pid", "uts", "cgroup"] as const)(
  "another container's %s namespace is joined by its path",
  async (type) => {
    const first = await runtime.running(["sleep", "1000"], type === "cgroup" ? add("cgroup") : () => {});
    const { pid } = await runtime.state(first.id);
    const second = await runtime.running(["sleep", "1000"], joinNamespace(type, `/proc/${pid}/ns/${FILES[type]}`));
    const [theirs, own] = [links(pid), links((await runtime.state(second.id)).pid)];
    expect(own[FILES[type]]).toBe(theirs[FILES[type]]!);
    expect(own.mnt).not.toBe(theirs.mnt!);
    await runtime.remove(second);
    expect((await runtime.state(first.id)).status).toBe("running");
    await runtime.remove(first);
  },
);

test("a container in a joined pid namespace ends with its own program, and takes nobody along", async () => {
  const first = await runtime.running();
  const { pid } = await runtime.state(first.id);
  const second = await runtime.running(["sh", "-c", "sleep 1000 & sleep 1000"], joinNamespace("pid", `/proc/${pid}/ns/pid`));
  await runtime.remove(second);
  await runtime.expectNothingLeft(second.id);
  expect((await runtime.state(first.id)).status).toBe("running");
  await runtime.remove(first);
});

test("a user namespace has the maps asked for, and root inside is nobody outside", async () => {
  const bundle = runtime.bundle(
    ["sh", "-c", "cat /proc/self/uid_map /proc/self/gid_map; id -u; sleep 1000"],
    userNamespace(234_000, 5000),
  );
  chownSync(bundle.rootfs, 234_000, 234_000);
  const call = await runtime.ok(["run", "--detach", "--bundle", bundle.directory, bundle.id]);
  const { pid } = await runtime.state(bundle.id);
  for (let tries = 0; !call.stdout.endsWith("\n0\n") && tries < 200; tries++) await Bun.sleep(10);
  expect(call.stdout.replaceAll(/ +/g, " ")).toBe(" 0 234000 5000\n 0 234000 5000\n0\n");
  expect(await Bun.file(`/proc/${pid}/status`).text()).toMatch(/^Uid:\t234000\t/m);
  await runtime.remove(bundle);
  await runtime.expectNothingLeft(bundle.id);
});

test("several ranges of ids", async () => {
  const ranges: Change = (spec) => {
    spec.linux!.namespaces!.push({ type: "user" });
    spec.linux!.uidMappings = spec.linux!.gidMappings = [
      { containerID: 0, hostID: 300_000, size: 10 },
      { containerID: 1000, hostID: 400_000, size: 1 },
    ];
    spec.process!.user = { uid: 1000, gid: 1000 };
  };
  const { stdout } = await runtime.shell("id -u; awk '{print $1,$2,$3}' /proc/self/uid_map", ranges);
  expect(stdout).toBe("1000\n0 300000 10\n1000 400000 1\n");
});

test("another container's user namespace is joined, with the namespaces it owns", async () => {
  const first = await runtime.running(["sleep", "1000"], userNamespace());
  const { pid } = await runtime.state(first.id);
  const second = await runtime.running(
    ["sleep", "1000"],
    joinNamespace("user", `/proc/${pid}/ns/user`),
    joinNamespace("network", `/proc/${pid}/ns/net`),
  );
  expect(links((await runtime.state(second.id)).pid)).toMatchObject({ user: links(pid).user, net: links(pid).net });
  await runtime.remove(second);
  await runtime.remove(first);
});

test("a cgroup namespace begins at the container's own group", async () => {
  const { stdout } = await runtime.run(["cat", "/proc/self/cgroup"], add("cgroup"));
  for (const line of stdout.trim().split("\n")) expect(line).toMatch(/:\/$/);
});

testNewer("a time namespace has the offsets asked for", async () => {
  const offsets: Change = (spec) => {
    add("time")(spec);
    spec.linux!.timeOffsets = { monotonic: { secs: 1_000_000, nanosecs: 5 }, boottime: { secs: 2_000_000 } };
  };
  const { stdout } = await runtime.shell("tr -s ' ' < /proc/self/timens_offsets; cut -d . -f 1 /proc/uptime", offsets);
  const lines = stdout.trim().split("\n");
  expect(lines.slice(0, 2)).toEqual(["monotonic 1000000 5", "boottime 2000000 0"]);
  expect(Number(lines[2])).toBeGreaterThan(2_000_000);
  const bundle = await runtime.running(["sleep", "1000"], offsets);
  const exec = await runtime.ok(["exec", bundle.id, "cut", "-d", ".", "-f", "1", "/proc/uptime"]);
  expect(Number(exec.stdout)).toBeGreaterThan(2_000_000);
  await runtime.remove(bundle);
});

test("sysctls are the namespace's, not the host's", async () => {
  const before = await Bun.file("/proc/sys/kernel/shm_rmid_forced").text();
  const { stdout } = await runtime.run(
    ["cat", "/proc/sys/kernel/shm_rmid_forced", "/proc/sys/net/ipv4/ip_unprivileged_port_start"],
    (spec) => {
      spec.linux!.sysctl = { "kernel.shm_rmid_forced": "1", "net.ipv4.ip_unprivileged_port_start": "80" };
    },
  );
  expect(stdout).toBe("1\n80\n");
  expect(await Bun.file("/proc/sys/kernel/shm_rmid_forced").text()).toBe(before);
});

test.each([
  ["kernel.shm_rmid_forced", "ipc"],
  ["net.ipv4.ip_forward", "network"],
] as const)("the sysctl %s is refused without a %s namespace of its own: it would be the host's", async (name, type) => {
  const { code, stderr } = await runtime.run(["true"], joinNamespace(type), (spec) => {
    spec.linux!.sysctl = { [name]: "1" };
  });
  expect(code).toBe(1);
  expect(stderr).toContain(name);
});

test("loopback is up in a new network namespace, and there is nothing else", async () => {
  const { stdout } = await runtime.shell(
    "ls /sys/class/net; ip link show lo | head -1; ping -c 1 -W 1 127.0.0.1 > /dev/null; echo $?",
  );
  expect(stdout).toMatch(/^lo\n.*LOOPBACK,UP/);
});

test("a host name without a namespace of its own is refused: it would be the host's", async () => {
  const { code } = await runtime.run(["true"], joinNamespace("uts"));
  expect(code).toBe(1);
});
