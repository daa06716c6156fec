/** Containers that share their IPC: System V objects, message queues and /dev/shm. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { dockerClients, dockerFor } from "../kit/docker-api.ts";
import { type Engine, eventually, gone, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { skipLoudly } from "../kit/skip.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(() => engine.close(), 120_000);
afterEach(async () => {
  const all = (await engine.ok(["ps", "-aq"])).split("\n").filter(Boolean);
  if (all.length > 0) await engine.ok(["rm", "-f", ...all]);
});

const HINT = "non-shareable IPC (hint: use IpcMode:shareable for the donor container)";
const start = (name: string, ...flags: string[]) =>
  engine.ok(["run", "-d", "--name", name, "--stop-timeout", "0", ...flags, "busybox", "sleep", "1000"]);
const sh = (name: string, script: string) => engine.ok(["exec", name, "sh", "-c", script]);
const pidOf = async (name: string) => (await engine.inspect(name)).State.Pid;
const namespaceOf = async (name: string) => readlinkSync(`/proc/${await pidOf(name)}/ns/ipc`);
const shared = () =>
  readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes(`${engine.root}/containers/`));
const refused = async (...flags: string[]) => (await engine.onggi(["run", "--rm", ...flags, "busybox", "true"])).stderr;

describe("--ipc container:NAME", () => {
  test("both have the same namespace and the same /dev/shm, and own what is in it", async () => {
    const id = await start("donor", "--ipc", "shareable", "--shm-size", "3m");
    await start("joins", "--ipc", "container:donor");
    expect(await namespaceOf("joins")).toBe(await namespaceOf("donor"));
    await sh("donor", "echo from donor > /dev/shm/a; chmod 600 /dev/shm/a; touch /dev/mqueue/q");
    expect(await sh("joins", "cat /dev/shm/a; stat -c %u:%g /dev/shm /dev/shm/a; ls /dev/mqueue")).toBe(
      "from donor\n0:0\n0:0\nq",
    );
    await sh("joins", "echo from the other >> /dev/shm/a; chown 5:6 /dev/shm/a");
    expect(await sh("donor", "cat /dev/shm/a; stat -c %u:%g /dev/shm/a")).toBe("from donor\nfrom the other\n5:6");
    expect(await sh("joins", "df -k /dev/shm | tail -n 1 | awk '{print $2}'")).toBe("3072");
    const mounted = await sh("joins", "grep ' /dev/shm ' /proc/mounts");
    for (const option of ["nosuid", "nodev", "noexec"]) expect(mounted).toContain(option);
    await engine.ok(["pause", "donor"]);
    await start("later", "--ipc", "container:donor");
    await engine.ok(["unpause", "donor"]);
    expect(await sh("later", "ls /dev/shm")).toBe("a");
    const file = join(engine.base, "copied");
    writeFileSync(file, "of the host\n");
    await engine.ok(["cp", file, "donor:/dev/shm/copied"]);
    expect(await sh("joins", "cat /dev/shm/copied")).toBe("of the host");
    const mode = async (name: string) => (await engine.inspect(name)).HostConfig as { IpcMode: string };
    expect([(await mode("donor")).IpcMode, (await mode("joins")).IpcMode]).toEqual(["shareable", `container:${id}`]);
  });

  test.skipIf(!Bun.which("ipcmk"))("a System V segment of one belongs to the other's root, too", async () => {
    await start("donor", "--ipc", "shareable");
    await start("joins", "--ipc", "container:donor");
    const userOf = (pid: number | "self") => readlinkSync(`/proc/${pid}/ns/user`);
    /** As the container's root, with a program of the host's. */
    const inside = async (name: string, ...command: string[]) => {
      const pid = await pidOf(name);
      const user = userOf(pid) === userOf("self") ? [] : ["--user", "--setuid", "0", "--setgid", "0"];
      return Bun.spawnSync(["nsenter", "-t", String(pid), "--ipc", ...user, "--", ...command]);
    };
    const made = (await inside("donor", "ipcmk", "-M", "4096", "-p", "0600")).stdout.toString();
    const segment = /: (\d+)/.exec(made)?.[1];
    expect(segment).toBeDefined();
    expect(await sh("joins", "tail -n 1 /proc/sysvipc/shm | awk '{print $2, $4, $8}'")).toBe(`${segment} 4096 0`);
    expect((await inside("joins", "ipcrm", "-m", segment!)).exitCode).toBe(0);
    expect(await sh("donor", "cat /proc/sysvipc/shm | wc -l")).toBe("1");
  });

  test("without a user namespace both go without; the host's IPC can be joined through a container that has it", async () => {
    await start("donor", "--ipc", "shareable", "--userns", "host");
    await start("joins", "--ipc", "container:donor");
    await sh("donor", "echo x > /dev/shm/a");
    expect(await sh("joins", "stat -c %u /dev/shm/a")).toBe("0");
    await start("hosts", "--ipc", "host");
    await start("through", "--ipc", "container:hosts");
    expect(await namespaceOf("through")).toBe(readlinkSync("/proc/self/ns/ipc"));
  });

  test("who does not share, does not run or is not there is refused in Docker's words", async () => {
    const [own, none] = [await start("own"), await start("none", "--ipc", "none")];
    const covered = await start("covered", "--ipc", "shareable", "--tmpfs", "/dev/shm");
    expect(await refused("--ipc", "container:own")).toContain(`can't join IPC of container ${own}: ${HINT}`);
    expect(await refused("--ipc", "container:none")).toContain(`can't join IPC of container ${none}: ${HINT}`);
    expect(await refused("--ipc", "container:covered")).toContain(`can't join IPC of container ${covered}: ${HINT}`);
    const ended = await engine.ok(["create", "--name", "ended", "--ipc", "shareable", "busybox", "true"]);
    expect(await refused("--ipc", "container:ended")).toContain(
      `can't join IPC of container ${ended}: container ${ended} is not running`,
    );
    expect(await refused("--ipc", "container:nobody")).toContain("no such container");
    expect(shared()).toEqual([]);
  });

  test("explain shows which namespace is joined, and where /dev/shm is from", async () => {
    const id = await start("donor", "--ipc", "shareable");
    const plan = await engine.ok(["explain", "--ipc", "container:donor", "busybox", "true"]);
    expect(plan).toContain(`/proc/${await pidOf("donor")}/ns/ipc`);
    expect(plan).toContain(`${id}/ipc/shm`);
    expect(await engine.ok(["explain", "--ipc", "shareable", "busybox", "true"])).toContain("/ipc/shm");
  });

  test("who has joined keeps what it has when the other ends, and joins what is new when it is started again", async () => {
    await start("donor", "--ipc", "shareable");
    await start("joins", "--ipc", "container:donor");
    await start("third", "--ipc", "container:joins");
    await sh("donor", "echo kept > /dev/shm/a");
    expect(await sh("third", "cat /dev/shm/a")).toBe("kept");
    const before = await namespaceOf("joins");
    await engine.ok(["restart", "donor"]);
    expect([await namespaceOf("joins"), await sh("joins", "cat /dev/shm/a")]).toEqual([before, "kept"]);
    expect(await refused("--ipc", "container:joins")).toContain(HINT);
    await engine.ok(["restart", "joins"]);
    expect(await namespaceOf("joins")).toBe(await namespaceOf("donor"));
    expect(await namespaceOf("joins")).not.toBe(before);
    expect(await sh("joins", "ls /dev/shm")).toBe("");
    await sh("donor", "echo new > /dev/shm/b");
    expect(await sh("joins", "cat /dev/shm/b")).toBe("new");
    await engine.ok(["rm", "-f", "donor"]);
    expect(await sh("joins", "cat /dev/shm/b")).toBe("new");
    expect(shared()).toEqual([]);
    expect((await engine.onggi(["restart", "joins"])).stderr).toContain("no such container");
  });

  test("the ids that two share are nobody else's until both are gone, also for the next engine", async () => {
    const first = async (name: string) =>
      readFileSync(`/proc/${await pidOf(name)}/uid_map`, "utf8")
        .trim()
        .split(/\s+/)[1];
    await start("donor", "--ipc", "shareable");
    await start("joins", "--ipc", "container:donor");
    const ids = await first("joins");
    expect(ids).toBe(await first("donor"));
    await engine.murder();
    await engine.ok(["rm", "-f", "donor"]);
    await start("other");
    if (ids !== "0") expect(await first("other")).not.toBe(ids);
    await engine.ok(["rm", "-f", "joins"]);
    await start("next");
    expect(await first("next")).toBe(ids);
  });

  test("an engine that is killed leaves both as they are, and the next one clears away what has ended meanwhile", async () => {
    await start("donor", "--ipc", "shareable");
    await start("joins", "--ipc", "container:donor");
    await sh("donor", "echo kept > /dev/shm/a");
    await engine.murder();
    await start("later", "--ipc", "container:donor");
    expect([await sh("joins", "cat /dev/shm/a"), await sh("later", "cat /dev/shm/a")]).toEqual(["kept", "kept"]);
    expect(shared()).toHaveLength(1);
    const pid = await pidOf("donor");
    await engine.murder();
    process.kill(pid, "SIGKILL");
    await gone(pid);
    await eventually("the next engine has seen its end", async () => (await engine.inspect("donor")).State.Status === "exited");
    expect(shared()).toEqual([]);
    expect(await sh("joins", "cat /dev/shm/a")).toBe("kept");
  });

  test("both are brought back when an engine starts, the one that shares first", async () => {
    await start("donor", "--ipc", "shareable", "--restart", "always");
    await start("joins", "--ipc", "container:donor", "--restart", "always");
    const pids = [await pidOf("joins"), await pidOf("donor")];
    await engine.murder();
    for (const pid of pids) {
      process.kill(pid, "SIGKILL");
      await gone(pid);
    }
    await eventually("both run", async () =>
      (await Promise.all(["donor", "joins"].map((name) => engine.inspect(name)))).every(
        ({ State }) => State.Status === "running",
      ),
    );
    await eventually("it joins what is new", async () => (await namespaceOf("joins")) === (await namespaceOf("donor")));
  });

  const runc = Bun.which("runc");
  if (!runc) skipLoudly("runc is not installed: no containers of its making share their IPC");
  test.skipIf(!runc)("with runc as well, on either side", async () => {
    await start("donor", "--ipc", "shareable", "--runtime", "runc");
    await start("joins", "--ipc", "container:donor");
    await start("third", "--ipc", "container:donor", "--runtime", "runc");
    await sh("donor", "echo x > /dev/shm/a");
    expect([await sh("joins", "cat /dev/shm/a"), await sh("third", "cat /dev/shm/a")]).toEqual(["x", "x"]);
    expect(await namespaceOf("third")).toBe(await namespaceOf("joins"));
  });
});

test("default-ipc-mode and --ipc none: /dev/shm is nobody's", async () => {
  await start("none", "--ipc", "none");
  expect((await engine.onggi(["exec", "none", "ls", "/dev/shm"])).code).not.toBe(0);
  expect(await refused("--ipc", "somebody")).toContain("invalid IPC mode");
});

describe.each(dockerClients())("%s", (client) => {
  test("shares the IPC of another container, and hears why not", async () => {
    const docker = dockerFor(client, engine);
    await docker.ok(["run", "-d", "--name", "donor", "--ipc", "shareable", "busybox", "sleep", "1000"]);
    await docker.ok(["exec", "donor", "sh", "-c", "echo x > /dev/shm/a"]);
    expect(await docker.ok(["run", "--rm", "--ipc", "container:donor", "busybox", "cat", "/dev/shm/a"])).toBe("x");
    const own = await docker.ok(["run", "-d", "busybox", "sleep", "1000"]);
    const { stderr, code } = await docker.run(["run", "--rm", "--ipc", `container:${own}`, "busybox", "true"]);
    expect([stderr, code]).toEqual([
      expect.stringContaining(`Error response from daemon: can't join IPC of container ${own}: ${HINT}`),
      125,
    ]);
    docker.killRunning();
  });
});
