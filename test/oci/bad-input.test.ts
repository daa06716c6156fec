/** Configurations that are wrong: refused with 1, with a reason on stderr and in the log, and nothing made. */
import { afterAll, expect, test } from "bun:test";
import { closeSync, mkdirSync, openSync, readdirSync, rmSync, symlinkSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type Bundle, isOldRunc, TestRuntime, testNewer } from "../kit/bundle.ts";
import type { Change } from "../kit/oci-spec.ts";

const runtime = new TestRuntime();
afterAll(() => runtime.close(), 60_000);

async function expectRefusal(bundle: Bundle, reason?: string | RegExp): Promise<void> {
  for (const command of ["create", "run"]) {
    const { code, stdout, stderr, log } = await runtime.call([command, "--bundle", bundle.directory, bundle.id]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr.trim()).not.toBe("");
    // A message, not a crash.
    expect(stderr).not.toMatch(/^\s+at .*\(.*:\d+:\d+\)$|goroutine \d+/m);
    expect(stderr.length).toBeLessThan(10_000);
    const errors = log.filter(({ level }) => level === "error" || level === "fatal");
    expect(errors.length).toBeGreaterThan(0);
    if (reason) {
      expect(stderr).toMatch(reason);
      expect(errors.map(({ msg }) => msg).join("\n")).toMatch(reason);
    }
    await runtime.expectNothingLeft(bundle.id, 2);
  }
}

/** A bundle whose config.json is this text. */
function withText(text: string): Bundle {
  const bundle = runtime.bundle(["true"]);
  writeFileSync(join(bundle.directory, "config.json"), text);
  return bundle;
}

test.each([
  ["empty", ""],
  ["white space", " \n"],
  ["not JSON", "ociVersion: 1.0.2"],
  ["cut off", '{"ociVersion": "1.0.2", "process": {'],
  ["null", "null"],
  ["a list", "[]"],
  ["a string", '"1.0.2"'],
  ["an empty object", "{}"],
  ["zeros", "\0\0\0\0"],
  ["of invalid UTF-8", Buffer.from([0x7b, 0xff, 0xfe, 0x7d]).toString("latin1")],
])("a config.json that is %s", async (_, text) => {
  await expectRefusal(withText(text));
});

test("a config.json of 100 MB", async () => {
  const bundle = runtime.bundle(["true"]);
  const fd = openSync(join(bundle.directory, "config.json"), "w");
  const chunk = "x".repeat(1 << 20);
  writeSync(fd, '{"ociVersion": "1.0.2", "hostname": "');
  for (let n = 0; n < 100; n++) writeSync(fd, chunk);
  closeSync(fd);
  await expectRefusal(bundle);
  rmSync(join(bundle.directory, "config.json"));
}, 60_000);

test.each(["[", '{"a":'])("a config.json nested 100,000 deep (%s)", async (opening) => {
  await expectRefusal(withText(`{"ociVersion": "1.0.2", "annotations": ${opening.repeat(100_000)}`));
  const closing = opening === "[" ? "]" : "}";
  await expectRefusal(withText(`{"ociVersion": "1.0.2", "annotations": ${opening.repeat(100_000)}1${closing.repeat(100_000)}}`));
});

test("a config.json that is missing, a directory, or a FIFO nobody writes to", async () => {
  const missing = runtime.bundle(["true"]);
  rmSync(join(missing.directory, "config.json"));
  await expectRefusal(missing, /config\.json/);
  mkdirSync(join(missing.directory, "config.json"));
  await expectRefusal(missing);
});

test("a bundle that is missing, or a file", async () => {
  const bundle = runtime.bundle(["true"]);
  for (const directory of [join(runtime.base, "nowhere"), join(bundle.directory, "config.json")])
    await expectRefusal({ ...bundle, directory });
});

/** Sets a value by path in an otherwise good specification. */
const setting =
  (path: string, value: unknown): Change =>
  (spec) => {
    const names = path.split(".");
    let at = spec as unknown as Record<string, unknown>;
    for (const name of names.slice(0, -1)) {
      at[name] ??= {};
      at = at[name] as Record<string, unknown>;
    }
    at[names.at(-1)!] = value;
  };

// runc names the Go type; what is wanted is the place in the file.
const wrongTypes: [string, unknown][] = [
  ["ociVersion", 1],
  ["process", "sh"],
  ["process.args", "sh"],
  ["process.args", [1]],
  ["process.env", { A: "b" }],
  ["process.cwd", 1],
  ["process.terminal", "yes"],
  ["process.user", "root"],
  ["process.user.uid", "0"],
  ["process.user.uid", 0.5],
  ["process.user.uid", -1],
  ["process.user.uid", 4_294_967_296],
  ["process.user.additionalGids", 1],
  ["process.rlimits", [{ type: "RLIMIT_NOFILE", soft: "many", hard: 1 }]],
  ["process.capabilities.bounding", "CAP_KILL"],
  ["process.oomScoreAdj", "high"],
  ["root.path", 1],
  ["root.readonly", "no"],
  ["mounts", {}],
  ["mounts", [{ destination: 1 }]],
  ["mounts", [null]],
  ["hooks.createRuntime", { path: "/bin/true" }],
  ["annotations", { a: 1 }],
  ["linux.namespaces", "pid"],
  ["linux.namespaces", ["pid"]],
  ["linux.resources.memory.limit", "64m"],
  ["linux.resources.pids.limit", true],
  ["linux.devices", [{ path: 1, type: "c" }]],
  ["linux.sysctl", { "kernel.shm_rmid_forced": 1 }],
  ["linux.maskedPaths", "/proc/keys"],
  ["linux.seccomp.defaultAction", 1],
];

test.each(wrongTypes)("%s = %j is of the wrong type, and the error says where", async (path, value) => {
  const bundle = runtime.bundle(["true"], setting(path, value));
  await expectRefusal(bundle, isOldRunc ? undefined : new RegExp(path.replaceAll(".", "[./]").replace(/$/, "")));
});

/** Those that the rest of the specification needs, and others. */
const namespaces = (...others: object[]): object[] => [{ type: "mount" }, { type: "uts" }, { type: "ipc" }, ...others];

const wrongValues: [string, unknown][] = [
  ["ociVersion", ""],
  ["ociVersion", "2.0.0"],
  ["ociVersion", "0.1.0"],
  ["ociVersion", "one"],
  ["process.args", []],
  ["process.args", [""]],
  ["process.cwd", ""],
  ["process.cwd", "tmp"],
  ["process.env", ["A=b\0c"]],
  ["process.args", ["a\0b"]],
  ["process.rlimits", [{ type: "RLIMIT_NONSENSE", soft: 1, hard: 1 }]],
  ["process.rlimits", [{ type: "RLIMIT_NOFILE", soft: 2, hard: 1 }]],
  ["process.rlimits", Array(2).fill({ type: "RLIMIT_NOFILE", soft: 1, hard: 1 })],
  ["process.oomScoreAdj", 1001],
  ["process.user.umask", 0o1000],
  ["root.path", ""],
  ["root.path", "nowhere"],
  ["root.path", "config.json"],
  ["mounts", [{ destination: "" }]],
  ["mounts", [{ destination: "/x", type: "nonsense", source: "none" }]],
  ["mounts", [{ destination: "/x", type: "tmpfs", source: "tmpfs", options: ["nonsense"] }]],
  ["mounts", [{ destination: "/x", type: "bind", source: "/nowhere", options: ["bind"] }]],
  ["linux.namespaces", namespaces({ type: "nonsense" })],
  ["linux.namespaces", namespaces({ type: "pid" }, { type: "pid" })],
  ["linux.namespaces", namespaces({ type: "network", path: "/proc/4194300/ns/net" })],
  ["linux.namespaces", namespaces({ type: "network", path: "/etc/passwd" })],
  ["linux.namespaces", namespaces({ type: "network", path: "relative" })],
  ["linux.namespaces", namespaces({ type: "network", path: "/proc/self/ns/ipc" })],
  ["linux.cgroupsPath", "/../../../escape"],
  ["linux.devices", [{ path: "/dev/x", type: "x", major: 1, minor: 3 }]],
  ["linux.sysctl", { "kernel.core_pattern": "|/x" }],
  ["linux.sysctl", { "kernel.nonsense": "1" }],
  ["linux.sysctl", { "../kernel/core_pattern": "|/x" }],
  ["linux.seccomp", { defaultAction: "SCMP_ACT_NONSENSE" }],
  ["linux.seccomp", { defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_NONSENSE"] }],
  ["linux.rootfsPropagation", "nonsense"],
  ["linux.personality", { domain: "NONSENSE" }],
  ["linux.uidMappings", [{ containerID: 0, hostID: 1000, size: 1 }]],
  ["linux.resources.memory.limit", -2],
  ["linux.resources.cpu.cpus", "0-9999"],
  ["linux.resources.devices", [{ allow: true, type: "x", access: "rwm" }]],
  ["linux.resources.devices", [{ allow: true, type: "c", access: "q" }]],
  ["linux.resources.hugepageLimits", [{ pageSize: "3MB", limit: 1 }]],
];

test.each(wrongValues)("%s = %j has no meaning", async (path, value) => {
  await expectRefusal(runtime.bundle(["true"], setting(path, value)));
});

const members: [string, string][] = [
  ["process", "process"],
  ["root", "root"],
  ["process.cwd", "cwd"],
];
test.each(members)("without %s", async (path, name) => {
  const bundle = runtime.bundle(["true"], (spec) => {
    const owner = (path.includes(".") ? spec.process : spec) as unknown as Record<string, unknown>;
    delete owner[name];
  });
  await expectRefusal(bundle);
});

test("a user namespace whose ids are not mapped, or do not hold the user", async () => {
  const namespace: Change = (spec) => void spec.linux!.namespaces!.push({ type: "user" });
  const mapped =
    (size: number): Change =>
    (spec) => {
      spec.linux!.uidMappings = [{ containerID: 0, hostID: 200_000, size }];
      spec.linux!.gidMappings = [{ containerID: 0, hostID: 200_000, size }];
    };
  await expectRefusal(runtime.bundle(["true"], namespace, mapped(0)));
  await expectRefusal(runtime.bundle(["true"], namespace, mapped(10), setting("process.user.uid", 11)));
  await expectRefusal(
    runtime.bundle(
      ["true"],
      namespace,
      mapped(10),
      setting("linux.uidMappings", [
        { containerID: 0, hostID: 200_000, size: 10 },
        { containerID: 5, hostID: 300_000, size: 10 },
      ]),
    ),
  );
});

test("a joined namespace whose path has died", async () => {
  const child = Bun.spawn(["unshare", "-n", "sleep", "1000"]);
  const path = `/proc/${child.pid}/ns/net`;
  child.kill("SIGKILL");
  await child.exited;
  await expectRefusal(runtime.bundle(["true"], setting("linux.namespaces", namespaces({ type: "network", path }))), /ns/);
});

testNewer("a cgroupsPath stays below the hierarchies' own root", async () => {
  const name = `${runtime.uniqueId()}-up`;
  for (const path of [`../../${name}`, `/a/../../${name}`, `/${runtime.tag}/../../../../tmp/${name}`]) {
    const bundle = runtime.bundle(["true"], setting("linux.cgroupsPath", path));
    const { code } = await runtime.call(["run", "--bundle", bundle.directory, bundle.id]);
    expect(code).toBeOneOf([0, 1]);
    expect(readdirSync("/tmp").filter((entry) => entry.includes(name))).toEqual([]);
    await runtime.expectNothingLeft(name);
  }
});

test("a capability that nobody knows is left out, and a warning says so", async () => {
  const { code, log } = await runtime.run(["true"], setting("process.capabilities.bounding", ["CAP_KILL", "CAP_NONSENSE"]));
  expect(code).toBe(0);
  expect(
    log
      .filter(({ level }) => level === "warning")
      .map(({ msg }) => msg)
      .join(),
  ).toContain("CAP_NONSENSE");
});

test("a root that is a link out of the bundle is taken as the directory it leads to, a dangling one refused", async () => {
  const bundle = runtime.bundle(["true"]);
  rmSync(bundle.rootfs, { recursive: true });
  symlinkSync("/nowhere", bundle.rootfs);
  await expectRefusal(bundle);
});
