import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { type Engine, eventually, isAlive, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(() => engine.close(), 120_000);

const state = async (name: string) => (await engine.inspect(name)).State;

describe("create and start", () => {
  test("create prints the id and runs nothing; start runs it; start again is no error", async () => {
    const id = await engine.ok(["create", "--name", "c1", "busybox", "sleep", "1000"]);
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    expect(await state("c1")).toMatchObject({ Status: "created", Running: false, Pid: 0 });
    expect(await engine.ok(["start", "c1"])).toBe("c1");
    const running = await state("c1");
    expect(running).toMatchObject({ Status: "running", Running: true });
    expect(isAlive(running.Pid)).toBe(true);
    expect(await engine.ok(["start", "c1"])).toBe("c1");
    expect((await state("c1")).Pid).toBe(running.Pid);
    await engine.ok(["rm", "-f", "c1"]);
  });

  test("a stopped container starts again with its files", async () => {
    await engine.ok(["run", "--name", "again", "busybox", "sh", "-c", "echo x >> /count; wc -l < /count"]);
    const { stdout, code } = await engine.onggi(["start", "-a", "again"]);
    expect({ stdout, code }).toEqual({ stdout: "2\n", code: 0 });
    await engine.ok(["rm", "again"]);
  });

  test("start -a passes output and exit status; -i input", async () => {
    await engine.ok(["create", "-i", "--name", "fed", "busybox", "sh", "-c", "cat; exit 7"]);
    const { stdout, code } = await engine.onggi(["start", "-ai", "fed"], { stdin: "fed\n" });
    expect({ stdout, code }).toEqual({ stdout: "fed\n", code: 7 });
    await engine.ok(["rm", "fed"]);
  });

  test("a start that fails says why, and inspect keeps it", async () => {
    await engine.ok(["create", "--name", "broken", "busybox", "/no/such/file"]);
    const { stderr, code } = await engine.onggi(["start", "broken"]);
    expect(code).not.toBe(0);
    expect(stderr).toContain("/no/such/file");
    expect(await state("broken")).toMatchObject({ Running: false, ExitCode: 127 });
    expect((await state("broken")).Error).toContain("/no/such/file");
    await engine.ok(["rm", "broken"]);
    const detached = await engine.onggi(["run", "-d", "busybox", "/no/such/file"]);
    expect(detached.code).toBe(127);
    await engine.ok(["rm", detached.stdout.trim()]);
  });

  test("an id may be shortened as long as it is unique; a name wins", async () => {
    const id = await engine.ok(["create", "busybox", "true"]);
    expect((await engine.inspect(id.slice(0, 12))).Id).toBe(id);
    await engine.ok(["rm", id.slice(0, 12)]);
    const { stderr, code } = await engine.onggi(["inspect", id]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/no such/i);
  });

  test("names are made up when none is given, and unique", async () => {
    const ids = [await engine.ok(["create", "busybox"]), await engine.ok(["create", "busybox"])];
    const names = (await engine.ok(["ps", "-a", "--format", "{{.Names}}"])).split("\n");
    expect(new Set(names).size).toBe(2);
    for (const name of names) expect(name).toMatch(/^[a-z]+[a-z0-9]*_[a-z]+/);
    await engine.ok(["rm", ...ids]);
  });
});

describe("rm -f", () => {
  test("of one that ends by itself in the same moment", async () => {
    for (let i = 0; i < 5; i++) {
      const ids = await Promise.all([1, 2].map(() => engine.ok(["run", "-d", "busybox", "sleep", "0.3"])));
      await Bun.sleep(220 + 15 * i);
      await engine.ok(["rm", "-f", ...ids]);
    }
  });

  test("of one whose shim goes while the signal is on its way", async () => {
    const id = await engine.ok(["run", "-d", "busybox", "sleep", "1000"]);
    const { Pid } = (await engine.inspect(id)).State;
    const shim = Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${Pid}/status`, "utf8"))?.[1]);
    process.kill(shim, "SIGSTOP");
    const removal = engine.spawn(["rm", "-f", id]);
    await Bun.sleep(200);
    process.kill(shim, "SIGKILL");
    const { code, stderr } = await removal.done;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(isAlive(Pid)).toBe(false);
  });

  test("of one that is just being started", async () => {
    for (let i = 0; i < 5; i++) {
      const id = await engine.ok(["create", "busybox", "sleep", "1000"]);
      const start = engine.onggi(["start", id]);
      await Bun.sleep(3 * i);
      await engine.ok(["rm", "-f", id]);
      await start;
    }
  });
});

describe("stop, kill, wait", () => {
  test("stop sends TERM and gives time; the exit status is the process's own", async () => {
    await engine.ok([
      "run",
      "-d",
      "--name",
      "polite",
      "busybox",
      "sh",
      "-c",
      "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done",
    ]);
    await eventually("the trap is set", async () => (await engine.ok(["logs", "polite"])) === "up");
    expect(await engine.ok(["stop", "polite"])).toBe("polite");
    expect(await state("polite")).toMatchObject({ Status: "exited", ExitCode: 3, OOMKilled: false });
    await engine.ok(["rm", "polite"]);
  });

  test("stop -t 1 kills what ignores TERM after one second: 137", async () => {
    await engine.ok(["run", "-d", "--name", "deaf", "busybox", "sleep", "1000"]);
    const { ms } = await engine.onggi(["stop", "-t", "1", "deaf"]);
    expect(ms).toBeGreaterThan(950);
    expect(await state("deaf")).toMatchObject({ Status: "exited", ExitCode: 137 });
    await engine.ok(["rm", "deaf"]);
  });

  test("--stop-signal is what stop sends", async () => {
    await engine.ok([
      "run",
      "-d",
      "--name",
      "usr",
      "--stop-signal",
      "USR1",
      "busybox",
      "sh",
      "-c",
      "trap 'exit 11' USR1; echo up; while :; do sleep 0.05; done",
    ]);
    await eventually("the trap is set", async () => (await engine.ok(["logs", "usr"])) === "up");
    await engine.ok(["stop", "usr"]);
    expect((await state("usr")).ExitCode).toBe(11);
    await engine.ok(["rm", "usr"]);
  });

  test("kill -s; kill of a stopped container is an error that says so", async () => {
    await engine.ok([
      "run",
      "-d",
      "--name",
      "hup",
      "busybox",
      "sh",
      "-c",
      "trap 'exit 12' HUP; echo up; while :; do sleep 0.05; done",
    ]);
    await eventually("the trap is set", async () => (await engine.ok(["logs", "hup"])) === "up");
    await engine.ok(["kill", "-s", "HUP", "hup"]);
    expect(await engine.ok(["wait", "hup"])).toBe("12");
    const { stderr, code } = await engine.onggi(["kill", "hup"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/not running/);
    await engine.ok(["rm", "hup"]);
  });

  test("kill without -s kills at once: 137", async () => {
    await engine.ok(["run", "-d", "--name", "k9", "busybox", "sleep", "1000"]);
    await engine.ok(["kill", "k9"]);
    expect(await engine.ok(["wait", "k9"])).toBe("137");
    await engine.ok(["rm", "k9"]);
  });

  test("kill returns when it has ended, however long the kernel takes for that", async () => {
    await engine.ok(["run", "-d", "--name", "slow", "busybox", "sleep", "1000"]);
    const { Pid: pid } = (await engine.inspect("slow")).State;
    // a process of its pid namespace with a parent outside: until that one reaps it process 1 does not end
    const parent = Bun.spawn(["nsenter", "-t", String(pid), "-p", "-m", "sleep", "1000"], {
      stdio: ["ignore", "ignore", "ignore"],
    });
    try {
      const child = `/proc/${parent.pid}/task/${parent.pid}/children`;
      await eventually("it is in there", () => readFileSync(child, "utf8") !== "");
      parent.kill("SIGSTOP");
      const call = engine.spawn(["kill", "slow"]);
      expect(await Promise.race([call.done, Bun.sleep(500)])).toBeUndefined();
      parent.kill("SIGKILL");
      expect((await call.done).code).toBe(0);
    } finally {
      parent.kill("SIGKILL");
    }
    expect((await engine.inspect("slow")).State).toMatchObject({ Status: "exited", ExitCode: 137 });
    await engine.ok(["rm", "slow"]);
  });

  test("wait returns to every waiter, prints the status, and at once when it is over", async () => {
    await engine.ok(["run", "-d", "--name", "waited", "busybox", "sh", "-c", "sleep 0.5; exit 21"]);
    const waiters = await Promise.all([1, 2, 3].map(() => engine.ok(["wait", "waited"])));
    expect(waiters).toEqual(["21", "21", "21"]);
    expect(await engine.ok(["wait", "waited"])).toBe("21");
    await engine.ok(["rm", "waited"]);
  });

  test("processes that the first one left behind die with it", async () => {
    await engine.ok(["run", "-d", "--name", "family", "busybox", "sh", "-c", "sleep 987 & sleep 0.4; exit 0"]);
    await engine.ok(["wait", "family"]);
    const found = Bun.spawnSync(["pgrep", "-f", "^sleep 987"]).stdout.toString();
    expect(found).toBe("");
    await engine.ok(["rm", "family"]);
  });
});

describe("pause", () => {
  test("a paused container does nothing, and says so; unpause lets it go on", async () => {
    await engine.ok([
      "run",
      "-d",
      "--name",
      "paused",
      "busybox",
      "sh",
      "-c",
      "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done",
    ]);
    await eventually("it counts", async () => (await engine.ok(["logs", "paused"])) !== "");
    expect(await engine.ok(["pause", "paused"])).toBe("paused");
    expect(await state("paused")).toMatchObject({ Status: "paused", Running: true, Paused: true });
    await Bun.sleep(100);
    const then = await engine.ok(["logs", "--tail", "1", "paused"]);
    await Bun.sleep(300);
    expect(await engine.ok(["logs", "--tail", "1", "paused"])).toBe(then);
    expect((await engine.ok(["ps", "--format", "{{.Status}}"])).endsWith("(Paused)")).toBe(true);
    expect((await engine.onggi(["exec", "paused", "true"])).code).not.toBe(0);
    await engine.ok(["unpause", "paused"]);
    await eventually("it goes on", async () => (await engine.ok(["logs", "--tail", "1", "paused"])) !== then);
    await engine.ok(["rm", "-f", "paused"]);
  });

  test("a paused container can be killed and removed", async () => {
    await engine.ok(["run", "-d", "--name", "pk", "busybox", "sleep", "1000"]);
    await engine.ok(["pause", "pk"]);
    await engine.ok(["rm", "-f", "pk"]);
    expect(await engine.ok(["ps", "-aq"])).toBe("");
  });
});

describe("rm", () => {
  test("a running container is kept without -f, removed with it", async () => {
    await engine.ok(["run", "-d", "--name", "running", "busybox", "sleep", "1000"]);
    const { stderr, code } = await engine.onggi(["rm", "running"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/running/);
    const { Pid } = await state("running");
    expect(await engine.ok(["rm", "-f", "running"])).toBe("running");
    expect(isAlive(Pid)).toBe(false);
    expect(await engine.ok(["ps", "-aq"])).toBe("");
  });

  test("several at once: what exists goes, what does not is named", async () => {
    await engine.ok(["create", "--name", "there", "busybox"]);
    const { stdout, stderr, code } = await engine.onggi(["rm", "there", "not-there"]);
    expect(stdout).toBe("there\n");
    expect(stderr).toContain("not-there");
    expect(code).toBe(1);
  });

  test("run --rm -d goes away by itself", async () => {
    const id = await engine.ok(["run", "--rm", "-d", "busybox", "sleep", "0.3"]);
    await eventually("it is gone", async () => !(await engine.ok(["ps", "-aq", "--no-trunc"])).includes(id));
  });
});

describe("inspect", () => {
  test("states, times and the isolation that was chosen are told", async () => {
    await engine.ok(["run", "--name", "told", "--label", "a=b", "busybox", "sh", "-c", "exit 2"], {}).catch(() => {});
    const container = await engine.inspect("told");
    expect(container.State).toMatchObject({ Status: "exited", Running: false, ExitCode: 2, OOMKilled: false, Dead: false });
    expect(Date.parse(container.State.FinishedAt)).toBeGreaterThanOrEqual(Date.parse(container.State.StartedAt));
    expect(Math.abs(Date.now() - Date.parse(container.State.FinishedAt))).toBeLessThan(60_000);
    expect(await engine.ok(["inspect", "--format", "{{.State.ExitCode}} {{.State.Status}} {{.Name}}", "told"])).toMatch(
      /^2 exited \/?told$/,
    );
    expect(JSON.parse(await engine.ok(["inspect", "--format", "{{json .State}}", "told"])).ExitCode).toBe(2);
    await engine.ok(["rm", "told"]);
  });
});
