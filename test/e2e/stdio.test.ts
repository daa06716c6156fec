import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(() => engine.close(), 120_000);

describe("standard input", () => {
  test("-i: what is piped in arrives, and its end too", async () => {
    const { stdout, code } = await engine.onggi(["run", "--rm", "-i", "busybox", "cat"], { stdin: "one\ntwo\n" });
    expect({ stdout, code }).toEqual({ stdout: "one\ntwo\n", code: 0 });
  });

  test("without -i it is empty", async () => {
    const { stdout, code } = await engine.onggi(["run", "--rm", "busybox", "wc", "-c"], { stdin: "never seen" });
    expect({ stdout: stdout.trim(), code }).toEqual({ stdout: "0", code: 0 });
  });

  test.each([
    [["create", "-i"], { AttachStdin: true, AttachStdout: true, AttachStderr: true, OpenStdin: true, StdinOnce: true }],
    [["create", "-i", "-a", "stdout"], { AttachStdin: false, AttachStdout: true, AttachStderr: false, StdinOnce: false }],
    [["create", "-a", "STDIN"], { AttachStdin: true, AttachStdout: false, OpenStdin: false, StdinOnce: false }],
    [["run", "-d", "-i"], { AttachStdin: false, AttachStdout: false, AttachStderr: false, OpenStdin: true, StdinOnce: false }],
  ])("%j: inspect has its streams as Docker gives them", async (words, expected) => {
    const id = await engine.ok([...words, "busybox", "true"]);
    expect((await engine.inspect(id)).Config as object).toMatchObject(expected);
    await engine.ok(["rm", "-f", id]);
  });

  test("-i: 4 MiB through cat come back unchanged", async () => {
    const data = Buffer.alloc(4 << 20, "0123456789abcdef\n");
    const { stdout } = await engine.onggi(["run", "--rm", "-i", "busybox", "cat"], {
      stdin: new Uint8Array(data),
      timeout: 60_000,
    });
    expect(Bun.hash(stdout)).toBe(Bun.hash(data.toString()));
  });

  test("a container that reads nothing ends although its input goes on", async () => {
    const call = engine.spawn(["run", "--rm", "-i", "busybox", "true"]);
    expect((await call.done).code).toBe(0);
  });
});

describe("a terminal", () => {
  test("-it: it is one, with the caller's size, and follows a resize", async () => {
    const call = engine.terminal(["run", "--rm", "-it", "busybox", "sh"], { columns: 91, rows: 33 });
    await call.until("# ");
    call.write("tty; stty size\n");
    await call.until(/\/dev\/(pts\/0|console)[\s\S]*33 91/);
    call.resize(120, 50);
    await eventually("stty size says 50 120", async () => {
      call.write("stty size\n");
      await Bun.sleep(100);
      return call.screen().includes("50 120");
    });
    call.write("exit 5\n");
    expect(await call.done).toBe(5);
  });

  test("-it: Ctrl-C interrupts the foreground command, not the shell", async () => {
    const call = engine.terminal(["run", "--rm", "-it", "busybox", "sh"]);
    await call.until("# ");
    call.write("sleep 1000\n");
    await Bun.sleep(300);
    call.write("\x03");
    call.write("echo status $?\n");
    await call.until(/status 130/);
    call.write("\x04");
    await call.done;
  });

  test("-it: the detach keys leave the container running, attach comes back to it", async () => {
    const call = engine.terminal(["run", "-it", "--name", "detached", "busybox", "sh"]);
    await call.until("# ");
    call.write("X=kept\n");
    await Bun.sleep(100);
    call.write("\x10\x11");
    expect(await call.done).toBe(0);
    expect((await engine.inspect("detached")).State.Status).toBe("running");
    const again = engine.terminal(["attach", "detached"]);
    await Bun.sleep(300);
    again.write("echo X is $X\n");
    await again.until("X is kept");
    again.write("exit 4\n");
    expect(await again.done).toBe(4);
    await engine.ok(["rm", "detached"]);
  });

  test("--detach-keys chooses other keys", async () => {
    const call = engine.terminal(["run", "-it", "--name", "keys", "--detach-keys", "ctrl-a,x", "busybox", "cat"]);
    await eventually("it runs", async () => (await engine.onggi(["ps", "-q", "--filter", "name=keys"])).stdout.trim() !== "");
    call.write("\x01x");
    expect(await call.done).toBe(0);
    await engine.ok(["rm", "-f", "keys"]);
  });

  test("-t without a terminal at the caller's end still gives the container one", async () => {
    const { stdout } = await engine.onggi(["run", "--rm", "-t", "busybox", "sh", "-c", "[ -t 1 ] && echo tty"]);
    expect(stdout).toBe("tty\r\n");
  });

  test("-it with input that is no terminal is refused as Docker does", async () => {
    const { stderr, code } = await engine.onggi(["run", "--rm", "-it", "busybox", "true"], { stdin: "x" });
    expect(stderr).toMatch(/terminal|TTY/);
    expect(code).not.toBe(0);
  });
});

describe("attach", () => {
  test("output goes to every client, input from any, and the exit status to all", async () => {
    await engine.ok([
      "run",
      "-d",
      "-i",
      "--name",
      "shared",
      "busybox",
      "sh",
      "-c",
      "while read -r line; do echo got $line; done; exit 6",
    ]);
    const first = engine.spawn(["attach", "shared"]);
    const second = engine.spawn(["attach", "--no-stdin", "shared"]);
    await Bun.sleep(400);
    first.process.stdin.write("hello\n");
    first.process.stdin.flush();
    await first.until("got hello");
    await second.until("got hello");
    first.process.stdin.end();
    expect((await first.done).code).toBe(6);
    expect((await second.done).code).toBe(6);
    await engine.ok(["rm", "shared"]);
  });

  test("a client that stops reading does not hold the container", async () => {
    await engine.ok([
      "run",
      "-d",
      "--name",
      "loud",
      "busybox",
      "sh",
      "-c",
      "head -c 20000000 /dev/zero | tr '\\0' x; echo; echo done; sleep 1000",
    ]);
    const stuck = engine.spawn(["attach", "loud"]);
    process.kill(stuck.process.pid, "SIGSTOP");
    await eventually(
      "all output is in the log",
      async () => (await engine.ok(["logs", "--tail", "1", "loud"])).endsWith("done"),
      30,
    );
    process.kill(stuck.process.pid, "SIGKILL");
    await stuck.done;
    await engine.ok(["rm", "-f", "loud"]);
  });

  test("a signal to the foreground client reaches the container", async () => {
    const call = engine.spawn([
      "run",
      "--rm",
      "busybox",
      "sh",
      "-c",
      "trap 'echo bye; exit 9' TERM; echo up; while :; do sleep 0.1; done",
    ]);
    await call.until("up");
    call.process.kill("SIGTERM");
    const { stdout, code } = await call.done;
    expect({ stdout, code }).toEqual({ stdout: "up\nbye\n", code: 9 });
  });
});
