/** What the SDK does, beyond its examples: streams, ends, faults. By Bun, from source, against the engine that is built. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  all,
  any,
  type Container,
  command,
  connect,
  Engine,
  exit,
  health,
  isOnggiError,
  log,
  type Progress,
  port,
  type RunOptions,
  WaitError,
} from "../../src/sdk/index.ts";
import { eventually, onggiCommand, type Engine as PrivateEngine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { Registry } from "../kit/registry.ts";

let host: PrivateEngine;
let engine: Engine;
let jar: Container;

const run = (script: string, options?: RunOptions): Promise<Container> => engine.run("busybox", ["sh", "-c", script], options);

beforeAll(async () => {
  host = startEngine();
  await bootstrapBusybox(host);
  engine = await connect({ run: host.run, root: host.root, start: false });
  jar = await run("sleep inf");
});

afterAll(async () => {
  await engine.release();
  await host.close();
});

const errorOf = async (promise: PromiseLike<unknown>): Promise<unknown> => {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it was to fail, and did not");
};

const codeOf = async (promise: PromiseLike<unknown>): Promise<string> =>
  String(((await errorOf(promise)) as { code?: string }).code);

describe("commands", () => {
  test("megabytes go in and out, whoever is slower", async () => {
    const sent = new Uint8Array(5 << 20).map((_, index) => index * 31 + (index >> 8));
    await using cat = await jar.spawn(["cat"]);
    const writing = cat.stdin.end(
      (async function* () {
        for (let at = 0; at < sent.length; at += 300_000) yield sent.subarray(at, at + 300_000);
      })(),
    );
    const hash = new Bun.CryptoHasher("sha256");
    let chunks = 0;
    for await (const chunk of cat.stdout) {
      hash.update(chunk);
      if (chunks++ % 16 === 0) await Bun.sleep(1);
    }
    await writing;
    expect(hash.digest("hex")).toBe(new Bun.CryptoHasher("sha256").update(sent).digest("hex"));
    expect(await cat.exited).toBe(0);
  });

  test("an output that nobody reads does not stop the command", async () => {
    await using loud = await jar.spawn(["sh", "-c", "head -c 5000000 /dev/zero >&2; echo done"]);
    expect(await loud.stdout.text()).toBe("done\n");
    expect(await loud.exited).toBe(0);
    expect(await codeOf(loud.stderr.text())).toBe("output_lost");
  });

  test("a terminal has a size, and another one later", async () => {
    await using shell = await jar.spawn(["sh", "-c", "stty size; read x; stty size"], {
      tty: true,
      size: { rows: 7, columns: 70 },
    });
    const lines = shell.stdout.lines();
    expect((await lines.next()).value).toBe("7 70");
    shell.resize({ rows: 8, columns: 80 });
    await shell.stdin.write("\n");
    await lines.next();
    expect((await lines.next()).value).toBe("8 80");
  });

  test("signals, aborts and the end of the scope reach it", async () => {
    const trapping = ["sh", "-c", "trap 'exit 42' USR1; echo set; while :; do sleep 0.05; done"];
    {
      await using process = await jar.spawn(trapping);
      await process.stdout[Symbol.asyncIterator]().next();
      process.signal("SIGUSR1");
      expect(await process.exited).toBe(42);
    }
    const abort = new AbortController();
    const running = jar.exec(["sleep", "4711"], { signal: abort.signal });
    await eventually("it runs", async () => (await psOf(jar)).includes("sleep 4711"));
    abort.abort(new Error("enough"));
    expect(await errorOf(running)).toEqual(new Error("enough"));
    {
      await using _ = await jar.spawn(["sleep", "4712"]);
    }
    await using frozen = await run("sleep inf");
    const held = await frozen.spawn(["sleep", "inf"]);
    await frozen.pause();
    await held[Symbol.asyncDispose]();
    await frozen.unpause();
    await eventually("both are gone", async () => !/sleep 471/.test(await psOf(jar)));
  });

  test("what cannot be run says so before anything is read", async () => {
    expect(await codeOf(jar.spawn(["/nowhere"]))).toBe("command_not_found");
    expect(await codeOf(jar.exec([]))).toBe("no_command");
    expect(await codeOf(jar.exec(["true"], { signal: AbortSignal.abort() }))).not.toBe("internal");
  });

  test("the first process has streams too, from its first byte on", async () => {
    await using mirror = await engine.containers.create("busybox", ["sh", "-c", "echo first; cat"], { stdin: true });
    await using process = await mirror.attach({ start: true });
    await process.stdin.end("last\n");
    expect(await process.stdout.text()).toBe("first\nlast\n");
    expect(await process.exited).toBe(0);
  });
});

const psOf = async (container: Container): Promise<string> =>
  (await container.top(["-eo", "pid,args"])).processes.map((row) => row.at(-1)).join("\n");

describe("waiting", () => {
  test("who is not ready in time is removed, and its last lines are shown", async () => {
    const name = "slow";
    const error = await errorOf(run("echo one; echo two; sleep inf", { name, waitFor: log("three"), timeout: 500 }));
    expect(error).toBeInstanceOf(WaitError);
    expect((error as WaitError).code).toBe("wait_timeout");
    expect((error as WaitError).lastLines).toEqual(["one", "two"]);
    expect((error as Error).message).toContain(
      'container slow was not ready after 0.5 s; waited for a line of its log with "three"',
    );
    expect(await codeOf(engine.containers.get(name))).toBe("container_not_found");
  });

  test("why it is not ready is told", async () => {
    const error = (await errorOf(
      run("sleep inf", { waitFor: [port(81), command(["sh", "-c", "echo cold; exit 2"])], timeout: 700 }),
    )) as Error;
    expect(error.message).toContain("port 81 (");
    expect(error.message).toContain('"sh -c echo cold; exit 2" to exit with 0 (it exited with 2: cold)');
  });

  test("who ends instead is told at once; what it said last counts", async () => {
    const error = (await errorOf(run("echo broken >&2; exit 7", { waitFor: log("ready") }))) as WaitError;
    expect([error.code, error.lastLines]).toEqual(["container_exited", ["broken"]]);
    expect(error.message).toContain("ended with 7 before it was ready");
    await using _ = await run("echo ready", { waitFor: log(/^ready$/) });
    await using __ = await run("exit 3", { waitFor: exit(3) });
  });

  test("one of several is enough, several are more than one", async () => {
    await using web = await run("echo up; echo up; exec httpd -f -p 80", {
      ports: [80],
      waitFor: [any(log("never"), port(80)), all(log("up", { times: 2, stream: "stdout" }), command(["true"]))],
    });
    expect(await web.port(80)).toBeGreaterThan(0);
    expect(await codeOf(web.port(81))).toBe("port_not_published");
    await web.waitFor(port(80));
  });

  test("health needs a check", async () => {
    expect(await codeOf(run("sleep inf", { waitFor: health() }))).toBe("invalid_option");
  });
});

test("whenever it is aborted, nothing is left of a run", async () => {
  const before = (await engine.containers.list({ all: true })).map(({ id }) => id);
  const outcomes = await Promise.all(
    Array.from({ length: 24 }, (_, index) => {
      const signal = AbortSignal.timeout(index * 12);
      return run("sleep inf", { signal, waitFor: log("never"), mounts: [{ type: "volume", target: "/v" }] }).catch(
        (error) => error.name,
      );
    }),
  );
  expect(new Set(outcomes)).toEqual(new Set(["TimeoutError"]));
  expect((await engine.containers.list({ all: true })).map(({ id }) => id)).toEqual(before);
  expect(await engine.volumes.list()).toEqual([]);
});

describe("containers", () => {
  test("one that cannot be started leaves nothing", async () => {
    expect(await codeOf(engine.run("busybox", ["/nowhere"], { name: "bad" }))).toBe("command_not_found");
    expect(await codeOf(engine.containers.get("bad"))).toBe("container_not_found");
    expect(await codeOf(engine.run("busybox", ["true"], { pull: "never", networks: ["nowhere"] }))).toBe("network_not_found");
    expect(await codeOf(engine.run("nobody.invalid/nothing", [], { pull: "never" }))).toBe("image_not_found");
  });

  test("their life, word by word", async () => {
    await using container = await run("trap 'exit 0' TERM; echo run; while :; do sleep 0.05; done", {
      name: "life",
      waitFor: log("run"),
    });
    const status = async () => (await container.inspect()).status;
    await container.pause();
    expect(await status()).toBe("paused");
    await container.unpause();
    await container.rename("afterlife");
    expect((await engine.containers.get("afterlife")).id).toBe(container.id);
    await container.restart({ timeout: 0 });
    await container.waitFor(log("run", { times: 2 }));
    await container.stop();
    expect(await container.wait()).toEqual({ exitCode: 0 });
    expect(await status()).toBe("exited");
    await container.start();
    const ended = container.wait({ condition: "next-exit" });
    await container.kill();
    expect((await ended).exitCode).toBe(137);
    await container.files.write("/new", "");
    expect(await container.diff()).toContainEqual({ kind: "A", path: "/new" });
    expect((await container.export().bytes()).length).toBeGreaterThan(10_000);
    expect((await engine.containers.list({ all: true, filters: { name: "afterlife" } })).map(({ state }) => state)).toEqual([
      "exited",
    ]);
  });

  test("ports, mounts and variables of one that is there", async () => {
    await using container = await run("echo $MODE; exec httpd -f -p 80", {
      ports: [80],
      env: { MODE: "slow", OLD: "1" },
      waitFor: port(80),
    });
    await container.update({
      ports: [81],
      removePorts: [80],
      mounts: [{ type: "tmpfs", target: "/new" }],
      env: { MODE: "fast", OLD: null },
    });
    expect(await container.port(81)).toBeGreaterThan(0);
    expect(await codeOf(container.port(80))).toBe("port_not_published");
    await container.waitFor(log("fast"));
    const { stdout } = await container.exec(["sh", "-c", "echo $MODE $OLD; mount | grep -c ' /new '"]);
    expect(stdout).toBe("fast\n1\n");
  });

  test("a secret is read and not shown", async () => {
    await using container = await run("cat /run/secrets/pw /etc/key; sleep inf", {
      secrets: { pw: "clay\n", key: { data: "kiln\n", target: "/etc/key" } },
      waitFor: log("kiln"),
    });
    expect(await container.logs().text()).toBe("clay\nkiln\n");
    expect(JSON.stringify(await container.inspect())).not.toContain("Y2xheQ");
  });

  test("a volume that was there before stays", async () => {
    await using first = await engine.volumes.create("crock");
    {
      await using _ = await engine.volumes.create("crock");
    }
    expect((await first.inspect()).name).toBe("crock");
    const clone = await first.clone({ name: "crock-2" });
    await clone.remove();
    expect((await engine.volumes.list({ filters: { name: "crock" } })).map(({ name }) => name)).toEqual(["crock"]);
  });

  test("forks are ready together, or none of them is left", async () => {
    await using one = await run("cat /seed; sleep inf", { mounts: [] });
    await one.files.write("/seed", "sown\n");
    await using snapshot = await one.snapshot({ name: "field" });
    {
      await using forks = await (await engine.snapshots.get("field")).fork(2, { name: "row", waitFor: log("sown") });
      expect((await Promise.all(forks.map((fork) => fork.inspect()))).map(({ name }) => name)).toEqual(["row-1", "row-2"]);
    }
    expect(await codeOf(snapshot.fork(2, { name: "row", waitFor: log("reaped"), timeout: 300 }))).toBe("wait_timeout");
    expect(await engine.containers.list({ all: true, filters: { name: "row" } })).toEqual([]);
    expect((await engine.snapshots.list()).map(({ name }) => name)).toEqual(["field"]);
  });

  test("logs: streams apart, the last lines, long lines whole", async () => {
    await using container = await run("echo a; echo b >&2; head -c 40000 /dev/zero | tr '\\0' x; echo; printf end");
    await container.wait();
    const lines = await Array.fromAsync(container.logs());
    const said = (stream: string) =>
      lines.filter((line) => line.stream === stream).map(({ text }) => (text.length > 100 ? text.length : text));
    expect({ stdout: said("stdout"), stderr: said("stderr") }).toEqual({ stdout: ["a", 40_000, "end"], stderr: ["b"] });
    expect(await container.logs({ stdout: false }).text()).toBe("b\n");
    expect(await container.logs({ tail: 1 }).text()).toBe(`${lines.at(-1)?.text}\n`);
    expect(Date.parse(lines[0]?.time ?? "")).toBeGreaterThan(Date.now() - 60_000);
  });
});

describe("files", () => {
  test("a tree goes in and comes out as it was", async () => {
    const tree = join(host.base, "tree");
    mkdirSync(join(tree, "deep"), { recursive: true });
    writeFileSync(join(tree, "deep/큰 것"), new Uint8Array(3_000_000).fill(65));
    symlinkSync("deep/큰 것", join(tree, "link"));
    await jar.files.copyIn(tree, "/srv/a/b/tree");
    await jar.files.copyIn(tree, "/srv/into/");
    expect((await jar.files.stat("/srv/into/tree/link")).type).toBe("symlink");
    expect((await jar.files.read("/srv/into/tree/link")).length).toBe(3_000_000);
    await jar.files.copyOut("/srv/a/b/tree", `${host.base}/back/`.replace("back/", "back"));
    expect(readFileSync(join(host.base, "back/deep/큰 것")).length).toBe(3_000_000);
    expect(readFileSync(join(host.base, "back/link"), "utf8")[0]).toBe("A");
  });

  test("what is not there, and what is no file", async () => {
    expect(await codeOf(jar.files.read("/nowhere"))).toBe("path_not_found");
    expect(await codeOf(jar.files.read("/etc"))).toBe("not_a_file");
    expect(await jar.files.exists("/nowhere")).toBe(false);
    expect(await codeOf(jar.files.copyIn("/nowhere", "/srv/x"))).toBe("path_not_found");
    expect(await jar.files.exists("/srv/x")).toBe(false);
  });

  test("a tar between two containers", async () => {
    await using other = await engine.containers.create("busybox");
    await jar.files.write("/pots/one", "1");
    await other.files.untar("/tmp", jar.files.tar("/pots"));
    expect(await other.files.readText("/tmp/pots/one")).toBe("1");
  });
});

test("images go to a registry and come back, step by step, and by themselves", async () => {
  const registry = await Registry.start({ users: { potter: "clay" } });
  const login = join(host.base, "login");
  mkdirSync(login);
  const auth = Buffer.from("potter:clay").toString("base64");
  writeFileSync(join(login, "config.json"), JSON.stringify({ auths: { [registry.domain]: { auth } } }));
  const name = `${registry.domain}/team/pot:1`;
  try {
    await engine.images.tag("busybox", name);
    const steps: Progress[] = [];
    const wrong = { [registry.domain]: { username: "potter", password: "glass" } };
    expect(await codeOf(engine.images.push(name, { credentials: wrong }))).toBe("registry_unauthorized");
    process.env.DOCKER_CONFIG = login;
    const pushing = engine.images.push(name);
    for await (const step of pushing) steps.push(step);
    const digest = (await pushing)[0]?.digest;
    expect(steps.length).toBeGreaterThan(0);
    await engine.images.remove(name);
    await engine.images.remove("busybox", { force: true });
    expect(await codeOf(engine.run(name, ["true"], { pull: "never" }))).toBe("image_not_found");
    await using pot = await engine.run(name, ["echo", "fired"], { waitFor: exit() });
    expect(await pot.logs().text()).toBe("fired\n");
    expect(await engine.images.pull(name)).toMatchObject([{ digest, upToDate: true }]);
    expect(await codeOf(engine.images.pull(`${registry.domain}/team/nothing:1`))).toBe("manifest_unknown");
    await engine.images.tag(name, "busybox");
  } finally {
    delete process.env.DOCKER_CONFIG;
    await registry.close();
  }
});

describe("faults", () => {
  test("a session outlives its engine", async () => {
    await using session = await connect({ run: host.run, root: host.root, binary: onggiCommand[0] as string });
    const container = await session.run("busybox", ["sleep", "inf"]);
    const following = container.logs({ follow: true })[Symbol.asyncIterator]().next();
    const events = session.events()[Symbol.asyncIterator]().next();
    const cut = Promise.all([codeOf(following), codeOf(events)]);
    await host.murder();
    expect(await cut).toEqual(["connection_lost", "connection_lost"]);
    // started again by this very call
    expect((await container.inspect()).status).toBe("running");
    // what is made now is made under the same lease, as soon as that is held again
    const second = await session.run("busybox", ["sleep", "inf"]);
    const report = await session.release();
    expect(report?.problems).toEqual([]);
    expect(report?.containers.toSorted()).toEqual([container.id, second.id].toSorted());
  });

  test("no engine: told why, and what to do", async () => {
    const nowhere = new Engine({ run: join(host.base, "nowhere"), start: false });
    const error = (await errorOf(nowhere.ping())) as Error;
    expect(isOnggiError(error, "engine_unreachable")).toBe(true);
    const missing = new Engine({ run: join(host.base, "nowhere"), binary: "/nowhere/onggi" });
    expect(await codeOf(missing.ping())).toBe("binary_missing");
    const wrong = new Engine({ run: join(host.base, "nowhere"), binary: "/bin/false" });
    expect(await codeOf(wrong.ping())).toBe("engine_start_failed");
  });
});

test("nothing is left", async () => {
  await engine.release();
  await host.expectClean();
});
