/**
 * The engine is killed with SIGKILL in the middle of an operation, again and again at another moment; the next engine must find
 * everything that runs, and leave nothing of what was interrupted.
 *
 * ONGGI_ROUNDS rounds of each kind (default 100).
 */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Engine, eventually, gone, isAlive, slowness, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox, busyboxTar, manyFilesTar } from "../kit/images.ts";

const rounds = Number(process.env.ONGGI_ROUNDS ?? 100);
const limit = rounds * 6000 * slowness + 60_000;

let engine: Engine;
let witness = 0;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
  // Counts for as long as the suite takes: nothing that happens to engines may stop it or lose one of its lines.
  const count = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done";
  await engine.ok(["run", "-d", "--name", "witness", "busybox", "sh", "-c", count]);
  witness = (await engine.inspect("witness")).State.Pid;
}, 120_000);
afterAll(() => engine.close(), 120_000);

/** Kills the engine at a moment spread evenly over `spanMs` from the start of the command; the command's own end is of no interest. */
async function killDuring(args: readonly string[], round: number, spanMs: number): Promise<number> {
  const pid = await engine.pid();
  const call = engine.spawn(args, { stdin: "", timeout: 30_000 });
  await Bun.sleep((spanMs * slowness * (round + 0.5)) / rounds);
  if (isAlive(pid)) process.kill(pid, "SIGKILL");
  await gone(pid);
  return (await call.done).code;
}

/** What must hold after every round. */
async function expectWhole(): Promise<string[]> {
  const ids = (await engine.ok(["ps", "-aq", "--no-trunc"])).split("\n").filter(Boolean);
  expect((await engine.inspect("witness")).State).toMatchObject({ Status: "running", Pid: witness });
  // Directories of containers that no record knows are rubbish; the engine may sweep in the background.
  await eventually("no container directory without a container", () => containerDirectories().every((id) => ids.includes(id)));
  return ids;
}

const containerDirectories = (): string[] => {
  const directory = join(engine.root, "containers");
  return existsSync(directory) ? readdirSync(directory) : [];
};

afterEach(async () => {
  const numbers = (await engine.ok(["logs", "witness"], { timeout: 60_000 })).split("\n").map(Number);
  expect(numbers.every((number, index) => number === index + 1)).toBe(true);
  const others = (await engine.ok(["ps", "-aq", "--no-trunc"])).split("\n").filter((id) => id !== "");
  const witnessId = (await engine.inspect("witness")).Id;
  const remove = others.filter((id) => id !== witnessId);
  if (remove.length > 0) await engine.ok(["rm", "-f", ...remove], { timeout: 120_000 });
  await eventually("only the witness is left", () => containerDirectories().join() === witnessId);
}, 200_000);

test(
  "during create",
  async () => {
    for (let round = 0; round < rounds; round += 1) {
      await killDuring(["create", "--name", `c${round}`, "busybox", "true"], round, 30);
      const ids = await expectWhole();
      for (const id of ids) await engine.inspect(id);
      // The name belongs to a whole container or is free.
      const again = await engine.onggi(["create", "--name", `c${round}`, "busybox", "true"]);
      if (again.code !== 0) expect((await engine.inspect(`c${round}`)).State.Status).toBe("created");
    }
  },
  limit,
);

test(
  "during run: what was started runs or is over, never half",
  async () => {
    for (let round = 0; round < rounds; round += 1) {
      await killDuring(["run", "-d", "--name", `r${round}`, "busybox", "sleep", "5000"], round, 50);
      await expectWhole();
      const found = await engine.onggi(["inspect", `r${round}`]);
      if (found.code !== 0) continue;
      const { State } = (JSON.parse(found.stdout) as Awaited<ReturnType<Engine["inspect"]>>[])[0]!;
      if (State.Running) {
        expect(isAlive(State.Pid)).toBe(true);
        expect(await engine.ok(["exec", `r${round}`, "echo", "in"])).toBe("in");
      } else {
        expect(["created", "exited", "dead"]).toContain(State.Status);
        expect((await engine.onggi(["start", `r${round}`])).code).toBe(0);
      }
      await engine.ok(["rm", "-f", `r${round}`]);
    }
  },
  limit,
);

test(
  "during start: the exit status is kept",
  async () => {
    for (let round = 0; round < rounds; round += 1) {
      await engine.ok(["create", "--name", `s${round}`, "busybox", "sh", "-c", "sleep 0.1; exit 33"]);
      await killDuring(["start", `s${round}`], round, 40);
      await expectWhole();
      const { State } = await engine.inspect(`s${round}`);
      if (State.Running || State.StartedAt > "0002") expect(await engine.ok(["wait", `s${round}`])).toBe("33");
      await engine.ok(["rm", "-f", `s${round}`]);
    }
  },
  limit,
);

test(
  "during exec: the container goes on, and takes the next exec",
  async () => {
    await engine.ok(["run", "-d", "--name", "host", "busybox", "sleep", "5000"]);
    for (let round = 0; round < rounds; round += 1) {
      await killDuring(["exec", "host", "sh", "-c", "sleep 0.02; echo x"], round, 50);
      await expectWhole();
      expect(await engine.ok(["exec", "host", "echo", "next"])).toBe("next");
    }
    await eventually("no process of an exec is left", async () =>
      /^[2-5]$/.test((await engine.ok(["exec", "host", "sh", "-c", "ls -d /proc/[0-9]* | wc -l"])).trim()),
    );
  },
  limit,
);

test(
  "during import: the image is whole or not there, and nothing of it stays in the store",
  async () => {
    const bytes = (): number =>
      readdirSync(join(engine.root, "images"), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && !/\.(db|sqlite)/.test(entry.name))
        .reduce((sum, { parentPath, name }) => sum + (statSync(join(parentPath, name), { throwIfNoEntry: false })?.size ?? 0), 0);
    const before = bytes();
    const source = manyFilesTar(2000);
    for (let round = 0; round < rounds; round += 1) {
      await killDuring(["import", source, `half:${round}`], round, 150);
      await expectWhole();
      const there = (await engine.ok(["images", "-q", `half:${round}`])) !== "";
      if (there) {
        const command = [
          "run",
          "--rm",
          "-v",
          "/bin/busybox:/busybox:ro",
          `half:${round}`,
          "/busybox",
          "sh",
          "-c",
          "/busybox find /files -type f | /busybox wc -l",
        ];
        expect((await engine.ok(command)).trim()).toBe("2000");
        await engine.ok(["rmi", "-f", `half:${round}`]);
      }
      await eventually("the store is as large as before", () => Math.abs(bytes() - before) < 32 * 1024);
    }
    await engine.ok(["import", busyboxTar(), "whole"]);
    expect(await engine.ok(["run", "--rm", "whole", "/bin/echo", "whole"])).toBe("whole");
  },
  limit,
);

test(
  "during remove: it is gone, or there and can be removed",
  async () => {
    for (let round = 0; round < rounds; round += 1) {
      await engine.ok(["run", "-d", "--name", `x${round}`, "busybox", "sh", "-c", "head -c 100000 /dev/zero > /big; sleep 5000"]);
      const { Pid } = (await engine.inspect(`x${round}`)).State;
      await killDuring(["rm", "-f", `x${round}`], round, 60);
      await expectWhole();
      const found = await engine.onggi(["inspect", `x${round}`]);
      if (found.code === 0) await engine.ok(["rm", "-f", `x${round}`]);
      await gone(Pid);
    }
  },
  limit,
);

test("an exit that nobody saw: the status and the time are right, and logs to the last line", async () => {
  await engine.ok(["run", "-d", "--name", "alone", "busybox", "sh", "-c", "sleep 0.4; echo last words; exit 44"]);
  const { State, LogPath } = await engine.inspect("alone");
  await engine.murder();
  await gone(State.Pid);
  const at = Date.now();
  await eventually("the last words are in the log", () => readFileSync(LogPath, "utf8").includes("last words"));
  await Bun.sleep(1500);
  expect(await engine.ok(["wait", "alone"])).toBe("44");
  const after = (await engine.inspect("alone")).State;
  expect(after).toMatchObject({ Status: "exited", ExitCode: 44, OOMKilled: false });
  expect(Math.abs(Date.parse(after.FinishedAt) - at)).toBeLessThan(1000 * slowness);
  expect(await engine.ok(["logs", "alone"])).toBe("last words");
}, 60_000);

test("an OOM kill that nobody saw is reported as one", async () => {
  await engine.ok([
    "run",
    "-d",
    "--name",
    "oom",
    "--memory",
    "32m",
    "busybox",
    "sh",
    "-c",
    "sleep 0.5; x=$(head -c 200000000 /dev/zero | tr '\\0' x)",
  ]);
  const { Pid } = (await engine.inspect("oom")).State;
  await engine.murder();
  await gone(Pid, 30);
  await Bun.sleep(300);
  expect((await engine.inspect("oom")).State).toMatchObject({ Status: "exited", OOMKilled: true, ExitCode: 137 });
}, 90_000);
