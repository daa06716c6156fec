import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Engine, eventually, gone, isAlive, slowness, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
});
afterAll(() => engine.close(), 120_000);

const answers = async (port: string): Promise<boolean> => {
  try {
    return (await (await fetch(`http://${port}/`)).text()) === "pots\n";
  } catch {
    return false;
  }
};
const pidOf = async (name: string): Promise<number> => (await engine.inspect(name)).State.Pid;
const refused = async (args: string[], words: string): Promise<void> => {
  const { code, stderr } = await engine.onggi(args);
  expect([code, stderr]).toEqual([1, expect.stringContaining(words)]);
};

test("ports of a container that runs change without a restart, and stay changed", async () => {
  const serve = "mkdir -p /www && echo pots > /www/index.html && exec httpd -f -p 80 -h /www";
  await engine.ok([
    "run",
    "-d",
    "--name",
    "web",
    "-p",
    "127.0.0.1:18081:80",
    "-p",
    "127.0.0.1::81",
    "busybox",
    "sh",
    "-c",
    serve,
  ]);
  await eventually("it answers", () => answers("127.0.0.1:18081"));
  const pid = await pidOf("web");
  const other = await engine.ok(["port", "web", "81"]);
  await engine.ok(["update", "-p", "127.0.0.1:18082:80", "web"]);
  expect([await answers("127.0.0.1:18081"), await answers("127.0.0.1:18082")]).toEqual([true, true]);
  await engine.ok(["update", "--publish-rm", "18081:80", "web"]);
  expect([await answers("127.0.0.1:18081"), await answers("127.0.0.1:18082")]).toEqual([false, true]);
  // the same port of the host for another of the container
  await engine.ok(["update", "--publish-rm", "80", "-p", "127.0.0.1:18082:82", "-p", "127.0.0.1:18083:80", "web"]);
  expect([await answers("127.0.0.1:18082"), await answers("127.0.0.1:18083")]).toEqual([false, true]);
  expect(await engine.ok(["port", "web", "81"])).toBe(other);
  expect(await pidOf("web")).toBe(pid);
  await engine.ok(["run", "-d", "--name", "taken", "-p", "127.0.0.1:18084:80", "busybox", "sleep", "inf"]);
  await refused(["update", "--publish-rm", "80", "-p", "127.0.0.1:18084:80", "web"], "published by container taken");
  await refused(["update", "--publish-rm", "9999", "web"], "port 9999/tcp is not published so");
  expect(await answers("127.0.0.1:18083")).toBe(true);
  await engine.murder();
  expect((await engine.ok(["port", "web"])).split("\n").sort()).toEqual(
    ["80/tcp -> 127.0.0.1:18083", `81/tcp -> ${other}`, "82/tcp -> 127.0.0.1:18082"].sort(),
  );
  await engine.ok(["restart", "-t", "0", "web"]);
  await eventually("it answers", () => answers("127.0.0.1:18083"));
  await engine.ok(["rm", "-f", "web", "taken"]);
});

test("mounts and variables change by a stop and a start; id, name and files are kept", async () => {
  const dir = join(engine.base, "shelf");
  mkdirSync(dir);
  writeFileSync(join(dir, "pot"), "celadon");
  await engine.ok([
    "run",
    "-d",
    "--name",
    "pot",
    "-e",
    "A=1",
    "-e",
    "B=2",
    "-v",
    "old:/old",
    "-v",
    "/anonymous",
    "busybox",
    "sleep",
    "inf",
  ]);
  await engine.ok(["exec", "pot", "sh", "-c", "echo mine > /mine; echo kept > /old/x"]);
  const { Id } = await engine.inspect("pot");
  await engine.ok([
    "update",
    "-t",
    "0",
    "-v",
    `${dir}:/shelf:ro`,
    "-v",
    "new:/new",
    "--mount-rm",
    "/old",
    "--mount-rm",
    "/anonymous",
    "-e",
    "A=3",
    "-e",
    "C=4",
    "--env-rm",
    "B",
    "pot",
  ]);
  const look = "cat /mine /shelf/pot; ls /old; echo; env | grep ^[ABC]= | sort";
  expect(await engine.ok(["exec", "pot", "sh", "-c", look])).toBe("mine\nceladon\nA=3\nC=4");
  expect((await engine.inspect("pot")).Id).toBe(Id);
  await engine.ok(["update", "-t", "0", "-v", "old:/old", "--mount-rm", "/new", "pot"]);
  expect(await engine.ok(["exec", "pot", "cat", "/old/x"])).toBe("kept");
  const pid = await pidOf("pot");
  await refused(["update", "--mount", "type=bind,source=/nowhere,target=/x", "pot"], "/nowhere");
  await refused(["update", "--mount-rm", "/x", "pot"], "nothing is mounted on /x");
  await refused(["update", "-v", "one:/z", "-v", "two:/z", "pot"], "given twice");
  expect(await pidOf("pot")).toBe(pid);
  // it cannot start so: it runs on as it was
  mkdirSync(join(engine.base, "empty"));
  await refused(
    ["update", "-t", "0", "-v", `${join(engine.base, "empty")}:/bin`, "-v", "fresh:/fresh", "pot"],
    "executable file not found",
  );
  expect(await engine.ok(["exec", "pot", "cat", "/mine", "/old/x"])).toBe("mine\nkept");
  expect(await engine.ok(["volume", "ls", "-qf", "name=fresh"])).toBe("");
  // one that does not run is not started
  await engine.ok(["stop", "-t", "0", "pot"]);
  await engine.ok(["update", "-e", "A=5", "pot"]);
  expect((await engine.inspect("pot")).State.Running).toBe(false);
  await engine.ok(["start", "pot"]);
  expect(await engine.ok(["exec", "pot", "sh", "-c", "echo $A"])).toBe("5");
  await engine.ok(["rm", "-fv", "pot"]);
  await engine.ok(["volume", "prune", "-af"]);
});

test("an engine that is killed meanwhile leaves the container running, as it was or as it is to be", async () => {
  await engine.ok(["run", "-d", "--name", "pot", "-e", "A=0", "busybox", "sleep", "inf"]);
  const rounds = 3;
  for (let round = 1; round <= rounds; round += 1) {
    const pid = await engine.pid();
    const call = engine.spawn(["update", "-t", "0", "-e", `A=${round}`, "pot"], { stdin: "", timeout: 30_000 });
    await Bun.sleep((60 * slowness * round) / rounds);
    if (isAlive(pid)) process.kill(pid, "SIGKILL");
    await gone(pid);
    await call.done;
    await eventually("it runs", async () => (await engine.inspect("pot")).State.Status === "running");
    const value = Number(await engine.ok(["exec", "pot", "sh", "-c", "echo $A"]));
    expect(value).toBeLessThanOrEqual(round);
  }
  await engine.ok(["rm", "-f", "pot"]);
});
