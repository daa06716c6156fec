import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ControlServer, type Handlers, serve } from "../api/control/server.ts";
import { EngineStartFailed, selfCommand, startEngine, tailOf } from "./engine-process.ts";

const directory = mkdtempSync(join(tmpdir(), "onggi-start-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let places = 0;
function place() {
  const root = join(directory, String(places++));
  const run = join(root, "run");
  mkdirSync(run, { recursive: true });
  return { root, run, socket: join(run, "onggi.sock") };
}
const failure = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => new Error("nothing failed"),
    (error: Error) => error,
  );

test("the program is called again as it was called", () => {
  expect(selfCommand("/usr/bin/onggi", "/$bunfs/root/onggi")).toEqual(["/usr/bin/onggi"]);
  expect(selfCommand("/usr/bin/bun", "/src/main.ts")).toEqual(["/usr/bin/bun", "/src/main.ts"]);
});

describe("startEngine", () => {
  test("tells the end of the log when the engine ends at once", async () => {
    const where = place();
    writeFileSync(join(where.root, "engine.log"), "from an earlier engine\n");
    const error = await failure(startEngine(where, ["sh", "-c", "echo no such device; exit 3"]));
    expect(error).toBeInstanceOf(EngineStartFailed);
    expect(error.message).toContain("the engine ended at once (exit code 3)");
    expect(error.message).toContain("  no such device");
    expect(error.message).not.toContain("earlier");
  });

  test("tells the signal that killed it", async () => {
    const error = await failure(startEngine(place(), ["sh", "-c", "kill -9 $$"]));
    expect(error.message).toContain("the engine ended at once (SIGKILL)");
  });

  test("goes on waiting when another engine got the lock first", async () => {
    const where = place();
    const started = startEngine(where, ["true"]);
    await Bun.sleep(60);
    const server: ControlServer = await serve({
      path: where.socket,
      handlers: { ping: async () => ({ version: "1", pid: 1 }) } as unknown as Handlers,
    });
    await started;
    await server.close(0);
  });

  test("tries again when the one with the lock was about to stop", async () => {
    const where = place();
    const tries = join(where.root, "tries");
    const started = startEngine(where, ["sh", "-c", `echo >> ${tries}`]);
    while (!(await Bun.file(tries).exists()) || (await Bun.file(tries).text()).length < 2) await Bun.sleep(10);
    const server = await serve({
      path: where.socket,
      handlers: { ping: async () => ({ version: "1", pid: 1 }) } as unknown as Handlers,
    });
    await started;
    await server.close(0);
  });

  test("passes the locations, and starts in a session and directory of its own", async () => {
    const where = place();
    const proof = join(where.root, "proof");
    const script = `echo "$@" > ${proof}.new; pwd >> ${proof}.new; cut -d' ' -f1,6 /proc/$$/stat >> ${proof}.new; mv ${proof}.new ${proof}; exit 1`;
    await failure(startEngine(where, ["sh", "-c", script, "onggi"]));
    const [argv, cwd, ids = ""] = (await Bun.file(proof).text()).split("\n");
    expect(argv).toBe(`--root ${where.root} --run ${where.run} engine start --foreground --if-absent`);
    expect(cwd).toBe("/");
    const [pid, session] = ids.split(" ");
    expect(session).toBe(pid!);
  });

  test("a root that cannot be made", async () => {
    const error = await failure(startEngine({ root: "/proc/nowhere", run: "/proc/x", socket: "/proc/x/y" }, ["true"]));
    expect(error.message).toStartWith("the engine cannot be started: ");
  });
});

test("the tail of a log is its last lines, at most", () => {
  const path = join(directory, "long.log");
  writeFileSync(path, Array.from({ length: 5000 }, (_, n) => `line ${n}\n`).join(""));
  const tail = tailOf(path, 0);
  expect(tail).toContain("line 4999");
  expect(tail).not.toContain("line 4000\n");
  expect(tailOf(path, 1e9)).toContain("says nothing");
  expect(tailOf("/nowhere", 0)).toContain("cannot be read");
});
