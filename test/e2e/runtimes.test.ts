/** Containers made by other OCI runtimes: runc, crun and onggi's own as a program. As root. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { type Engine, eventually, gone, isAlive, repository, slowness, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox, makeBusyboxTree } from "../kit/images.ts";
import { skipLoudly } from "../kit/skip.ts";

const rounds = Math.ceil(Number(process.env.ONGGI_ROUNDS ?? 16) / 2);
const limit = 120_000;

/** Programs of the runtimes there are. */
const programs: [name: string, path: string][] = (
  [
    ["runc", Bun.which("runc")],
    ["crun", Bun.which("crun")],
    ["onggi-runtime", join(repository, "dist/onggi-runtime")],
  ] as const
).flatMap(([name, path]) => {
  if (path !== null && existsSync(path)) return [[name, path]];
  skipLoudly(`${name} is not installed: no containers of its making are tested`);
  return [];
});

/**
 * crun makes no containers beside a unified hierarchy that has controllers. A wrapper hides that hierarchy from it, in a mount
 * namespace of its own; there is then a plain cgroup v1.
 */
function wrapped(base: string, path: string): string {
  const unified = "/sys/fs/cgroup/unified";
  if (!existsSync(`${unified}/cgroup.controllers`) || readFileSync(`${unified}/cgroup.controllers`, "utf8").trim() === "")
    return path;
  mkdirSync(join(base, "empty"), { recursive: true });
  const script = join(base, "crun-v1");
  const inside = `mount --bind ${join(base, "empty")} ${unified} && exec ${path} "$@"`;
  writeFileSync(script, `#!/bin/sh\nexec unshare --mount --propagation slave sh -c '${inside}' crun "$@"\n`);
  chmodSync(script, 0o755);
  return script;
}

/** The shim whose state directory lies below a directory. */
function shimBelow(directory: string): number | undefined {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const found = pids.find((pid) => {
    try {
      if (!readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("onggi-shim")) return false;
      return readlinkSync(`/proc/${pid}/fd/5`).startsWith(directory);
    } catch {
      return false; // gone meanwhile
    }
  });
  return found === undefined ? undefined : Number(found);
}

/** Whether a process was started with a path below a directory. */
const isNamed = (directory: string): boolean =>
  readdirSync("/proc").some((name) => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, "utf8").includes(`${directory}/`);
    } catch {
      return false; // gone meanwhile
    }
  });

describe.each(programs)("%s", (name, path) => {
  let engine: Engine;
  const run = (args: readonly string[], options = {}) => engine.onggi(["run", "--runtime", "other", ...args], options);

  beforeAll(async () => {
    engine = startEngine();
    const program = name === "crun" ? wrapped(engine.base, path) : path;
    await engine.ok(["engine", "start", "--runtime", `other=${program}`, "--default-runtime", "other"]);
    await bootstrapBusybox(engine);
  }, limit);
  afterAll(() => engine.close(), limit);

  /** Nothing of a container is left: see also `engine.close`. */
  const containerFiles = (id: string) => {
    const directory = join(engine.root, "containers", id);
    return existsSync(directory) ? readdirSync(directory) : [];
  };

  test(
    "output, input and exit codes",
    async () => {
      const script = "echo out; echo err >&2; exit 7";
      expect(await run(["--rm", "busybox", "sh", "-c", script])).toMatchObject({ stdout: "out\n", stderr: "err\n", code: 7 });
      expect(await run(["--rm", "busybox", "true"])).toMatchObject({ stdout: "", stderr: "", code: 0 });
      expect(await run(["--rm", "-i", "busybox", "cat"], { stdin: "fed" })).toMatchObject({ stdout: "fed", code: 0 });
    },
    limit,
  );

  test(
    "who has no standard input reads nothing, and the host's /dev/null stays the host's",
    async () => {
      chownSync("/dev/null", 0, 0); // whatever runtimes have been used here
      for (const user of ["0", "33:44"]) {
        const id = await engine.ok(["run", "-d", "-u", user, "busybox", "sh", "-c", "cat; sleep 1000"]);
        await engine.ok(["exec", "-d", id, "sleep", "1000"]);
        const found = await engine.onggi(["exec", id, "sh", "-c", "cat && echo nothing"]);
        expect(found).toMatchObject({ stdout: "nothing\n", stderr: "", code: 0 });
        const terminal = await engine.ok(["run", "-d", "-t", "-u", user, "busybox", "sleep", "1000"]);
        await engine.ok(["rm", "-f", id, terminal]);
      }
      const { uid, gid } = statSync("/dev/null");
      expect([uid, gid]).toEqual([0, 0]);
    },
    limit,
  );

  test(
    "a process that ends at once, again and again",
    async () => {
      for (let round = 0; round < rounds * 4; round++) {
        expect(await run(["--rm", "busybox", "sh", "-c", "exit 9"])).toMatchObject({ stdout: "", stderr: "", code: 9 });
      }
    },
    limit,
  );

  test(
    "a command that is not there is 127, one that cannot be run 126, and what the runtime says is said once",
    async () => {
      for (const [command, code] of [
        ["no-such-command", 127],
        ["/no/such/file", 127],
        ["/etc/passwd", 126],
      ] as const) {
        const { stderr, stdout, code: given } = await run(["--rm", "busybox", command]);
        expect({ command, given }).toEqual({ command, given: code });
        expect(stdout).toBe("");
        expect(stderr.trimEnd().split("\n")).toHaveLength(1);
        expect(stderr).toStartWith("onggi: cannot start container ");
      }
      await engine.expectClean();
    },
    limit,
  );

  test(
    "it is what it is with the built-in runtime: ids, cgroup, host name, read-only root, user, working directory",
    async () => {
      const show = "cat /proc/self/uid_map /etc/hostname; hostname; id -u; pwd; touch /x 2>/dev/null || echo read-only";
      const flags = ["--rm", "--hostname", "box", "--read-only", "-u", "33:44", "-w", "/tmp", "busybox", "sh", "-c", show];
      const [theirs, ours] = [await run(flags), await engine.onggi(["run", "--runtime", "onggi", ...flags])];
      expect(theirs.code).toBe(0);
      const ids = (text: string) => text.replace(/^\s*0\s+\d+\s+65536$/m, "mapped");
      expect(ids(theirs.stdout)).toBe(ids(ours.stdout));
    },
    limit,
  );

  test(
    "bind mounts: with the container's ids where the runtime can, else without a user namespace, and inspect says so",
    async () => {
      const source = join(engine.base, "bound");
      mkdirSync(source, { recursive: true });
      writeFileSync(join(source, "file"), "content");
      await engine.ok(["run", "-d", "--name", "binds", "-v", `${source}:/data`, "busybox", "sleep", "1000"]);
      const { Onggi } = (await engine.inspect("binds")) as unknown as {
        Onggi: { Isolation: { UserNamespace: boolean; Reason: string } };
      };
      const { UserNamespace, Reason } = Onggi.Isolation;
      expect(Reason).toBe(UserNamespace ? "" : "runtime other cannot show bind mounts with the container's ids");
      expect(UserNamespace).toBe(name === "onggi-runtime");
      expect(
        await engine.ok(["exec", "binds", "sh", "-c", "cat /data/file; stat -c %u:%g /data/file; echo new > /data/new"]),
      ).toBe("content0:0");
      expect(readFileSync(join(source, "new"), "utf8")).toBe("new\n");
      await engine.ok(["rm", "-f", "binds"]);
    },
    limit,
  );

  test(
    "privileges and devices, each also where a user namespace stands in the way",
    async () => {
      expect((await run(["--rm", "--privileged", "busybox", "test", "-e", "/dev/kmsg"])).code).toBe(0);
      const device = ["--rm", "--device", "/dev/null:/dev/other"];
      expect(await run([...device, "busybox", "sh", "-c", "echo x > /dev/other"])).toMatchObject({ stderr: "", code: 0 });
      const host = ["--pid", "host", "--network", "host", "--ipc", "host", "--uts", "host"];
      expect(await run(["--rm", ...host, "busybox", "hostname"])).toMatchObject({ code: 0, stdout: `${hostname()}\n` });
      const least = ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"];
      const status = (await run(["--rm", ...least, "busybox", "grep", "-E", "CapBnd|NoNewPrivs|Seccomp:", "/proc/self/status"]))
        .stdout;
      expect(status.replace(/\s+/g, " ").trim()).toBe("CapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 2");
      const root = join(engine.base, "directory");
      makeBusyboxTree(root);
      expect((await run(["--rm", "--rootfs", root, "none", "/bin/echo", "from a directory"])).stdout).toBe("from a directory\n");
    },
    limit,
  );

  test(
    "-it: a terminal with the caller's size, resize, and the exit status",
    async () => {
      const call = engine.terminal(["run", "--rm", "-it", "busybox", "sh"], { columns: 91, rows: 33 });
      await call.until("# ");
      call.write("stty size; tty < /dev/console\n");
      await call.until("33 91");
      await call.until(/\/dev\/(console|pts\/0)/);
      call.resize(100, 40);
      await eventually("it is resized", async () => {
        call.write("stty size\n");
        await Bun.sleep(100);
        return call.screen().includes("40 100");
      });
      call.write("exit 5\n");
      expect(await call.done).toBe(5);
    },
    limit,
  );

  test(
    "exec: streams, codes, terminal, detached; logs; kill and stop; it starts again with its files",
    async () => {
      const script = "trap 'echo got it; exit 3' TERM; echo started; touch /kept; while :; do sleep 0.1; done";
      const id = await engine.ok(["run", "-d", "--name", "box", "busybox", "sh", "-c", script]);
      const { State, HostConfig } = (await engine.inspect("box")) as unknown as {
        State: { Pid: number };
        HostConfig: { Runtime: string };
      };
      expect(HostConfig.Runtime).toBe("other");
      const exec = (...words: string[]) => engine.onggi(["exec", ...words]);
      expect(await exec("box", "sh", "-c", "echo out; echo err >&2; exit 17")).toMatchObject({
        stdout: "out\n",
        stderr: "err\n",
        code: 17,
      });
      expect((await exec("box", "no-such-command")).code).toBe(127);
      expect((await exec("box", "/etc/passwd")).code).toBe(126);
      expect((await exec("box", "sh", "-c", "kill -KILL $$")).code).toBe(137);
      expect((await exec("-u", "33:44", "-e", "A=1", "-w", "/etc", "box", "sh", "-c", "id -u; echo $A; pwd")).stdout).toBe(
        "33\n1\n/etc\n",
      );
      expect((await engine.onggi(["exec", "-i", "box", "cat"], { stdin: "fed" })).stdout).toBe("fed");
      const groups = (pid: number) => readFileSync(`/proc/${pid}/cgroup`, "utf8");
      expect(groups(State.Pid)).toContain(id);
      const call = engine.terminal(["exec", "-it", "box", "sh"], { columns: 77, rows: 22 });
      await call.until("# ");
      call.write("stty size; exit 4\n");
      await call.until("22 77");
      expect(await call.done).toBe(4);
      const many = await Promise.all([1, 2, 3, 4].map((code) => exec("box", "sh", "-c", `exit ${code}`)));
      expect(many.map(({ code }) => code)).toEqual([1, 2, 3, 4]);
      await engine.ok(["exec", "-d", "box", "sh", "-c", "sleep 0.1; touch /detached"]);
      await eventually("the detached exec has run", async () => (await exec("box", "test", "-e", "/detached")).code === 0);
      expect(containerFiles(id).filter((file) => file.startsWith("exec-"))).toEqual([]);

      await engine.ok(["pause", "box"]);
      expect((await engine.inspect("box")).State.Status).toBe("paused");
      await engine.ok(["unpause", "box"]);
      await engine.ok(["update", "--pids-limit", "77", "box"]);
      expect(await engine.ok(["stats", "--no-stream", "--format", "{{.Name}}", "box"])).toBe("box");
      await engine.ok(["stop", "box"]);
      expect((await engine.inspect("box")).State).toMatchObject({ Status: "exited", ExitCode: 3 });
      expect(await engine.ok(["logs", "box"])).toBe("started\ngot it");
      await engine.ok(["start", "box"]);
      expect((await exec("box", "ls", "/kept")).stdout).toBe("/kept\n");
      await engine.ok(["kill", "box"]);
      expect(await engine.ok(["wait", "box"])).toBe("137");
      await engine.ok(["rm", "box"]);
      expect(existsSync(join(engine.root, "containers", id))).toBe(false);
      await engine.expectClean();
    },
    limit,
  );

  test(
    "a memory limit: what needs more is killed, and that is told",
    async () => {
      const script = "x=$(head -c 200000000 /dev/zero | tr '\\0' x)";
      expect((await run(["--name", "oom", "--memory", "32m", "busybox", "sh", "-c", script])).code).toBe(137);
      expect((await engine.inspect("oom")).State).toMatchObject({ Status: "exited", OOMKilled: true, ExitCode: 137 });
      await engine.ok(["rm", "oom"]);
    },
    limit,
  );

  test(
    "an engine that is killed changes nothing: output, exec, exit",
    async () => {
      const script = "i=0; while [ ! -e /end ]; do i=$((i+1)); echo $i; sleep 0.05; done; exit 9";
      await engine.ok(["run", "-d", "--name", "lasting", "busybox", "sh", "-c", script]);
      const { Pid } = (await engine.inspect("lasting")).State;
      for (let round = 0; round < 3; round++) await engine.murder();
      expect((await engine.inspect("lasting")).State).toMatchObject({ Status: "running", Pid });
      expect((await engine.onggi(["exec", "lasting", "sh", "-c", "exit 6"])).code).toBe(6);
      await engine.onggi(["exec", "lasting", "touch", "/end"]);
      await engine.murder();
      expect(await engine.ok(["wait", "lasting"])).toBe("9");
      const numbers = (await engine.ok(["logs", "lasting"])).split("\n").map(Number);
      expect(numbers.every((number, index) => number === index + 1)).toBe(true);
      await engine.ok(["rm", "lasting"]);
      await engine.expectClean();
      await restart();
    },
    limit,
  );

  /** An engine that a command has started by itself knows the runtime by its containers only. */
  async function restart(): Promise<void> {
    const pid = await engine.pid();
    await engine.ok(["engine", "stop"]);
    await gone(pid);
    const program = name === "crun" ? wrapped(engine.base, path) : path;
    await engine.ok(["engine", "start", "--runtime", `other=${program}`, "--default-runtime", "other"]);
  }

  test(
    "a pid file that the runtime was killed over keeps nobody from starting",
    async () => {
      const id = await engine.ok(["create", "--name", "left", "busybox", "true"]);
      writeFileSync(join(engine.root, "containers", id, ".init.pid"), "1234");
      expect((await engine.onggi(["start", "-a", "left"])).code).toBe(0);
      await engine.ok(["rm", "left"]);
    },
    limit,
  );

  test(
    "an engine killed while a container is created, started or removed: whole, or gone, and nothing is left",
    async () => {
      for (let round = 0; round < rounds; round++) {
        await restart();
        const pid = await engine.pid();
        const call = engine.spawn(["run", "-d", "--name", `k${round}`, "busybox", "sleep", "5000"], { stdin: "" });
        await Bun.sleep(((round + 0.5) * 200 * slowness) / rounds);
        if (isAlive(pid)) process.kill(pid, "SIGKILL");
        await gone(pid);
        await call.done;
        const found = await engine.onggi(["inspect", `k${round}`]);
        if (found.code === 0) {
          const { State } = await engine.inspect(`k${round}`);
          expect(["created", "running"]).toContain(State.Status);
          if (State.Status === "created") await engine.ok(["start", `k${round}`]);
          expect((await engine.onggi(["exec", `k${round}`, "true"])).code).toBe(0);
        }
        if (found.code === 0 && round % 2 === 0) {
          const next = await engine.pid();
          const removal = engine.spawn(["rm", "-f", `k${round}`], { stdin: "" });
          await Bun.sleep(((round + 0.5) * 120 * slowness) / rounds);
          if (isAlive(next)) process.kill(next, "SIGKILL");
          await gone(next);
          await removal.done;
        }
        await engine.expectClean();
      }
      await restart();
    },
    limit * 2,
  );

  test(
    "a shim killed while the runtime makes the container: nothing is left of either",
    async () => {
      for (let round = 0; round < rounds; round++) {
        const call = engine.spawn(["run", "-d", "--name", "s", "busybox", "sleep", "5000"], { stdin: "" });
        const moment = Date.now() + ((round + 0.5) * 100 * slowness) / rounds;
        let shim: number | undefined;
        await eventually("there is a shim", () => {
          shim = shimBelow(join(engine.root, "containers"));
          return shim !== undefined;
        });
        await Bun.sleep(Math.max(0, moment - Date.now()));
        process.kill(shim as number, "SIGKILL");
        await call.done;
        await eventually("it does not run", async () => (await engine.ok(["ps", "-q"])) === "");
        await engine.ok(["rm", "-f", "s"]);
        // a runtime's helper that outlives it by a moment may make the directory again, which the next engine then deletes
        await eventually("the runtime's processes have ended", () => !isNamed(join(engine.root, "containers")));
        await restart();
        await engine.expectClean();
      }
    },
    limit * 2,
  );

  test(
    "a killed shim: the container is dead, its processes are ended, nothing is left of it",
    async () => {
      await engine.ok(["run", "-d", "--name", "orphan", "busybox", "sleep", "5000"]);
      const { Pid } = (await engine.inspect("orphan")).State;
      const shim = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${Pid}/status`, "utf8"))![1]);
      expect(readFileSync(`/proc/${shim}/comm`, "utf8")).toContain("onggi-shim");
      process.kill(shim, "SIGKILL");
      await eventually("it is reported dead", async () => (await engine.ok(["ps", "-aq", "--filter", "status=dead"])) !== "");
      await gone(Pid);
      await engine.ok(["rm", "orphan"]);
      await engine.expectClean();
    },
    limit,
  );
});

describe("choosing a runtime", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = startEngine();
    await bootstrapBusybox(engine);
  }, limit);
  afterAll(() => engine.close(), limit);

  test("one that is not known, or not there: said at create, with what is known", async () => {
    for (const [runtime, message] of [
      ["kata", /no runtime kata: known are onggi, .*--runtime NAME=PATH/],
      ["/no/such/runtime", /no runtime \/no\/such\/runtime: no such file/],
      ["/etc/passwd", /no runtime \/etc\/passwd: not executable/],
      ["./relative", /no runtime .*\/relative: no such file/],
    ] as const) {
      const { code, stderr } = await engine.onggi(["create", "--runtime", runtime, "busybox", "true"]);
      expect(code).toBe(125);
      expect(stderr).toMatch(message);
    }
    expect(await engine.ok(["ps", "-aq"])).toBe("");
  });

  test("a runtime that fails without a word, and one that ends with 0 and has made nothing", async () => {
    for (const [script, message] of [
      ["exit 4", "the runtime has failed"],
      ["exit 0", "the runtime has named no process"],
    ] as const) {
      const path = join(engine.base, "broken");
      writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      const { code, stderr } = await engine.onggi(["run", "--rm", "--runtime", path, "busybox", "true"]);
      expect(code).toBe(125);
      expect(stderr).toContain(message);
    }
    await engine.expectClean();
  });

  test("the listing", async () => {
    const table = await engine.ok(["system", "runtimes"]);
    expect(table.split("\n")[0]).toMatch(/^NAME +PATH +VERSION +OCI +FEATURES$/);
    expect(table).toMatch(/^onggi +built in +\S+ +\d+\.\d+\.\d+ +.*seccomp/m);
    const lines = (await engine.ok(["system", "runtimes", "--json"])).split("\n").map((text) => JSON.parse(text));
    expect(lines.find(({ Name }) => Name === "onggi")).toMatchObject({ Default: true, Path: "built in" });
    for (const [name] of programs.filter(([program]) => program !== "onggi-runtime")) {
      const version = Bun.spawnSync([name, "--version"]).stdout.toString();
      const { Version, Oci } = lines.find(({ Name }) => Name === name);
      expect(version).toContain(`${name} version ${Version}\n`);
      expect(version).toContain(`spec: ${Oci}\n`);
    }
    expect(await engine.ok(["system", "runtimes", "-q"])).toStartWith("onggi");
    expect((await engine.inspect(await engine.ok(["create", "busybox", "true"]))) as unknown).toMatchObject({
      HostConfig: { Runtime: "onggi" },
    });
  });

  test("an engine that runs keeps its runtimes; a default that is not there is no start", async () => {
    await engine.pid();
    const { code, stderr } = await engine.onggi(["engine", "start", "--runtime", "x=/bin/true"]);
    expect(code).toBe(1);
    expect(stderr).toContain("engine stop");
    await engine.ok(["engine", "stop"]);
    expect((await engine.onggi(["engine", "start", "--default-runtime", "nothing"])).stderr).toContain("no runtime nothing");
    expect((await engine.onggi(["engine", "start", "--runtime", "x=relative"])).stderr).toContain("NAME=PATH");
  });

  test("explain shows what the shim does for it", async () => {
    const [program] = programs;
    if (!program) return;
    const text = await engine.ok(["explain", "--runtime", program[1], "busybox", "true"]);
    expect(text).toContain(`execve("${program[1]}"`);
    expect(text).toContain('"create"');
    expect(text).toContain("CLONE_NEWNS");
    expect(await engine.ok(["ps", "-aq", "--filter", "status=running"])).toBe("");
  });
});
