import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { type Engine, eventually, gone, isAlive, onggiCommand, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { findLeaks, snapshot } from "../kit/leaks.ts";
import { tar } from "../kit/tar.ts";

/** Closed at the end, the last first, whatever becomes of the tests. */
const engines: Engine[] = [];
const open = (options?: { base: string }): Engine => {
  const engine = startEngine(options);
  engines.push(engine);
  return engine;
};

const [one, two] = [open(), open()];
beforeAll(() => bootstrapBusybox(one), 120_000);
afterAll(async () => {
  const failures: unknown[] = [];
  for (const engine of engines.reverse()) await engine.close().catch((error) => failures.push(error));
  if (failures.length > 0) throw new AggregateError(failures, failures.join("\n"));
}, 120_000);

describe("the engine process", () => {
  test("starts with the first command, once, whoever asks", async () => {
    const before = snapshot();
    const fresh = open();
    const answers = await Promise.all(Array.from({ length: 8 }, () => fresh.onggi(["ps", "-q"])));
    expect(answers.map(({ stderr, code }) => ({ stderr, code }))).toEqual(
      Array.from({ length: 8 }, () => ({ stderr: "", code: 0 })),
    );
    const pid = await fresh.pid();
    expect(isAlive(pid)).toBe(true);
    const engines = () => findLeaks(fresh.base, before).processes.map((line) => Number(line.split(" ")[0]));
    // those that came second end as soon as they see the lock
    for (let waited = 0; engines().length > 1 && waited < 5000; waited += 50) await Bun.sleep(50);
    expect(engines()).toEqual([pid]);
  }, 60_000);

  // from source Bun's pool is at work before any of our code is
  test.skipIf(!onggiCommand[0]!.endsWith("dist/onggi"))("its thread pool has threads to spare for the disk", async () => {
    const archive = Bun.gzipSync(new Uint8Array(tar([{ name: "data", data: "0123456789".repeat(400_000) }])));
    const images = Array.from({ length: 8 }, (_, number) => `pool:${number}`);
    await Promise.all(images.map((name) => one.ok(["import", "-", name], { stdin: archive })));
    await one.ok(["rmi", ...images]);
    const tasks = `/proc/${await one.pid()}/task`;
    const names = readdirSync(tasks).map((task) => readFileSync(`${tasks}/${task}/comm`, "utf8").trim());
    expect(names.filter((name) => name.startsWith("Bun Pool")).length).toBeGreaterThan(availableParallelism());
  });

  test("finds what the first version wrote of a container; a database of a later version it leaves alone", async () => {
    const engine = open();
    await bootstrapBusybox(engine);
    const running = await engine.ok(["run", "-d", "--name", "running", "busybox", "sleep", "1000"]);
    await engine.ok(["create", "--name", "made", "busybox", "echo", "old"]);
    const change = async (work: (db: Database) => void): Promise<void> => {
      const pid = await engine.pid();
      await engine.ok(["engine", "stop"]);
      await gone(pid);
      const db = new Database(join(engine.root, "engine.db"));
      work(db);
      db.close();
    };
    await change((db) => {
      const keys = ["id", "name", "createdNs", "request", "imageId", "args", "slot", "isolationReason", "cgroupPath", "logFile"];
      for (const { id, data } of db.query<{ id: string; data: string }, []>("SELECT id, data FROM containers").all()) {
        const record = Object.entries(JSON.parse(data)).filter(([key]) => [...keys, "state", "bootId"].includes(key));
        db.query("UPDATE containers SET data = ? WHERE id = ?").run(JSON.stringify(Object.fromEntries(record)), id);
      }
    });
    expect(await engine.ok(["ps", "-q", "--no-trunc"])).toBe(running);
    expect(await engine.ok(["exec", "running", "echo", "in"])).toBe("in");
    expect(await engine.ok(["start", "-a", "made"])).toBe("old");
    await engine.ok(["commit", "running", "made:1"]);
    await engine.ok(["rm", "-f", "running", "made"]);

    const later = 1000;
    const version = (db: Database): unknown => db.query("PRAGMA user_version").values()[0]![0];
    let now: unknown;
    await change((db) => {
      now = version(db);
      db.run(`PRAGMA user_version = ${later}`);
    });
    const { code, stderr } = await engine.onggi(["ps"]);
    expect([code === 0, stderr.includes(`schema ${later}`)]).toEqual([false, true]);
    const db = new Database(join(engine.root, "engine.db"));
    expect(version(db)).toBe(later);
    db.run(`PRAGMA user_version = ${now}`);
    db.close();
    expect(await engine.ok(["ps", "-aq"])).toBe("");
  }, 60_000);

  test("engine stop ends it, containers run on, the next command starts it again and finds them", async () => {
    const id = await one.ok(["run", "-d", "--name", "on", "busybox", "sleep", "1000"]);
    const container = (await one.inspect("on")).State.Pid;
    const pid = await one.pid();
    await one.ok(["engine", "stop"]);
    await gone(pid);
    expect(isAlive(container)).toBe(true);
    expect(await one.ok(["ps", "-q", "--no-trunc"])).toBe(id);
    expect(await one.pid()).not.toBe(pid);
    expect((await one.inspect("on")).State.Pid).toBe(container);
    expect(await one.ok(["exec", "on", "echo", "still here"])).toBe("still here");
    await one.ok(["rm", "-f", "on"]);
  });

  test("SIGTERM is a graceful stop", async () => {
    const pid = await one.pid();
    process.kill(pid, "SIGTERM");
    await gone(pid);
    expect(existsSync(join(one.run, "onggi.sock"))).toBe(false);
  });

  test("a second engine on the same root is refused by the lock", async () => {
    const pid = await one.pid();
    const { stderr, code } = await one.onggi(["--run", join(one.base, "other-run"), "engine", "start"], {
      env: { ONGGI_RUN: join(one.base, "other-run") },
    });
    expect(code).not.toBe(0);
    expect(stderr).toContain(`talk to it with --run ${one.run}`);
    expect(isAlive(pid)).toBe(true);
  });

  test("a socket that a killed engine left is no obstacle, nor is a foreign file in its place", async () => {
    await one.murder();
    expect(existsSync(join(one.run, "onggi.sock"))).toBe(true);
    expect(await one.ok(["ps", "-aq"])).toBe("");
  });

  test("a long path for --root and --run works", async () => {
    const deep = open({ base: join(one.base, "d".repeat(60), "e".repeat(60), "f".repeat(60)) });
    mkdirSync(deep.base, { recursive: true });
    await bootstrapBusybox(deep);
    expect(await deep.ok(["run", "--rm", "busybox", "echo", "deep"])).toBe("deep");
  }, 60_000);

  test("engine status asks and starts nothing", async () => {
    const pid = await one.pid();
    await one.ok(["engine", "stop"]);
    await gone(pid);
    const { stderr, code } = await one.onggi(["engine", "status"]);
    expect(code).toBe(1);
    expect(stderr).toContain("onggi.sock");
  });

  test("a data root below a directory that only root may pass works", async () => {
    const base = mkdtempSync(join(one.base, "private-"));
    chmodSync(base, 0o700);
    const hidden = open({ base });
    await bootstrapBusybox(hidden);
    expect(await hidden.ok(["run", "--rm", "busybox", "echo", "hidden"])).toBe("hidden");
  }, 60_000);

  test("version and status tell what runs", async () => {
    expect(await one.ok(["version", "--format", "{{.Client.Version}}"])).toMatch(/^\d+\.\d+\.\d+/);
    const pid = await one.pid();
    const status = JSON.parse(await one.ok(["engine", "status", "--format", "json"]));
    expect(status).toMatchObject({ pid, root: one.root, run: one.run });
  });

  test("help names every command; an unknown one is an error", async () => {
    const help = await one.ok(["--help"]);
    for (const verb of "run create start stop kill rm ps logs exec attach inspect pause unpause wait stats update events images rmi import load image engine explain version".split(
      " ",
    )) {
      expect(help).toMatch(new RegExp(`^  .*\\b${verb}\\b`, "m"));
    }
    expect((await one.onggi(["fly"])).code).not.toBe(0);
  });
});

describe("several engines side by side", () => {
  test("the same name in both, each sees its own, killing one does not touch the other", async () => {
    await bootstrapBusybox(two);
    await one.ok(["run", "-d", "--name", "same", "busybox", "sleep", "1000"]);
    await two.ok(["run", "-d", "--name", "same", "busybox", "sleep", "1000"]);
    const [first, second] = [await one.inspect("same"), await two.inspect("same")];
    expect(first.Id).not.toBe(second.Id);
    expect((await two.onggi(["inspect", first.Id])).code).toBe(1);
    await one.murder();
    expect(await two.ok(["exec", "same", "echo", "untouched"])).toBe("untouched");
    expect(await one.ok(["exec", "same", "echo", "back"])).toBe("back");
    await one.ok(["rm", "-f", "same"]);
    expect(isAlive(second.State.Pid)).toBe(true);
    await two.ok(["rm", "-f", "same"]);
  }, 60_000);

  test("--root and --run mean the same as ONGGI_ROOT and ONGGI_RUN", async () => {
    const { stdout } = await one.onggi(["--root", two.root, "--run", two.run, "engine", "status", "--format", "{{.Root}}"]);
    expect(stdout.trim()).toBe(two.root);
  });

  test("a cgroup driver that is none, or cannot be had here, is an error at start", async () => {
    const fresh = open();
    const flag = await fresh.onggi(["engine", "start", "--cgroup-driver", "docker"]);
    expect(flag.code).not.toBe(0);
    expect(flag.stderr).toContain("--cgroup-driver");
    const variable = await fresh.onggi(["ps"], { env: { ONGGI_CGROUP_DRIVER: "docker" } });
    expect(variable.code).not.toBe(0);
    expect(variable.stderr).toContain('no such cgroup driver: "docker"; it is cgroupfs or systemd');
    if (!existsSync("/run/systemd/system")) {
      const started = await fresh.onggi(["engine", "start", "--cgroup-driver", "systemd"]);
      expect(started.code).not.toBe(0);
      expect(started.stderr).toMatch(/the systemd driver needs (cgroup v2, this host has|a host that systemd runs)/);
      expect(started.stderr).toContain("use the cgroupfs driver");
    }
    await fresh.ok(["engine", "start", "--cgroup-driver", "cgroupfs"]);
    expect(await fresh.ok(["engine", "status"])).toMatch(/^cgroups: .*, cgroupfs driver$/m);
  }, 60_000);

  test("an unusable root is an error that names it", async () => {
    const file = join(one.base, "a-file");
    writeFileSync(file, "");
    const { stderr, code } = await one.onggi(["--root", join(file, "root"), "--run", join(one.base, "run3"), "ps"]);
    expect(code).not.toBe(0);
    expect(stderr).toContain(file);
  });
});

test("the acceptance walk: -d with a limit, kill -9 of the engine, exec", async () => {
  await one.ok(["run", "-d", "--name", "a", "--memory", "64m", "busybox", "sleep", "1000"]);
  await one.murder();
  expect(await one.ok(["exec", "a", "echo", "still", "here"])).toBe("still here");
  await eventually("an engine is up", async () => isAlive(await one.pid()));
  await one.ok(["rm", "-f", "a"]);
});
