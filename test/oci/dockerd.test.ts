/** The OCI runtime under dockerd: run and exec, with pipes and with terminals. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type CallOptions, followsSize, IN_FOREGROUND } from "../kit/command.ts";
import { eventually, gone } from "../kit/engine.ts";
import { dockerSuite, IMAGE } from "./docker-suite.ts";

dockerSuite("dockerd", {}, (user) => {
  describe("run", () => {
    test("output and errors come apart, input goes in", async () => {
      const { stdout, stderr, code } = await user.run(["-i", IMAGE, "sh", "-c", "cat; echo err >&2"], { stdin: "in\n" });
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
      expect((await user.run([IMAGE, ...words])).code).toBe(code);
    });

    test("a working directory that is not there is made", async () => {
      expect((await user.run(["-w", "/made/for/it", IMAGE, "pwd"])).stdout).toBe("/made/for/it\n");
    });

    test("--rm removes it, and inspect names the runtime while it runs", async () => {
      const id = await user.sleeping("--rm");
      expect(await user.inspect("{{.HostConfig.Runtime}} {{.State.Status}}", id)).toBe("onggi running");
      await user.ok("kill", id);
      await eventually("it is removed", async () => (await user.ok("ps", "-aq")) === "");
    });

    test("eight at once", async () => {
      const calls = Array.from({ length: 8 }, (_, index) => user.run([IMAGE, "sh", "-c", `echo ${index}; exit ${index}`]));
      const results = await Promise.all(calls);
      expect(results.map(({ stdout, code }) => `${stdout.trim()} ${code}`)).toEqual(
        Array.from({ length: 8 }, (_, index) => `${index} ${index}`),
      );
    });
  });

  describe("a terminal", () => {
    test("has the user's size, follows it, and gives the exit status back", async () => {
      const call = user.docker.client.terminal(["run", "--rm", "-it", IMAGE, "sh"], { columns: 100, rows: 30 });
      await call.until("# ");
      call.write("tty; stty size\n");
      await call.until(/\/dev\/pts\/0\r\n30 100\r\n/);
      await followsSize(call, 132, 43);
      call.write("exit 4\n");
      expect(await call.done).toBe(4);
    });

    test("Ctrl-C interrupts what is in the foreground", async () => {
      const script = "trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.1; done";
      const call = user.docker.client.terminal(["run", "--rm", "-it", IMAGE, "sh", "-c", script]);
      await call.until("ready");
      call.write("\x03");
      await call.until("interrupted");
      expect(await call.done).toBe(9);
    });

    test("exec -it has one of its own, with Ctrl-C and a new size", async () => {
      const id = await user.sleeping();
      const call = user.docker.client.terminal(["exec", "-it", id, "sh"], { columns: 90, rows: 20 });
      await call.until("# ");
      call.write("stty size\n");
      await call.until("20 90\r\n");
      await followsSize(call, 91, 21);
      call.write(IN_FOREGROUND.typed);
      await call.until(IN_FOREGROUND.seen);
      call.write("\x03");
      call.write("echo status $?; exit 6\n");
      await call.until("status 130");
      expect(await call.done).toBe(6);
      await user.remove(id);
    });

    test("detach and attach again", async () => {
      const call = user.docker.client.terminal(["run", "-it", "--name", "detached", IMAGE, "sh"]);
      await call.until("# ");
      call.write("cd /tmp\n\x10\x11");
      expect(await call.done).toBe(0);
      const again = user.docker.client.terminal(["attach", "detached"]);
      await Bun.sleep(300);
      again.write("pwd\n");
      await again.until("/tmp\r\n");
      again.write("exit\n");
      expect(await again.done).toBe(0);
      await user.remove("detached");
    });
  });

  describe("exec", () => {
    let id = "";
    beforeAll(async () => {
      id = await user.sleeping("-e", "FROM=container");
    });
    afterAll(() => user.remove(id));
    const exec = (args: string[], options?: CallOptions) => user.docker.client.run(["exec", ...args], options);

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

    test("has Docker's default capabilities", async () => {
      expect((await exec([id, "grep", "CapEff", "/proc/self/status"])).stdout).toBe("CapEff:\t00000000a80425fb\n");
    });

    test("-d runs on, is listed by top, and dies with the container", async () => {
      const other = await user.sleeping();
      await user.ok("exec", "-d", other, "sleep", "1234");
      await eventually("top lists it", async () => (await user.ok("top", other, "-o", "pid,args")).includes("sleep 1234"));
      const pid = Number(/^\s*(\d+)\s+sleep 1234$/m.exec(await user.ok("top", other, "-o", "pid,args"))![1]);
      await user.remove(other);
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
});
