/** The OCI runtime under dockerd: what becomes of containers over time, and when the daemon dies. */
import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import type { Docker } from "../kit/docker.ts";
import { eventually, gone, isAlive } from "../kit/engine.ts";
import { dockerSuite, IMAGE } from "./docker-suite.ts";

/** A dockerd that was killed leaves its data root mounted on itself, and the next one does not think it its own. */
const leftByDocker = (line: string, { base }: Docker): boolean =>
  line.startsWith("mounts: ") && line.includes(` ${base.at("root")} ${base.at("root")} `);

dockerSuite("dockerd's lifecycle of containers", { flags: ["--live-restore"], leftByDocker }, (user) => {
  describe("lifecycle", () => {
    test("create, start, wait, start again", async () => {
      const id = await user.ok("create", IMAGE, "sh", "-c", "echo once; exit 7");
      for (const output of ["once", "once\nonce"]) {
        await user.ok("start", id);
        expect(await user.ok("wait", id)).toBe("7");
        expect(await user.ok("logs", id)).toBe(output);
      }
      await user.remove(id);
    });

    test("restart makes another process of the same container", async () => {
      const id = await user.scripted("echo kept >> /file; echo ready; exec sleep 1000");
      const first = await user.pidOf(id);
      await user.ok("restart", "-t", "0", id);
      expect(await user.pidOf(id)).not.toBe(first);
      expect(isAlive(first)).toBe(false);
      await eventually("it wrote again", async () => (await user.ok("exec", id, "cat", "/file")) === "kept\nkept");
      await user.remove(id);
    });

    test("--restart on-failure:2 tries twice more, then leaves it", async () => {
      const id = await user.ok("run", "-d", "--restart", "on-failure:2", IMAGE, "sh", "-c", "echo tried; exit 8");
      await eventually(
        "it has given up",
        async () => (await user.inspect("{{.State.Status}} {{.RestartCount}} {{.State.ExitCode}}", id)) === "exited 2 8",
      );
      expect(await user.ok("logs", id)).toBe("tried\ntried\ntried");
      await user.remove(id);
    });

    test("pause stands still, exec is refused meanwhile, unpause goes on", async () => {
      const id = await user.scripted("echo ready; while :; do echo x >> /count; sleep 0.05; done");
      await user.ok("pause", id);
      expect(await user.inspect("{{.State.Status}}", id)).toBe("paused");
      const file = `/proc/${await user.pidOf(id)}/root/count`;
      const size = readFileSync(file).length;
      await Bun.sleep(300);
      expect(readFileSync(file).length).toBe(size);
      expect((await user.docker.client.run(["exec", id, "true"])).stderr).toContain("paused");
      await user.ok("unpause", id);
      await eventually("it counts again", () => readFileSync(file).length > size);
      await user.remove(id);
    });

    test("a paused container can be removed", async () => {
      const id = await user.sleeping();
      const pid = await user.pidOf(id);
      await user.ok("pause", id);
      await user.remove(id);
      await gone(pid);
    });

    test("stop sends TERM, and KILL to one that does not listen", async () => {
      const polite = await user.scripted("trap 'exit 21' TERM; echo ready; while :; do sleep 0.1; done");
      await user.ok("stop", polite);
      expect(await user.inspect("{{.State.ExitCode}}", polite)).toBe("21");
      const deaf = await user.scripted("trap '' TERM; echo ready; while :; do sleep 0.1; done");
      await user.ok("stop", "-t", "1", deaf);
      expect(await user.inspect("{{.State.ExitCode}}", deaf)).toBe("137");
      await user.remove(polite, deaf);
    });

    test("kill sends the signal that is asked for, by name or number", async () => {
      const script = "trap 'echo usr1' USR1; trap 'echo usr2; exit 12' USR2; echo ready; while :; do sleep 0.1; done";
      const id = await user.scripted(script);
      await user.ok("kill", "-s", "USR1", id);
      await eventually("it was told", async () => (await user.ok("logs", id)) === "ready\nusr1");
      await user.ok("kill", "-s", "12", id);
      expect(await user.ok("wait", id)).toBe("12");
      await user.remove(id);
    });

    test("init's death takes the others along", async () => {
      const id = await user.scripted("sleep 1357 & echo ready; while [ ! -e /end ]; do sleep 0.1; done");
      const pid = Number(/^\s*(\d+)\s+sleep 1357$/m.exec(await user.ok("top", id, "-o", "pid,args"))![1]);
      await user.ok("exec", id, "touch", "/end");
      expect(await user.ok("wait", id)).toBe("0");
      await gone(pid);
      await user.remove(id);
    });

    test("a health check fails, then passes", async () => {
      const flags = ["--health-cmd", "test -e /healthy", "--health-interval", "300ms", "--health-retries", "1"];
      const id = await user.sleeping(...flags);
      const health = () => user.inspect("{{.State.Health.Status}}", id);
      await eventually("it is unhealthy", async () => (await health()) === "unhealthy");
      await user.ok("exec", id, "touch", "/healthy");
      await eventually("it is healthy", async () => (await health()) === "healthy");
      await user.remove(id);
    });

    test("top lists what runs, stats counts it", async () => {
      const id = await user.scripted("sleep 1000 & echo ready; exec sleep 1000", "-m", "64m");
      const processes = (await user.ok("top", id)).split("\n").slice(1);
      expect(processes.length).toBe(2);
      expect(processes.join("\n")).toContain("sleep 1000");
      const [pids, memory] = (await user.ok("stats", "--no-stream", "--format", "{{.PIDs}} {{.MemUsage}}", id)).split(/ (.*)/);
      expect(pids).toBe("2");
      expect(memory).toMatch(/^\d.* \/ 64MiB$/);
      await user.remove(id);
    });

    test("cp goes in and comes out, commit keeps what was written", async () => {
      const id = await user.scripted("echo made > /made; echo ready; exec sleep 1000");
      writeFileSync(user.docker.base.at("in"), "from outside\n");
      await user.ok("cp", user.docker.base.at("in"), `${id}:/tmp/in`);
      expect(await user.ok("exec", id, "cat", "/tmp/in")).toBe("from outside");
      await user.ok("cp", `${id}:/made`, user.docker.base.at("out"));
      expect(readFileSync(user.docker.base.at("out"), "utf8")).toBe("made\n");
      await user.ok("commit", id, "onggi-test/committed");
      expect((await user.run(["onggi-test/committed", "cat", "/made", "/tmp/in"])).stdout).toBe("made\nfrom outside\n");
      await user.remove(id);
      await user.ok("rmi", "onggi-test/committed");
    });

    test("events tell of create, start, exec, kill and death with its status", async () => {
      const since = String(Math.floor(Date.now() / 1000));
      const id = await user.sleeping();
      await user.ok("exec", id, "true");
      await user.ok("kill", "-s", "KILL", id);
      await user.ok("wait", id);
      const format = "{{.Action}} {{.Actor.Attributes.exitCode}}";
      const told = () => user.ok("events", "--since", since, "--until", "0s", "--filter", `container=${id}`, "--format", format);
      await eventually("death is told", async () => (await told()).includes("die 137"));
      const actions = (await told()).split("\n").map((line) => line.split(/[ :]/)[0]);
      expect(actions).toEqual(expect.arrayContaining(["create", "start", "exec_create", "exec_start", "kill", "die"]));
      await user.remove(id);
    });
  });

  describe("the daemon", () => {
    test("killed, it leaves the container running, and the next one takes it over", async () => {
      const script = "trap 'exit 31' TERM; echo ready; while :; do date >> /beat; sleep 0.1; done";
      const id = await user.scripted(script);
      const pid = await user.pidOf(id);
      await user.docker.kill();
      expect(isAlive(pid)).toBe(true);
      await user.docker.start();
      expect(await user.inspect("{{.State.Status}} {{.State.Pid}}", id)).toBe(`running ${pid}`);
      expect((await user.docker.client.run(["exec", id, "sh", "-c", "exit 17"])).code).toBe(17);
      await user.ok("stop", id);
      expect(await user.inspect("{{.State.ExitCode}}", id)).toBe("31");
      await user.remove(id);
    }, 60_000);

    test("dead while the container ends, it learns of the exit", async () => {
      const id = await user.scripted("echo ready; while [ ! -e /end ]; do sleep 0.05; done; exit 33");
      const pid = await user.pidOf(id);
      await user.docker.kill();
      writeFileSync(`/proc/${pid}/root/end`, "");
      await gone(pid);
      await user.docker.start();
      await eventually("it knows", async () => (await user.inspect("{{.State.Status}}", id)) === "exited");
      expect(await user.inspect("{{.State.ExitCode}}", id)).toBe("33");
      await user.remove(id);
    }, 60_000);
  });
});
