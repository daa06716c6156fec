/** Devices of the Container Device Interface: files of an administrator's, and what containers have of them. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { dockerClients, dockerFor } from "../kit/docker-api.ts";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { skipLoudly } from "../kit/skip.ts";

let engine: Engine;
let cdi: string;
const said = (name: string): string => join(engine.base, name);

/** Writes the file's path of the root, as its config.json has it, by the state that a hook is given. */
const inRoot = (what: string): string[] => [
  "sh",
  "-c",
  `bundle=$(sed 's/.*"bundle":"\\([^"]*\\)".*/\\1/'); root=$(sed 's/.*"root":{"path":"\\([^"]*\\)".*/\\1/' "$bundle/config.json"); ${what}`,
];
const touch = (path: string) => ({ path: "/bin/sh", args: ["sh", "-c", `cat > ${path}`] });

function write(name: string, device: object, more: object = {}): void {
  const spec = { cdiVersion: "1.0.0", kind: "vendor.com/class", devices: [{ name: "one", containerEdits: device }], ...more };
  writeFileSync(join(cdi, name), JSON.stringify(spec));
}

beforeAll(async () => {
  engine = startEngine();
  cdi = said("cdi");
  mkdirSync(cdi);
  writeFileSync(said("engine.toml"), `cdi-spec-dirs = [${JSON.stringify(cdi)}]\n`);
  await engine.ok(["engine", "start", "--config", said("engine.toml")]);
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(() => engine.close(), 120_000);
afterEach(async () => {
  await engine.onggi(["rm", "-f", "web"]);
  rmSync(cdi, { recursive: true });
  mkdirSync(cdi);
});

const run = (...words: string[]) => engine.onggi(["run", "--rm", "--device", "vendor.com/class=one", ...words]);

describe.each([[[]], [["--userns", "host"]]])("with %j", (flags: string[]) => {
  test("a container has the nodes, mounts, variables and groups of a device", async () => {
    mkdirSync(said("lib"), { recursive: true });
    writeFileSync(said("lib/driver"), "it\n");
    const mounts = [{ hostPath: said("lib"), containerPath: "/usr/lib/driver", options: ["ro", "rbind"] }];
    const deviceNodes = [
      { path: "/dev/sink", hostPath: "/dev/null" },
      { path: "/dev/naught", type: "c", major: 1, minor: 5, fileMode: 0o640, gid: 7 },
    ];
    write("a.json", { deviceNodes, mounts, additionalGids: [77] }, { containerEdits: { env: ["DRIVER=yes"] } });
    const script = [
      "echo lost > /dev/sink && head -c 3 /dev/naught | od -An -tx1",
      "stat -c '%t:%T %a %g' /dev/naught; cat /usr/lib/driver/driver; stat -c %u /usr/lib/driver/driver",
      "touch /usr/lib/driver/x 2>&1; echo $DRIVER; id -G",
    ].join("; ");
    const { stdout, stderr } = await run(...flags, "busybox", "sh", "-c", script);
    expect({ lines: stdout.trim().split("\n"), stderr }).toEqual({
      lines: ["00 00 00", "1:5 640 7", "it", "0", expect.stringContaining("Read-only file system"), "yes", "0 77"],
      stderr: "",
    });
  });

  test("hooks run where and when they are meant to, and find the root by the state", async () => {
    const hooks = [
      { hookName: "prestart", ...touch(said("prestart")) },
      {
        hookName: "createContainer",
        path: "/bin/sh",
        args: inRoot('echo "$HOOK" > "$root/made"'),
        env: ["HOOK=mine", "PATH=/bin:/usr/bin"],
      },
      { hookName: "startContainer", path: "/bin/sh", args: ["sh", "-c", "cat > /state"] },
      { hookName: "poststart", ...touch(said("poststart")) },
      { hookName: "poststop", ...touch(said("poststop")) },
    ];
    write("a.json", { hooks });
    const asked = ["--annotation", "a=b", "--name", "web", ...flags];
    const { stdout, stderr } = await run(...asked, "busybox", "sh", "-c", "cat /made /state; ls /rootfs 2>&1");
    expect(stderr).toBe("");
    const [made, state = ""] = stdout.split("\n");
    expect(made).toBe("mine");
    const { id, bundle } = JSON.parse(state.replace(/ls:.*/, ""));
    const of = (name: string) => JSON.parse(readFileSync(said(name), "utf8"));
    expect(JSON.parse(state.replace(/ls:.*/, ""))).toMatchObject({
      status: "created",
      annotations: { a: "b" },
      pid: expect.any(Number),
    });
    expect(of("prestart")).toMatchObject({ id, bundle, status: "creating" });
    expect(of("poststart")).toMatchObject({ id, status: "running" });
    expect(of("poststop")).toMatchObject({ id, status: "stopped" });
    expect(existsSync(bundle)).toBe(false);
    for (const name of ["prestart", "poststart", "poststop"]) rmSync(said(name));
  });

  test("a hook that fails ends the start, and says so", async () => {
    for (const hookName of ["createContainer", "createRuntime"]) {
      write("a.json", {
        hooks: [
          { hookName, path: "/bin/sh", args: ["sh", "-c", "echo broken >&2; exit 3"] },
          { hookName: "poststop", ...touch(said("end")) },
        ],
      });
      const { code, stderr } = await run(...flags, "busybox", "true");
      expect({ hookName, code }).toEqual({ hookName, code: 125 });
      expect(stderr).toMatch(new RegExp(`${hookName}.* hook /bin/sh: exit status 3`));
      expect(existsSync(said("end"))).toBe(true);
      rmSync(said("end"));
    }
  });
});

test("a hook that does not end is ended, and what it leaves behind holds nothing up", async () => {
  for (const hookName of ["createContainer", "createRuntime"]) {
    write("a.json", { hooks: [{ hookName, path: "/bin/sh", args: ["sh", "-c", "sleep 3 & exec sleep 101"], timeout: 1 }] });
    expect((await run("busybox", "true")).stderr).toMatch(new RegExp(`${hookName}.* hook /bin/sh: it was killed after 1 s`));
  }
});

test("the next engine runs the hooks for the end, if the one that started the container is killed", async () => {
  write("a.json", { hooks: [{ hookName: "poststop", ...touch(said("late")) }] });
  await engine.ok(["run", "-d", "--name", "web", "--device", "vendor.com/class=one", "busybox", "sleep", "1000"]);
  await engine.murder();
  await engine.ok(["engine", "start", "--config", said("engine.toml")]);
  rmSync(join(cdi, "a.json"));
  expect(existsSync(said("late"))).toBe(false);
  await engine.ok(["rm", "-f", "web"]);
  expect(JSON.parse(readFileSync(said("late"), "utf8"))).toMatchObject({ status: "stopped" });
  rmSync(said("late"));
});

test("explain has the hooks and nodes, and runs nothing", async () => {
  const hooks = ["createContainer", "createRuntime", "poststop"].map((hookName) => ({ hookName, ...touch(said(hookName)) }));
  write("a.json", { hooks, deviceNodes: [{ path: "/dev/sink", hostPath: "/dev/null" }] });
  const text = await engine.ok(["explain", "--device", "vendor.com/class=one", "busybox", "true"]);
  expect(text).toContain("run the createContainer hook /bin/sh");
  expect(text).toContain("make /dev/sink");
  for (const { hookName } of hooks) expect(existsSync(said(hookName))).toBe(false);
});

test("network devices of a device move into the container", async () => {
  const name = `cdi${process.pid}`;
  await Bun.$`ip link add ${name} type veth peer name ${name}p && ip addr add 10.231.99.7/24 dev ${name}`;
  try {
    write("a.json", { netDevices: [{ hostInterfaceName: name, name: "port0" }] }, { cdiVersion: "1.1.0" });
    const { stdout, stderr } = await run("busybox", "ip", "-4", "-o", "addr", "show", "port0");
    expect({ stdout, stderr }).toEqual({ stdout: expect.stringContaining("10.231.99.7/24"), stderr: "" });
    expect((await run("--network", "host", "busybox", "true")).stderr).toContain("netDevices");
  } finally {
    await Bun.$`ip link del ${name}p`.quiet().nothrow();
  }
  expect((await run("busybox", "true")).stderr).toContain("this host has no such network device");
});

test("a device is looked up at each start, and inspect and exec need none", async () => {
  write("a.json", { env: ["N=1"] });
  const words = [
    "run",
    "-d",
    "--name",
    "web",
    "--device",
    "vendor.com/class=one",
    "busybox",
    "sh",
    "-c",
    "echo $N; exec sleep 1000",
  ];
  await engine.ok(words);
  await eventually("the first run has said its own", async () => (await engine.ok(["logs", "web"])) === "1");
  write("a.json", { env: ["N=2"] });
  await engine.ok(["restart", "-t", "0", "web"]);
  await eventually("both runs have said theirs", async () => (await engine.ok(["logs", "web"])) === "1\n2");
  rmSync(join(cdi, "a.json"));
  expect(await engine.ok(["exec", "web", "echo", "in"])).toBe("in");
  const { HostConfig } = (await engine.inspect("web")) as unknown as {
    HostConfig: { DeviceRequests: unknown; Devices: unknown };
  };
  expect(HostConfig.DeviceRequests).toEqual([
    { Driver: "cdi", Count: 0, DeviceIDs: ["vendor.com/class=one"], Capabilities: null, Options: {} },
  ]);
  expect(HostConfig.Devices).toEqual([]);
  await engine.ok(["kill", "web"]);
  await engine.onggi(["wait", "web"]);
  const { code, stderr } = await engine.onggi(["start", "web"]);
  expect(code).not.toBe(0);
  expect(stderr).toContain("unresolvable CDI devices vendor.com/class=one; there are none in");
});

test("what cannot be had is said, with the file's name", async () => {
  write("a.json", { env: ["A=1"] });
  write("b.json", { env: ["A=1"] });
  expect((await run("busybox", "true")).stderr).toContain("unresolvable CDI devices vendor.com/class=one");
  expect((await run("busybox", "true")).stderr).toContain(`is in ${cdi}/a.json and ${cdi}/b.json`);
  rmSync(join(cdi, "b.json"));
  chmodSync(join(cdi, "a.json"), 0o666);
  expect((await run("busybox", "true")).stderr).toContain(`${cdi}/a.json: anybody may write to it`);
  chmodSync(join(cdi, "a.json"), 0o644);
  write("a.json", { deviceNodes: [{ path: "/dev/nowhere" }] });
  expect((await run("busybox", "true")).stderr).toContain(`${cdi}/a.json names the device /dev/nowhere`);
  const gpus = await engine.onggi(["run", "--rm", "--gpus", "all", "busybox", "true"]);
  expect(gpus).toMatchObject({
    code: 125,
    stderr: expect.stringContaining('could not select device driver "" with capabilities: [[gpu]]'),
  });
});

test("--gpus are NVIDIA's devices of CDI", async () => {
  const devices = ["0", "1", "all"].map((name) => ({ name, containerEdits: { env: [`GPU_${name}=1`] } }));
  write("n.json", {}, { kind: "nvidia.com/gpu", devices });
  const of = async (gpus: string) =>
    (await engine.ok(["run", "--rm", "--gpus", gpus, "busybox", "sh", "-c", "env | grep ^GPU | sort"])).split("\n");
  expect(await of("all")).toEqual(["GPU_all=1"]);
  expect(await of("2")).toEqual(["GPU_0=1", "GPU_1=1"]);
  expect(await of("device=1")).toEqual(["GPU_1=1"]);
});

test("info names the directories, the devices, and what is wrong", async () => {
  write("a.json", { env: ["A=1"] });
  writeFileSync(join(cdi, "b.json"), "{");
  const text = await engine.ok(["info"]);
  expect(text).toContain(`CDI Spec Directories: ${cdi}`);
  expect(text).toContain("Devices: vendor.com/class=one");
  expect(await engine.ok(["info", "-f", "{{json .Warnings}}"])).toContain(`WARNING: CDI: ${cdi}/b.json: `);
});

test("docker's command lines ask for them, and info lists them", async () => {
  write("n.json", {}, { kind: "nvidia.com/gpu", devices: [{ name: "0", containerEdits: { env: ["DEVICE=gpu"] } }] });
  write("a.json", { env: ["DEVICE=one"] });
  const show = ["busybox", "sh", "-c", "echo $DEVICE"];
  for (const [index, client] of dockerClients().entries()) {
    const docker = dockerFor(client, engine);
    expect(await docker.ok(["run", "--rm", "--gpus", "1", ...show])).toBe("gpu");
    // Debian's knows no names of CDI
    if (index > 0) expect(await docker.ok(["run", "--rm", "--device", "vendor.com/class=one", ...show])).toBe("one");
    const info = JSON.parse(await docker.ok(["info", "--format", "{{json .}}"]));
    if (index > 0) expect(info.CDISpecDirs).toEqual([cdi]);
  }
  const response = await fetch("http://d/info", { unix: `${engine.run}/docker.sock` });
  const { DiscoveredDevices } = (await response.json()) as { DiscoveredDevices: unknown };
  expect(DiscoveredDevices).toEqual([
    { Source: "cdi", ID: "nvidia.com/gpu=0" },
    { Source: "cdi", ID: "vendor.com/class=one" },
  ]);
});

test("services of compose have them", async () => {
  write("n.json", {}, { kind: "nvidia.com/gpu", devices: [{ name: "all", containerEdits: { env: ["GPU=all"] } }] });
  write("a.json", { env: ["DEVICE=one"] });
  const service = (more: string): string => `{image: busybox, command: [sh, -c, "echo $$GPU$$DEVICE $$0"], ${more}}`;
  const reserved =
    "deploy: {resources: {reservations: {devices: [{driver: cdi, device_ids: [vendor.com/class=one], capabilities: []}]}}}";
  const services = { named: "devices: [vendor.com/class=one]", gpus: "gpus: all", reserved };
  mkdirSync(said("project"), { recursive: true });
  const lines = Object.entries(services).map(([name, more]) => `  ${name}: ${service(more)}`);
  writeFileSync(said("project/compose.yaml"), `services:\n${lines.join("\n")}\n`);
  const project = ["compose", "--project-directory", said("project")];
  await engine.ok([...project, "up", "-d"]);
  const logs = (await engine.ok([...project, "logs", "--no-color"])).split("\n").map((line) => line.replace(/-1 +\| /, " "));
  expect(logs.sort()).toEqual(["gpus all sh", "named one sh", "reserved one sh"]);
  await engine.ok([...project, "down", "-t", "0"]);
});

test("another runtime is given all of it", async () => {
  if (!Bun.which("runc")) return skipLoudly("runc is not installed");
  const hooks = [
    { hookName: "createContainer", path: "/bin/sh", args: ["sh", "-c", `cat > ${said("made")}`] },
    { hookName: "poststop", ...touch(said("ended")) },
  ];
  write("a.json", { env: ["A=1"], hooks, deviceNodes: [{ path: "/dev/sink", hostPath: "/dev/null" }] });
  const asked = ["--runtime", "runc", "--annotation", "org.example/a=b"];
  const { stdout, stderr } = await run(...asked, "busybox", "sh", "-c", "echo $A; echo x > /dev/sink; stat -c %t:%T /dev/sink");
  expect({ stdout, stderr }).toEqual({ stdout: "1\n1:3\n", stderr: "" });
  expect(JSON.parse(readFileSync(said("made"), "utf8")).annotations).toMatchObject({ "org.example/a": "b" });
  expect(existsSync(said("ended"))).toBe(true);
  for (const name of ["made", "ended"]) rmSync(said(name));
});
