/** Restart policies: what starts again, how often, and what somebody can do meanwhile. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { type Engine, eventually, gone, isAlive, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { otherBoot, records } from "../kit/records.ts";

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

const state = async (name: string) => (await engine.inspect(name)).State;
const count = async (name: string) => (await engine.inspect(name)).RestartCount as number;
const is = (name: string, status: string) => async () => (await state(name)).Status === status;
const run = (name: string, policy: string, script: string) =>
  engine.ok(["run", "-d", "--name", name, "--restart", policy, "busybox", "sh", "-c", script]);
const shimOf = (pid: number) => Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
/** Down for longer than any wait before a start of a container that has just begun. */
const FOREVER = "sleep 100000";

describe("policies", () => {
  test("on-failure:2 starts twice more, then it has exited; events say each", async () => {
    const since = String(Date.now() / 1000 - 0.001);
    await run("fails", "on-failure:2", "exit 3");
    await eventually("it gave up", async () => (await state("fails")).Status === "exited" && (await count("fails")) === 2);
    expect(await state("fails")).toMatchObject({ ExitCode: 3, Running: false });
    const until = String(Date.now() / 1000);
    const events = await engine.ok([
      ...["events", "--since", since, "--until", until, "--filter", "container=fails"],
      ...["--filter", "type=container", "--format", "{{.Action}} {{.Actor.Attributes.exitCode}}"],
    ]);
    const order = events.split("\n").map((line) => line.replace(" <no value>", "").trim());
    expect(order).toEqual(["create", ...["start", "die 3", "start", "die 3", "start", "die 3"]]);
    expect(await engine.ok(["wait", "fails"])).toBe("3");
    // started again by somebody: it counts anew
    await engine.ok(["start", "fails"]);
    await eventually("it gave up again", async () => (await state("fails")).Status === "exited" && (await count("fails")) === 2);
  });

  test("on-failure leaves a success alone", async () => {
    await run("fine", "on-failure", "exit 0");
    await eventually("it ended", is("fine", "exited"));
    await Bun.sleep(250);
    expect(await state("fine")).toMatchObject({ Status: "exited", ExitCode: 0 });
    expect(await count("fine")).toBe(0);
  });

  test("always: a killed process comes back; its files and its name stay", async () => {
    await run("back", "always", `echo run >> /runs; ${FOREVER}`);
    // its process is there before it has written
    const runs = () => engine.onggi(["exec", "back", "cat", "/runs"]).then(({ stdout }) => stdout);
    await eventually("it has run", async () => (await runs()) === "run\n");
    const { Pid } = await state("back");
    process.kill(Pid, "SIGKILL");
    await eventually("it is another process", async () => ![0, Pid].includes((await state("back")).Pid));
    expect(await count("back")).toBe(1);
    await eventually("it has run twice", async () => (await runs()) === "run\nrun\n");
    const { HostConfig } = (await engine.inspect("back")) as unknown as { HostConfig: { RestartPolicy: unknown } };
    expect(HostConfig.RestartPolicy).toEqual({ Name: "always", MaximumRetryCount: 0 });
  });

  test("run in the foreground ends with the first exit, wait with the next one", async () => {
    const { stdout, code } = await engine.onggi([
      "run",
      "--name",
      "front",
      "--restart",
      "always",
      "busybox",
      "sh",
      "-c",
      "echo x; exit 5",
    ]);
    expect({ stdout, code }).toEqual({ stdout: "x\n", code: 5 });
    expect(await engine.ok(["wait", "front"])).toBe("5");
    expect(["running", "restarting"]).toContain((await state("front")).Status);
  });

  test("what cannot be is refused in Docker's words", async () => {
    const refused = async (...args: string[]) => (await engine.onggi(["run", ...args, "busybox", "true"])).stderr;
    expect(await refused("--rm", "--restart", "always")).toContain("conflicting options: cannot specify both --restart and --rm");
    expect(await refused("--restart", "always:3")).toContain("maximum retry count can only be used with 'on-failure'");
    expect(await refused("--restart", "on-failure:x")).toContain("maximum retry count must be an integer");
    expect(await refused("--restart", "never")).toContain("unknown policy 'never'");
    expect((await engine.onggi(["run", "--rm", "--restart", "no", "busybox", "true"])).code).toBe(0);
  });

  test("a program that is not there is not tried again", async () => {
    await run("gone", "always", "rm /bin/sh; exit 1");
    await eventually("it gave up", is("gone", "exited"));
    expect(await state("gone")).toMatchObject({ ExitCode: 127 });
  });
});

describe("a container that is restarting", () => {
  /** After some failures the waits are long enough to look at. */
  const loop = async (name: string, policy = "always") => {
    await run(name, policy, "exit 1");
    await eventually("it waits", async () => (await count(name)) >= 4 && (await state(name)).Status === "restarting");
  };

  test("says so, counts as running, and can be stopped for good", async () => {
    await loop("looping");
    expect(await state("looping")).toMatchObject({ Running: true, Restarting: true, ExitCode: 1, Pid: 0 });
    expect(await engine.ok(["ps", "--format", "{{.Names}} {{.Status}}"])).toMatch(/^looping Restarting \(1\) .+ ago$/);
    expect(await engine.ok(["ps", "-q", "--filter", "status=restarting"])).not.toBe("");
    expect((await engine.onggi(["exec", "looping", "true"])).code).not.toBe(0);
    expect((await engine.onggi(["rm", "looping"])).stderr).toContain("restarting");
    expect(await engine.ok(["container", "prune", "-f"])).not.toContain("looping");
    expect(await engine.ok(["start", "looping"])).toBe("looping");
    const waiting = engine.onggi(["wait", "looping"]);
    await engine.ok(["stop", "looping"]);
    expect((await waiting).stdout).toBe("1\n");
    const before = await count("looping");
    await Bun.sleep(1800);
    expect(await state("looping")).toMatchObject({ Status: "exited", Restarting: false, ExitCode: 1 });
    expect(await count("looping")).toBe(before);
  });

  test("rm -f takes it away; kill keeps it down; update gives it another policy", async () => {
    await Promise.all([loop("one"), loop("two"), loop("three")]);
    await engine.ok(["rm", "-f", "one"]);
    await engine.ok(["kill", "two"]);
    expect((await state("two")).Status).toBe("exited");
    await engine.ok(["update", "--restart", "no", "three"]);
    await eventually("three has ended", is("three", "exited"), 20);
    expect((await engine.onggi(["inspect", "one"])).code).toBe(1);
  }, 60_000);
});

describe("somebody stops it", () => {
  test("a stop and a kill last until a start; other signals are the container's affair", async () => {
    await run("held", "always", `trap 'echo hup >> /hup' HUP; trap 'exit 0' TERM; while :; do sleep 0.05; done`);
    await engine.ok(["kill", "-s", "HUP", "held"]);
    process.kill((await state("held")).Pid, "SIGKILL");
    await eventually("it is back", async () => (await count("held")) === 1 && (await state("held")).Status === "running");
    for (const stop of [["stop"], ["kill"]]) {
      await engine.ok([...stop, "held"]);
      await eventually("it is down", is("held", "exited"));
      await Bun.sleep(250);
      expect((await state("held")).Status).toBe("exited");
      await engine.ok(["start", "held"]);
      expect((await state("held")).Status).toBe("running");
    }
  });

  test("restart is a stop and a start, also of one that removes itself", async () => {
    await engine.ok([
      "run",
      "-d",
      "--rm",
      "--name",
      "again",
      "busybox",
      "sh",
      "-c",
      `trap 'exit 0' TERM; echo up; ${FOREVER} & wait`,
    ]);
    const { Pid } = await state("again");
    expect(await engine.ok(["restart", "-t", "5", "again"])).toBe("again");
    const now = await state("again");
    expect(now).toMatchObject({ Status: "running" });
    expect(now.Pid).not.toBe(Pid);
    await engine.ok(["stop", "-t", "0", "again"]);
    await eventually("it is gone", async () => (await engine.onggi(["inspect", "again"])).code === 1);
  });
});

describe("the engine", () => {
  test("killed: those that run are taken over, those that ended meanwhile start, stopped ones stay", async () => {
    await run("runs", "always", FOREVER);
    await run("ended", "unless-stopped", FOREVER);
    await run("failed", "on-failure", FOREVER);
    await run("kept", "unless-stopped", FOREVER);
    await run("woken", "always", FOREVER);
    await engine.ok(["stop", "-t", "0", "kept", "woken"]);
    const pids = Object.fromEntries(
      await Promise.all(["runs", "ended", "failed"].map(async (name) => [name, (await state(name)).Pid])),
    );
    await engine.murder();
    for (const name of ["ended", "failed"]) {
      process.kill(pids[name], "SIGKILL");
      await gone(pids[name]);
    }
    for (const name of ["ended", "failed", "woken"])
      await eventually(
        `${name} is back`,
        async () => (await state(name)).Status === "running" && (await state(name)).Pid !== pids[name],
      );
    expect((await state("runs")).Pid).toBe(pids.runs);
    expect(await state("kept")).toMatchObject({ Status: "exited" });
  }, 60_000);

  test("killed while one waits for its next start: the next engine starts it", async () => {
    await run("waits", "always", "exit 1");
    await eventually("it waits", async () => (await count("waits")) >= 4 && (await state("waits")).Status === "restarting");
    const before = await count("waits");
    await engine.murder();
    await eventually("it started again", async () => (await count("waits")) > before);
  }, 60_000);

  test("killed in the middle of a stop: what was to be down stays down", async () => {
    await run("stubborn", "unless-stopped", `trap '' TERM; ${FOREVER}`);
    const { Pid } = await state("stubborn");
    const stop = engine.spawn(["stop", "-t", "100", "stubborn"]);
    await eventually("the stop is written down", () => recordOf("stubborn").stoppedByHand === true);
    await engine.murder();
    await stop.done;
    process.kill(Pid, "SIGKILL");
    await gone(Pid);
    await eventually("it has ended", is("stubborn", "exited"));
    await Bun.sleep(250);
    expect((await state("stubborn")).Status).toBe("exited");
  }, 60_000);

  test("after the machine was restarted: with networks, volumes, and the network they share", async () => {
    await engine.ok(["network", "create", "after-boot"]);
    await engine.ok(["volume", "create", "kept-files"]);
    const ids: string[] = [];
    const base = ["run", "-d", "--restart", "always", "--network"];
    ids.push(
      await engine.ok([
        ...base,
        "after-boot",
        "-v",
        "kept-files:/d",
        "--name",
        "owner",
        "busybox",
        "sh",
        "-c",
        `echo x >> /d/runs; ${FOREVER}`,
      ]),
    );
    ids.push(await engine.ok([...base, "container:owner", "--name", "guest", "busybox", "sleep", "1000"]));
    ids.push(await engine.ok(["run", "-d", "--name", "plain", "busybox", "sleep", "1000"]));
    const pids = await Promise.all(ids.map(async (id) => (await engine.inspect(id)).State.Pid));
    await engine.murder();
    for (const pid of pids) {
      process.kill(shimOf(pid), "SIGKILL");
      process.kill(pid, "SIGKILL");
      await gone(pid);
    }
    for (const id of ids) otherBoot(engine, id);
    for (const name of ["owner", "guest"])
      await eventually(`${name} runs`, async () => (await state(name)).Status === "running" && isAlive((await state(name)).Pid));
    expect(await state("plain")).toMatchObject({ Status: "dead", Error: "the machine was restarted while it ran" });
    expect(await engine.ok(["exec", "owner", "cat", "/d/runs"])).toBe("x\nx");
    const addresses = await Promise.all(["owner", "guest"].map((name) => engine.ok(["exec", name, "ip", "-o", "-4", "addr"])));
    expect(addresses[0]).toContain("eth0");
    expect(addresses[1]).toBe(addresses[0]!);
    await engine.ok(["rm", "-f", "guest", "owner", "plain"]);
    await engine.ok(["network", "rm", "after-boot"]);
    await engine.ok(["volume", "rm", "kept-files"]);
  }, 60_000);
});

const recordOf = (name: string): { stoppedByHand?: boolean } =>
  records(engine, (db) =>
    JSON.parse((db.query("SELECT data FROM containers WHERE name = ?").get(name) as { data: string }).data),
  );
