/** The OCI runtime under dockerd: what a user of `docker` does to containers, and what becomes of them when the daemon dies. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { CallOptions } from "../kit/command.ts";
import { type Docker, dockerUnavailable, startDocker } from "../kit/docker.ts";
import { eventually, gone, isAlive } from "../kit/engine.ts";
import { busyboxArchive } from "../kit/images.ts";
import { requireRuntime } from "../kit/runtime.ts";
import { skipLoudly } from "../kit/skip.ts";

const IMAGE = "onggi-test/busybox";
const reason = dockerUnavailable();
if (reason) skipLoudly(`the OCI runtime under dockerd: ${reason}`);

let docker: Docker;
const ok = (...args: string[]): Promise<string> => docker.client.ok(args);
const run = (args: string[], options?: CallOptions) => docker.client.run(["run", "--rm", ...args], options);
const inspect = (format: string, container: string): Promise<string> => ok("inspect", "--format", format, container);
const remove = (...containers: string[]): Promise<string> => ok("rm", "-f", ...containers);
const pidOf = async (container: string): Promise<number> => Number(await inspect("{{.State.Pid}}", container));

/** A container that does nothing until it is removed. */
async function sleeping(...flags: string[]): Promise<string> {
  return await ok("run", "-d", ...flags, IMAGE, "sleep", "1000");
}

/** A container that runs a shell script as its init, once it has written "ready". */
async function scripted(script: string, ...flags: string[]): Promise<string> {
  const id = await ok("run", "-d", ...flags, IMAGE, "sh", "-c", script);
  await eventually(`${script} is ready`, async () => (await ok("logs", id)).includes("ready"));
  return id;
}

describe.skipIf(reason !== null)("dockerd", () => {
  beforeAll(async () => {
    docker = await startDocker({ runtime: requireRuntime(), flags: ["--live-restore"] });
    await ok("load", "-q", "-i", busyboxArchive());
  }, 60_000);
  afterAll(() => docker?.stop(), 60_000);

  describe("run", () => {
    test("output and errors come apart, input goes in", async () => {
      const { stdout, stderr, code } = await run(["-i", IMAGE, "sh", "-c", "cat; echo err >&2"], { stdin: "in\n" });
      expect({ stdout, stderr, code }).toEqual({ stdout: "in\n", stderr: "err\n", code: 0 });
    });

    test.each([
      [0, ["true"]],
      [3, ["sh", "-c", "exit 3"]],
      [126, ["/etc/passwd"]],
      [127, ["no-such-command"]],
      [127, ["/no/such/file"]],
      [137, ["sh", "-c", "kill -9 $$; sleep 5 & kill -KILL $!; exit 137"]],
    ])("exit status %d of %j", async (code, words) => {
      expect((await run([IMAGE, ...words])).code).toBe(code);
    });

    test("a working directory that is not there is made", async () => {
      expect((await run(["-w", "/made/for/it", IMAGE, "pwd"])).stdout).toBe("/made/for/it\n");
    });

    test("--rm removes it, and inspect names the runtime while it runs", async () => {
      const id = await sleeping("--rm");
      expect(await inspect("{{.HostConfig.Runtime}} {{.State.Status}}", id)).toBe("onggi running");
      await ok("kill", id);
      await eventually("it is removed", async () => (await ok("ps", "-aq")) === "");
    });

    test("eight at once", async () => {
      const calls = Array.from({ length: 8 }, (_, index) => run([IMAGE, "sh", "-c", `echo ${index}; exit ${index}`]));
      const results = await Promise.all(calls);
      expect(results.map(({ stdout, code }) => `${stdout.trim()} ${code}`)).toEqual(
        Array.from({ length: 8 }, (_, index) => `${index} ${index}`),
      );
    });
  });

  describe("a terminal", () => {
    test("has the user's size, follows it, and gives the exit status back", async () => {
      const call = docker.client.terminal(["run", "--rm", "-it", IMAGE, "sh"], { columns: 100, rows: 30 });
      await call.until("# ");
      call.write("tty; stty size\n");
      await call.until(/\/dev\/pts\/0\r\n30 100\r\n/);
      call.resize(132, 43);
      await Bun.sleep(300);
      call.write("stty size\n");
      await call.until("43 132\r\n");
      call.write("exit 4\n");
      expect(await call.done).toBe(4);
    });

    test("Ctrl-C interrupts what is in the foreground", async () => {
      const script = "trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.1; done";
      const call = docker.client.terminal(["run", "--rm", "-it", IMAGE, "sh", "-c", script]);
      await call.until("ready");
      call.write("\x03");
      await call.until("interrupted");
      expect(await call.done).toBe(9);
    });

    test("exec -it has one of its own, with Ctrl-C and a new size", async () => {
      const id = await sleeping();
      const call = docker.client.terminal(["exec", "-it", id, "sh"], { columns: 90, rows: 20 });
      await call.until("# ");
      call.write("stty size\n");
      await call.until("20 90\r\n");
      call.resize(91, 21);
      await Bun.sleep(300);
      call.write("stty size; sleep 500\n");
      await call.until("21 91\r\n");
      call.write("\x03");
      call.write("echo status $?; exit 6\n");
      await call.until("status 130");
      expect(await call.done).toBe(6);
      await remove(id);
    });

    test("detach and attach again", async () => {
      const call = docker.client.terminal(["run", "-it", "--name", "detached", IMAGE, "sh"]);
      await call.until("# ");
      call.write("cd /tmp\n\x10\x11");
      expect(await call.done).toBe(0);
      const again = docker.client.terminal(["attach", "detached"]);
      await Bun.sleep(300);
      again.write("pwd\n");
      await again.until("/tmp\r\n");
      again.write("exit\n");
      expect(await again.done).toBe(0);
      await remove("detached");
    });
  });

  describe("exec", () => {
    let id = "";
    beforeAll(async () => {
      id = await sleeping("-e", "FROM=container");
    });
    afterAll(() => remove(id));
    const exec = (args: string[], options?: CallOptions) => docker.client.run(["exec", ...args], options);

    test("user, directory and variables", async () => {
      const flags = ["-u", "65534:65534", "-w", "/tmp", "-e", "ADDED=here"];
      const { stdout } = await exec([...flags, id, "sh", "-c", 'id -u; id -g; pwd; echo "$FROM $ADDED"']);
      expect(stdout).toBe("65534\n65534\n/tmp\ncontainer here\n");
    });

    test("input, output, exit status", async () => {
      const { stdout, stderr, code } = await exec(["-i", id, "sh", "-c", "cat; echo err >&2; exit 5"], { stdin: "in" });
      expect({ stdout, stderr, code }).toEqual({ stdout: "in", stderr: "err\n", code: 5 });
    });

    // Docker 20.10 answers 126 to both; later versions tell 127 by the runtime's words.
    test.each([
      ["no-such-command", "executable file not found in $PATH"],
      ["/etc/passwd", "permission denied"],
    ])("%s: %s", async (command, words) => {
      const { stdout, stderr, code } = await exec([id, command]);
      expect([126, 127]).toContain(code);
      expect(stdout + stderr).toContain(words);
    });

    // Not here: exec --privileged asks for CAP_SYS_RESOURCE, which is not in this machine's bounding set; runc fails as well.
    test("has Docker's default capabilities", async () => {
      expect((await exec([id, "grep", "CapEff", "/proc/self/status"])).stdout).toBe("CapEff:\t00000000a80425fb\n");
    });

    test("-d runs on, is listed by top, and dies with the container", async () => {
      const other = await sleeping();
      await ok("exec", "-d", other, "sleep", "1234");
      await eventually("top lists it", async () => (await ok("top", other, "-o", "pid,args")).includes("sleep 1234"));
      const pid = Number(/^\s*(\d+)\s+sleep 1234$/m.exec(await ok("top", other, "-o", "pid,args"))![1]);
      await remove(other);
      await gone(pid);
    });

    test("twenty in a row and eight at once", async () => {
      for (let index = 0; index < 20; index += 1) expect((await exec([id, "sh", "-c", `exit ${index}`])).code).toBe(index);
      const codes = await Promise.all(
        Array.from({ length: 8 }, async (_, index) => (await exec([id, "sh", "-c", `exit ${index}`])).code),
      );
      expect(codes).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    });
  });

  describe("lifecycle", () => {
    test("create, start, wait, start again", async () => {
      const id = await ok("create", IMAGE, "sh", "-c", "echo once; exit 7");
      for (const output of ["once", "once\nonce"]) {
        await ok("start", id);
        expect(await ok("wait", id)).toBe("7");
        expect(await ok("logs", id)).toBe(output);
      }
      await remove(id);
    });

    test("restart makes another process of the same container", async () => {
      const id = await scripted("echo kept >> /file; echo ready; exec sleep 1000");
      const first = await pidOf(id);
      await ok("restart", "-t", "0", id);
      expect(await pidOf(id)).not.toBe(first);
      expect(isAlive(first)).toBe(false);
      await eventually("it wrote again", async () => (await ok("exec", id, "cat", "/file")) === "kept\nkept");
      await remove(id);
    });

    test("--restart on-failure:2 tries twice more, then leaves it", async () => {
      const id = await ok("run", "-d", "--restart", "on-failure:2", IMAGE, "sh", "-c", "echo tried; exit 8");
      await eventually(
        "it has given up",
        async () => (await inspect("{{.State.Status}} {{.RestartCount}} {{.State.ExitCode}}", id)) === "exited 2 8",
      );
      expect(await ok("logs", id)).toBe("tried\ntried\ntried");
      await remove(id);
    });

    test("pause stands still, exec is refused meanwhile, unpause goes on", async () => {
      const id = await scripted("echo ready; while :; do echo x >> /count; sleep 0.05; done");
      await ok("pause", id);
      expect(await inspect("{{.State.Status}}", id)).toBe("paused");
      const file = `/proc/${await pidOf(id)}/root/count`;
      const size = readFileSync(file).length;
      await Bun.sleep(300);
      expect(readFileSync(file).length).toBe(size);
      expect((await docker.client.run(["exec", id, "true"])).stderr).toContain("paused");
      await ok("unpause", id);
      await eventually("it counts again", () => readFileSync(file).length > size);
      await remove(id);
    });

    test("a paused container can be removed", async () => {
      const id = await sleeping();
      const pid = await pidOf(id);
      await ok("pause", id);
      await remove(id);
      await gone(pid);
    });

    test("stop sends TERM, and KILL to one that does not listen", async () => {
      const polite = await scripted("trap 'exit 21' TERM; echo ready; while :; do sleep 0.1; done");
      await ok("stop", polite);
      expect(await inspect("{{.State.ExitCode}}", polite)).toBe("21");
      const deaf = await scripted("trap '' TERM; echo ready; while :; do sleep 0.1; done");
      await ok("stop", "-t", "1", deaf);
      expect(await inspect("{{.State.ExitCode}}", deaf)).toBe("137");
      await remove(polite, deaf);
    });

    test("kill sends the signal that is asked for, by name or number", async () => {
      const script = "trap 'echo usr1' USR1; trap 'echo usr2; exit 12' USR2; echo ready; while :; do sleep 0.1; done";
      const id = await scripted(script);
      await ok("kill", "-s", "USR1", id);
      await eventually("it was told", async () => (await ok("logs", id)) === "ready\nusr1");
      await ok("kill", "-s", "12", id);
      expect(await ok("wait", id)).toBe("12");
      await remove(id);
    });

    test("init's death takes the others along", async () => {
      const id = await scripted("sleep 1357 & echo ready; while [ ! -e /end ]; do sleep 0.1; done");
      const pid = Number(/^\s*(\d+)\s+sleep 1357$/m.exec(await ok("top", id, "-o", "pid,args"))![1]);
      await ok("exec", id, "touch", "/end");
      expect(await ok("wait", id)).toBe("0");
      await gone(pid);
      await remove(id);
    });

    test("a health check fails, then passes", async () => {
      const flags = ["--health-cmd", "test -e /healthy", "--health-interval", "300ms", "--health-retries", "1"];
      const id = await sleeping(...flags);
      const health = () => inspect("{{.State.Health.Status}}", id);
      await eventually("it is unhealthy", async () => (await health()) === "unhealthy");
      await ok("exec", id, "touch", "/healthy");
      await eventually("it is healthy", async () => (await health()) === "healthy");
      await remove(id);
    });

    test("top lists what runs, stats counts it", async () => {
      const id = await scripted("sleep 1000 & echo ready; exec sleep 1000", "-m", "64m");
      const processes = (await ok("top", id)).split("\n").slice(1);
      expect(processes.length).toBe(2);
      expect(processes.join("\n")).toContain("sleep 1000");
      const [pids, memory] = (await ok("stats", "--no-stream", "--format", "{{.PIDs}} {{.MemUsage}}", id)).split(/ (.*)/);
      expect(pids).toBe("2");
      expect(memory).toMatch(/^\d.* \/ 64MiB$/);
      await remove(id);
    });

    test("cp goes in and comes out, commit keeps what was written", async () => {
      const id = await scripted("echo made > /made; echo ready; exec sleep 1000");
      writeFileSync(docker.base.at("in"), "from outside\n");
      await ok("cp", docker.base.at("in"), `${id}:/tmp/in`);
      expect(await ok("exec", id, "cat", "/tmp/in")).toBe("from outside");
      await ok("cp", `${id}:/made`, docker.base.at("out"));
      expect(readFileSync(docker.base.at("out"), "utf8")).toBe("made\n");
      await ok("commit", id, "onggi-test/committed");
      expect((await run(["onggi-test/committed", "cat", "/made", "/tmp/in"])).stdout).toBe("made\nfrom outside\n");
      await remove(id);
      await ok("rmi", "onggi-test/committed");
    });

    test("events tell of create, start, exec, kill and death with its status", async () => {
      const since = String(Date.now() / 1000);
      const id = await sleeping();
      await ok("exec", id, "true");
      await ok("kill", "-s", "KILL", id);
      await ok("wait", id);
      const format = "{{.Action}} {{.Actor.Attributes.exitCode}}";
      const told = () => ok("events", "--since", since, "--until", "0s", "--filter", `container=${id}`, "--format", format);
      await eventually("death is told", async () => (await told()).includes("die 137"));
      const actions = (await told()).split("\n").map((line) => line.split(/[ :]/)[0]);
      expect(actions).toEqual(expect.arrayContaining(["create", "start", "exec_create", "exec_start", "kill", "die"]));
      await remove(id);
    });
  });

  describe("the daemon", () => {
    test("killed, it leaves the container running, and the next one takes it over", async () => {
      const script = "trap 'exit 31' TERM; echo ready; while :; do date >> /beat; sleep 0.1; done";
      const id = await scripted(script);
      const pid = await pidOf(id);
      await docker.kill();
      expect(isAlive(pid)).toBe(true);
      await docker.start();
      expect(await inspect("{{.State.Status}} {{.State.Pid}}", id)).toBe(`running ${pid}`);
      expect((await docker.client.run(["exec", id, "sh", "-c", "exit 17"])).code).toBe(17);
      await ok("stop", id);
      expect(await inspect("{{.State.ExitCode}}", id)).toBe("31");
      await remove(id);
    }, 60_000);

    test("dead while the container ends, it learns of the exit", async () => {
      const id = await scripted("echo ready; while [ ! -e /end ]; do sleep 0.05; done; exit 33");
      const pid = await pidOf(id);
      await docker.kill();
      writeFileSync(`/proc/${pid}/root/end`, "");
      await gone(pid);
      await docker.start();
      await eventually("it knows", async () => (await inspect("{{.State.Status}}", id)) === "exited");
      expect(await inspect("{{.State.ExitCode}}", id)).toBe("33");
      await remove(id);
    }, 60_000);

    test("at its end nothing is left on the machine", async () => {
      expect(await ok("ps", "-aq")).toBe("");
      await docker.end();
      // A dockerd that was killed leaves its data root mounted on itself, and the next one does not think it its own.
      const root = docker.base.at("root");
      await docker.base.expectNothingLeft((line) => line.startsWith("mounts: ") && line.includes(` ${root} ${root} `));
      expect(existsSync(docker.base.at("pid"))).toBe(false);
    }, 60_000);
  });
});
