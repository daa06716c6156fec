/** Docker's own command line on onggi's socket, in an old and a new version. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { type CommandLine, followsSize } from "../kit/command.ts";
import { dockerClients, dockerFor } from "../kit/docker-api.ts";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

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

describe.each(dockerClients())("%s", (client) => {
  let docker: CommandLine;
  beforeAll(() => {
    docker = dockerFor(client, engine);
  });
  afterAll(() => docker.killRunning());
  const detached = (name: string, ...script: string[]) =>
    docker.ok(["run", "-d", "--name", name, "busybox", ...(script.length > 0 ? script : ["sleep", "1000"])]);

  test("version and info", async () => {
    const version = JSON.parse(await docker.ok(["version", "--format", "{{json .Server}}"]));
    expect(version).toMatchObject({ MinAPIVersion: "1.24", Os: "linux" });
    expect(JSON.parse(await docker.ok(["info", "--format", "{{json .}}"]))).toMatchObject({ Driver: "onggi", Images: 1 });
  });

  test("run: output, errors, input and the exit code; --rm leaves nothing", async () => {
    expect(await docker.ok(["run", "--rm", "busybox", "echo", "hi"])).toBe("hi");
    expect(await docker.run(["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 3"])).toMatchObject({
      stdout: "out\n",
      stderr: "err\n",
      code: 3,
    });
    const input = "line\n".repeat(50_000);
    const { stdout, code } = await docker.run(["run", "-i", "--rm", "busybox", "cat"], { stdin: input });
    expect([stdout.length, stdout === input, code]).toEqual([input.length, true, 0]);
    expect(await docker.ok(["ps", "-aq"])).toBe("");
  });

  test("run: what cannot be started is told, and gone with --rm", async () => {
    const { stderr, code } = await docker.run(["run", "--rm", "busybox", "no-such-program"]);
    expect(stderr).toContain("executable file not found in $PATH");
    expect(code).toBe(127);
    expect(await docker.ok(["ps", "-aq"])).toBe("");
    const refused = await docker.run(["run", "--rm", "--gpus", "all", "busybox", "true"]);
    expect(refused.stderr).toContain('could not select device driver "" with capabilities: [[gpu]]');
    expect(refused.code).toBe(125);
  });

  test("run -it has a terminal, of the client's size", async () => {
    const call = docker.terminal(["run", "-it", "--rm", "busybox", "sh"], { columns: 93, rows: 31 });
    await call.until("/ # ");
    await eventually("the terminal has its size", async () => {
      call.write("stty size\n");
      await Bun.sleep(100);
      return call.screen().includes("31 93");
    });
    call.write("exit 5\n");
    expect(await call.done).toBe(5);
  });

  test("ps, inspect, logs, top and stats", async () => {
    const id = await detached("web", "sh", "-c", "echo out; echo err >&2; exec sleep 1000");
    expect(await docker.ok(["ps", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.Image}} {{.State}}"])).toBe(
      `${id} web busybox running`,
    );
    expect(await docker.ok(["ps", "-q", "--filter", "name=nothing"])).toBe("");
    expect(
      await docker.ok([
        "inspect",
        "-f",
        "{{.Name}} {{.State.Running}} {{len .NetworkSettings.Networks.bridge.NetworkID}}",
        "web",
      ]),
    ).toBe("/web true 64");
    expect(await docker.run(["logs", "web"])).toMatchObject({ stdout: "out\n", stderr: "err\n" });
    expect((await docker.run(["logs", "--timestamps", "--tail", "1", "web"])).stderr).toMatch(/^\d{4}-\d\d-\d\dT\S+Z err\n$/);
    expect(await docker.ok(["top", "web"])).toContain("sleep 1000");
    expect(await docker.ok(["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "web"])).toBe("web 1");
  });

  test("logs -f ends with the container, events tell of it, wait says how it ended", async () => {
    const since = String(Date.now() / 1000);
    await detached("ticks", "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done; exit 7");
    const [log, exit] = await Promise.all([docker.ok(["logs", "-f", "ticks"]), docker.ok(["wait", "ticks"])]);
    expect([log, exit]).toEqual(["1\n2\n3", "7"]);
    const args = ["events", "--since", since, "--until", String(Date.now() / 1000 + 0.1), "--filter", "container=ticks"];
    const events = await docker.ok([...args, "--format", "{{.Action}} {{.Actor.Attributes.exitCode}}"]);
    expect(events.split("\n").filter((line) => /^(create|start|die)/.test(line))).toEqual([
      "create <no value>",
      "start <no value>",
      "die 7",
    ]);
  });

  test("exec: streams, input, exit code, a terminal, and what cannot be run", async () => {
    await detached("web");
    expect(await docker.run(["exec", "web", "sh", "-c", "echo out; echo err >&2; exit 4"])).toMatchObject({
      stdout: "out\n",
      stderr: "err\n",
      code: 4,
    });
    expect(
      await docker.ok(["exec", "-i", "-e", "A=b", "-w", "/tmp", "web", "sh", "-c", "cat; echo $A; pwd"], { stdin: "in\n" }),
    ).toBe("in\nb\n/tmp");
    const missing = await docker.run(["exec", "web", "no-such-program"]);
    expect(missing.code).toBe(127);
    expect(missing.stdout + missing.stderr).toContain("executable file not found");
    const call = docker.terminal(["exec", "-it", "web", "sh"]);
    await call.until("/ # ");
    call.write("tty; exit 6\n");
    expect(await call.done).toBe(6);
    expect(call.screen()).toContain("/dev/pts/");
    expect(await docker.ok(["exec", "-d", "web", "touch", "/done"])).toBe("");
    await eventually("the exec has run", async () => (await docker.run(["exec", "web", "ls", "/done"])).code === 0);
  });

  test("attach joins a container that runs; its input ends with the client's", async () => {
    await docker.ok(["create", "-i", "--name", "cat", "busybox", "cat"]);
    expect(await docker.ok(["start", "-ai", "cat"], { stdin: "typed\n" })).toBe("typed");
    await detached("talks", "sh", "-c", "while :; do echo again; sleep 0.05; done");
    const call = docker.spawn(["attach", "--no-stdin", "talks"]);
    await call.until("again\nagain");
    await docker.ok(["kill", "talks"]);
    expect((await call.done).code).toBe(137);
  });

  test("the life of a container", async () => {
    await detached("one");
    await docker.ok(["pause", "one"]);
    expect(await docker.ok(["ps", "--format", "{{.Status}}"])).toContain("(Paused)");
    await docker.ok(["unpause", "one"]);
    await docker.ok(["restart", "-t", "0", "one"]);
    await docker.ok(["update", "--memory", "64m", "--memory-swap", "64m", "one"]);
    expect(await docker.ok(["inspect", "-f", "{{.HostConfig.Memory}}", "one"])).toBe(String(64 * 1024 * 1024));
    await docker.ok(["rename", "one", "two"]);
    await docker.ok(["exec", "two", "touch", "/new"]);
    expect(await docker.ok(["diff", "two"])).toContain("A /new");
    expect((await docker.run(["rm", "two"])).stderr).not.toBe("");
    await docker.ok(["stop", "-t", "0", "two"]);
    expect((await docker.run(["kill", "two"])).code).toBe(1);
    await docker.ok(["start", "two"]);
    await docker.ok(["rm", "-f", "two"]);
    expect((await docker.run(["inspect", "--type", "container", "two"])).stderr).toMatch(/No such container: two/);
  });

  test("detach keys leave a container that runs; its size follows the terminal's", async () => {
    const call = docker.terminal(["run", "-it", "--name", "kept", "--detach-keys", "ctrl-x,q", "busybox", "sh"]);
    await call.until("/ # ");
    await followsSize(call, 101, 37);
    call.write("\u0018q");
    expect([0, 1]).toContain(await call.done);
    expect(await docker.ok(["inspect", "-f", "{{.State.Status}}", "kept"])).toBe("running");
    const again = docker.terminal(["attach", "--detach-keys", "ctrl-x,q", "kept"]);
    again.write("echo ba''ck\n");
    await again.until("back");
    again.write("exit 9\n");
    expect(await again.done).toBe(9);
  });

  test("signals go to the container", async () => {
    const script = "trap 'echo heard; exit 11' TERM; echo ready; while :; do sleep 0.05; done";
    const call = docker.spawn(["run", "--rm", "busybox", "sh", "-c", script]);
    await call.until("ready");
    call.process.kill("SIGTERM");
    expect(await call.done).toMatchObject({ code: 11, stdout: "ready\nheard\n" });
  });

  test("containers that live for milliseconds, many at once: no exit code and no output is missed", async () => {
    const calls = Array.from({ length: 50 }, (_, number) =>
      docker.run(["run", "--rm", "--network", "none", "busybox", "sh", "-c", `echo ${number}; exit ${number}`], {
        timeout: 60_000,
      }),
    );
    const answers = (await Promise.all(calls)).map(({ stdout, stderr, code }) => ({ stdout, stderr, code }));
    expect(answers).toEqual(answers.map((_, number) => ({ stdout: `${number}\n`, stderr: "", code: number })));
    expect(await docker.ok(["ps", "-aq"])).toBe("");
  }, 90_000);

  test("the oldest version of the API that is served", async () => {
    const env = { DOCKER_API_VERSION: "1.24" };
    expect(await docker.ok(["version", "--format", "{{.Client.APIVersion}}"], { env })).toBe("1.24");
    expect((await docker.run(["run", "--rm", "busybox", "sh", "-c", "echo old; exit 4"], { env })).stdout).toBe("old\n");
    await docker.ok(["run", "-d", "--name", "aged", "-v", "jar:/data", "busybox", "sleep", "1000"], { env });
    expect(await docker.ok(["ps", "--format", "{{.Names}} {{.Image}}"], { env })).toBe("aged busybox");
    expect(await docker.ok(["exec", "aged", "echo", "in"], { env })).toBe("in");
    expect(await docker.ok(["inspect", "-f", "{{.State.Running}} {{(index .Mounts 0).Name}}", "aged"], { env })).toBe("true jar");
    expect(await docker.ok(["stats", "--no-stream", "--format", "{{.PIDs}}", "aged"], { env })).toBe("1");
    for (const words of ["images -q", "network ls -q", "volume ls -q", "top aged", "logs aged", "diff aged"])
      await docker.ok(words.split(" "), { env });
    await docker.ok(["rm", "-fv", "aged"], { env });
    await docker.ok(["volume", "rm", "jar"], { env });
  });

  test("images: commit, tag, history, save, load, import, remove", async () => {
    await docker.ok(["create", "--name", "pot", "busybox", "true"]);
    const id = await docker.ok(["commit", "-m", "fired", "-c", 'CMD ["echo", "made"]', "pot", "pot:1"]);
    expect(await docker.ok(["run", "--rm", "pot:1"])).toBe("made");
    await docker.ok(["tag", "pot:1", "shelf/pot:2"]);
    expect((await docker.ok(["images", "-q", "--no-trunc", "*/pot"])).split("\n")).toEqual([id]);
    expect(await docker.ok(["history", "--format", "{{.Comment}}", "pot:1"])).toStartWith("fired");
    const file = `${engine.base}/pot.tar`;
    await docker.ok(["save", "-o", file, "pot:1", "shelf/pot:2"]);
    await docker.ok(["rmi", "pot:1", "shelf/pot:2"]);
    expect((await docker.ok(["load", "-i", file])).split("\n").sort()).toEqual([
      "Loaded image: pot:1",
      "Loaded image: shelf/pot:2",
    ]);
    expect(await docker.ok(["image", "inspect", "-f", "{{.Id}}", "shelf/pot:2"])).toBe(id);
    await docker.ok(["export", "-o", file, "pot"]);
    const imported = await docker.ok(["import", "-c", "ENV GLAZE=green", file, "raw:1"]);
    expect(await docker.ok(["run", "--rm", "raw:1", "sh", "-c", "echo $GLAZE"])).toBe("green");
    expect(await docker.ok(["image", "inspect", "-f", "{{.Id}}", "raw:1"])).toBe(imported);
    await docker.ok(["rm", "pot"]);
    await docker.ok(["rmi", "pot:1", "shelf/pot:2", "raw:1"]);
    expect((await docker.run(["image", "inspect", "pot:1"])).stderr).toMatch(/No such image: pot:1/);
  });

  test("networks and volumes", async () => {
    await docker.ok(["network", "create", "--label", "a=b", "kiln"]);
    await docker.ok(["volume", "create", "--label", "a=b", "clay"]);
    await docker.ok([
      "run",
      "-d",
      "--name",
      "one",
      "--network",
      "kiln",
      "--network-alias",
      "uno",
      "-v",
      "clay:/clay",
      "busybox",
      "sleep",
      "999",
    ]);
    const two = ["run", "--rm", "--network", "kiln", "-v", "clay:/clay:ro", "busybox"];
    await docker.ok(["exec", "one", "sh", "-c", "echo wet > /clay/state"]);
    expect(await docker.ok([...two, "sh", "-c", "cat /clay/state; nslookup uno | grep -c 'Name:.*uno'"])).toBe("wet\n1");
    expect(await docker.ok(["network", "inspect", "-f", "{{range .Containers}}{{.Name}}{{end}}", "kiln"])).toBe("one");
    for (const [noun, name] of [
      ["network", "kiln"],
      ["volume", "clay"],
    ] as const) {
      expect(await docker.ok([noun, "ls", "-q", "--filter", "label=a=b", "--filter", `name=${name}`])).not.toBe("");
      expect((await docker.run([noun, "rm", name])).code).toBe(1);
    }
    await docker.ok(["network", "disconnect", "kiln", "one"]);
    await docker.ok(["network", "connect", "--alias", "again", "kiln", "one"]);
    expect(await docker.ok([...two, "sh", "-c", "nslookup again | grep -c 'Name:.*again'"])).toBe("1");
    await docker.ok(["rm", "-f", "one"]);
    expect(await docker.ok(["network", "prune", "-f"])).toContain("kiln");
    await docker.ok(["volume", "rm", "clay"]);
  });

  test("what create asks for is what inspect shows", async () => {
    const flags = [
      ...[
        "--name",
        "full",
        "--hostname",
        "h",
        "--label",
        "a=b",
        "-e",
        "X=y",
        "-w",
        "/tmp",
        "-u",
        "1:1",
        "--restart",
        "on-failure:3",
      ],
      ...["-v", "/tmp:/host:ro", "--tmpfs", "/t:size=1m", "--cap-add", "NET_ADMIN", "--ulimit", "nofile=99:100", "--read-only"],
      ...["-p", "127.0.0.1::80", "--expose", "90", "--memory", "64m", "--pids-limit", "50", "--init", "--stop-signal", "INT"],
    ];
    await docker.ok(["create", ...flags, "busybox", "sleep", "5"]);
    const [found] = JSON.parse(await docker.ok(["inspect", "full"]));
    expect(found.Config).toMatchObject({
      Hostname: "h",
      Labels: { a: "b" },
      WorkingDir: "/tmp",
      User: "1:1",
      Cmd: ["sleep", "5"],
      StopSignal: "INT",
      ExposedPorts: { "80/tcp": {}, "90/tcp": {} },
    });
    expect(found.Config.Env).toContain("X=y");
    expect(found.HostConfig).toMatchObject({
      Binds: ["/tmp:/host:ro"],
      Tmpfs: { "/t": "size=1m" },
      RestartPolicy: { Name: "on-failure", MaximumRetryCount: 3 },
      CapAdd: ["CAP_NET_ADMIN"],
      Ulimits: [{ Name: "nofile", Soft: 99, Hard: 100 }],
      ReadonlyRootfs: true,
      Memory: 64 * 1024 * 1024,
      PidsLimit: 50,
      Init: true,
      PortBindings: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }] },
    });
  });

  test("export is a tar; prune and system df", async () => {
    await docker.ok(["create", "--name", "still", "busybox", "true"]);
    const file = `${engine.base}/export.tar`;
    await docker.ok(["export", "-o", file, "still"]);
    const listed = Bun.spawnSync(["tar", "-tf", file]).stdout.toString();
    expect(listed).toContain("bin/busybox");
    expect(await docker.ok(["system", "df"])).toContain("Images");
    expect(await docker.ok(["container", "prune", "-f"])).toContain("Total reclaimed space");
    expect(await docker.ok(["ps", "-aq"])).toBe("");
  });
});

test("nothing is left", () => engine.expectClean());
