import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { ControlHarness } from "../../test/control-harness.ts";
import type { Call } from "../api/control/server.ts";
import { OnggiError } from "../lib/errors.ts";

/** The real program in a process of its own: streams, exit codes, signals and terminals as a user has them. */

const harness = new ControlHarness();
beforeAll(() => harness.start());
afterAll(() => harness.stop());
beforeEach(() => {
  harness.handlers = {};
});

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (chunk: Uint8Array): string => new TextDecoder().decode(chunk);
const ended = (result: { exitCode: number; detached?: boolean; error?: string }) => ({ id: "abc", ...result });

/** The container is there: from now on there are input, signals and the terminal. */
const made = (call: Call<"run">): void | Promise<void> => call.item({ id: "abc", warnings: [] });

/** A container that gives back what it is given. */
const echo = async (call: Call<"run">) => {
  await made(call);
  for await (const chunk of call.stdin) await call.stdout(chunk);
  return ended({ exitCode: 0 });
};

async function onggi(argv: string[], stdin = ""): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const child = harness.spawn(argv);
  child.stdin.write(stdin);
  child.stdin.end();
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { exitCode, stdout, stderr };
}

describe("exit codes", () => {
  test.each([0, 1, 7, 137, 255])("the container's own: %d", async (exitCode) => {
    harness.handlers.run = async () => ended({ exitCode });
    expect((await onggi(["run", "busybox"])).exitCode).toBe(exitCode);
  });

  test.each([
    ["command_not_found", 127],
    ["command_not_executable", 126],
    ["image_not_found", 125],
    ["name_in_use", 125],
  ])("of run for %s: %d", async (code, exitCode) => {
    harness.handlers.run = async () => {
      throw new OnggiError(code, "no");
    };
    expect(await onggi(["run", "--pull", "never", "busybox"])).toEqual({ exitCode, stdout: "", stderr: "onggi: no\n" });
  });

  test("the engine's say wins, and its error is told", async () => {
    harness.handlers.run = async () => ended({ exitCode: 127, error: "cannot start: nope: no such file" });
    expect(await onggi(["run", "busybox", "nope"])).toEqual({
      exitCode: 127,
      stdout: "",
      stderr: "onggi: cannot start: nope: no such file\n",
    });
  });

  test("1 for other commands", async () => {
    harness.handlers.exec = async () => {
      throw new OnggiError("container_not_found", "no such container: x");
    };
    expect((await onggi(["exec", "x", "true"])).exitCode).toBe(1);
  });
});

describe("streams", () => {
  test("output goes where it came from", async () => {
    harness.handlers.run = async (call) => {
      await made(call);
      await call.stdout(bytes("out"));
      await call.stderr(bytes("err"));
      return ended({ exitCode: 3 });
    };
    expect(await onggi(["run", "--rm", "busybox"])).toEqual({ exitCode: 3, stdout: "out", stderr: "err" });
  });

  test("input arrives and ends", async () => {
    harness.handlers.run = echo;
    expect(await onggi(["run", "-i", "busybox", "cat"], "hello")).toEqual({ exitCode: 0, stdout: "hello", stderr: "" });
  });

  test("input is not read without -i", async () => {
    let streams: unknown;
    harness.handlers.run = async (call) => {
      streams = call.request.attach;
      return ended({ exitCode: 0 });
    };
    await onggi(["run", "busybox", "cat"], "hello");
    expect(streams).toEqual({ stdin: false, stdout: true, stderr: true });
  });

  test("closed input is its end", async () => {
    harness.handlers.run = echo;
    expect((await Bun.$`sh -c ${`${harness.program} run -i busybox cat <&-`}`.quiet()).exitCode).toBe(0);
  });

  test("-d prints the id", async () => {
    harness.handlers.run = async () => ended({ exitCode: 0, detached: true });
    expect(await onggi(["run", "-d", "busybox"])).toEqual({ exitCode: 0, stdout: "abc\n", stderr: "" });
  });

  test("100 MB pass to a slow reader whole, in bounded memory", async () => {
    const chunk = new Uint8Array(128 * 1024).fill(120);
    const rounds = 800;
    harness.handlers.run = async (call) => {
      for (let n = 0; n < rounds; n++) await call.stdout(chunk);
      return ended({ exitCode: 0 });
    };
    const child = harness.spawn(["run", "busybox"]);
    let size = 0;
    let largest = 0;
    const reader = child.stdout.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      size += next.value.length;
      if (size < 1024 * 1024) await Bun.sleep(10);
      const status = await Bun.file(`/proc/${child.pid}/status`)
        .text()
        .catch(() => "");
      largest = Math.max(largest, Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0));
    }
    expect(size).toBe(rounds * chunk.length);
    expect(await child.exited).toBe(0);
    expect(largest).toBeLessThan(180 * 1024);
  }, 60_000);

  test("a long stream to a pipe is whole, does not hold up signals, and leaves the pipe blocking for others", async () => {
    const got: string[] = [];
    const chunk = new Uint8Array(64 * 1024).fill(120);
    harness.handlers.run = async (call) => {
      await made(call);
      call.onSignal((name) => got.push(name));
      for (let n = 0; n < 160; n++) await call.stdout(chunk);
      return ended({ exitCode: 0 });
    };
    const flags = "grep flags /proc/$$/fdinfo/1 >&2";
    const line = `sh -c '${flags}; ${harness.program} run busybox; ${flags}' | (sleep 0.6; wc -c)`;
    const child = Bun.spawn(["sh", "-c", line], { stdout: "pipe", stderr: "pipe" });
    const errors = new Response(child.stderr).text();
    await Bun.sleep(400);
    const pid = (await Bun.$`pgrep -f ${harness.run}`.text()).trim().split("\n").map(Number);
    for (const one of pid) if ((await Bun.file(`/proc/${one}/comm`).text()).startsWith("bun")) process.kill(one, "SIGUSR1");
    expect((await new Response(child.stdout).text()).trim()).toBe(String(160 * chunk.length));
    expect(got).toEqual(["SIGUSR1"]);
    const [before, after] = (await errors).split("\n").filter((line) => line.startsWith("flags"));
    // O_NONBLOCK is 04000 (open(2)); flags are octal
    expect(Number.parseInt(before!.split("\t")[1]!, 8) & 0o4000).toBe(0);
    expect(after).toBe(before!);
  });

  test("short and long output is appended to a file in its place", async () => {
    harness.handlers.run = async (call) => {
      for (let n = 0; n < Number(call.request.container.command?.[0]); n++) await call.stdout(new Uint8Array(1000).fill(120));
      return ended({ exitCode: 0 });
    };
    const file = `${harness.directory}/appended`;
    await Bun.$`sh -c ${`(echo first; ${harness.program} run busybox 1; ${harness.program} run busybox 500; echo last) > ${file}`}`;
    const written = await Bun.file(file).text();
    expect(written).toBe(`first\n${"x".repeat(501_000)}last\n`);
  });

  test("a reader that goes away ends it with 141", async () => {
    harness.handlers.run = async (call) => {
      while (!call.signal.aborted) await call.stdout(new Uint8Array(65536));
      return ended({ exitCode: 0 });
    };
    const child = harness.spawn(["run", "busybox"]);
    const reader = child.stdout.getReader();
    await reader.read();
    await reader.cancel();
    expect(await child.exited).toBe(141);
    expect(await new Response(child.stderr).text()).toBe("");
  });
});

describe("signals", () => {
  /** Runs until the container gets a signal; gives what it got. */
  const untilSignal = (flags: string[]) => {
    harness.handlers.run = async (call) => {
      const signal = new Promise<string>((resolve) => {
        call.onSignal(resolve);
        call.signal.addEventListener("abort", () => resolve(""));
      });
      await made(call);
      await call.stdout(bytes("ready"));
      return ended({ exitCode: 128 + ((await signal) === "SIGTERM" ? 15 : 2) });
    };
    const child = harness.spawn(["run", ...flags, "busybox"]);
    return { child, ready: child.stdout.getReader().read() };
  };

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("%s reaches the container", async (signal, exitCode) => {
    const { child, ready } = untilSignal([]);
    await ready;
    child.kill(signal);
    expect(await child.exited).toBe(exitCode);
  });

  test("--sig-proxy=false leaves them to this process", async () => {
    const { child, ready } = untilSignal(["--sig-proxy=false"]);
    await ready;
    child.kill("SIGTERM");
    await child.exited;
    expect(child.signalCode).toBe("SIGTERM");
  });
});

/** The program on a terminal of its own, as a session leader; what it prints is collected. */
function onTerminal(line: string, size = { cols: 100, rows: 30 }) {
  let output = "";
  const child = Bun.spawn(["sh", "-c", line.replaceAll("onggi ", `${harness.program} `)], {
    terminal: {
      ...size,
      data: (_, data) => {
        output += text(data);
      },
    },
  });
  const seen = async (wanted: string): Promise<void> => {
    const deadline = Date.now() + 5000;
    while (!output.includes(wanted)) {
      if (Date.now() > deadline)
        throw new Error(`${JSON.stringify(wanted)} was not printed; this was: ${JSON.stringify(output)}`);
      await Bun.sleep(5);
    }
  };
  return { child, terminal: child.terminal!, seen, output: () => output };
}

describe("on a terminal", () => {
  /** Says its sizes, gives back in brackets what is typed, ends with "x" or a detach. */
  const shell = async (call: Call<"run">) => {
    await made(call);
    await call.stdout(bytes(`size ${call.request.size?.rows}x${call.request.size?.columns}\r\n`));
    call.onResize(({ rows, columns }) => void call.stdout(bytes(`resized ${rows}x${columns}\r\n`)));
    const left = new Promise<true>((resolve) => call.onDetach(() => resolve(true)));
    const typed = (async () => {
      for await (const chunk of call.stdin) {
        await call.stdout(bytes(`<${[...chunk].join(" ")}>`));
        if (chunk.includes(120)) return false;
      }
      return false;
    })();
    const detached = await Promise.race([left, typed]);
    return ended(detached ? { exitCode: 0, detached } : { exitCode: 9 });
  };
  // "-echo" in what stty prints means raw; the second line must not have it
  const around = "onggi run -it busybox sh; echo code $?; stty -a | tr ';' '\\n' | grep -w -e echo -e icanon";

  beforeEach(() => {
    harness.handlers.run = shell;
  });

  test("bytes pass raw, the size is told and follows, and the terminal is restored", async () => {
    const { child, terminal, seen, output } = onTerminal(around);
    await seen("size 30x100");
    terminal.write("\x03");
    await seen("<3>");
    terminal.resize(80, 25);
    await seen("resized 25x80");
    terminal.write("x");
    await child.exited;
    await seen("code 9");
    await seen(" echo ");
    expect(output()).not.toContain("-echo ");
    expect(output()).not.toContain("-icanon");
  }, 15_000);

  test("ctrl-p ctrl-q detaches and restores", async () => {
    const { child, terminal, seen, output } = onTerminal(around);
    await seen("size");
    terminal.write("a");
    await seen("<97>");
    terminal.write("\x10");
    terminal.write("\x11");
    await child.exited;
    await seen("code 0");
    await seen(" echo ");
    expect(output()).toContain("read escape sequence");
    expect(output()).not.toContain("-echo ");
    expect(output()).not.toContain("<16>");
  }, 15_000);

  test("without -i the terminal stays as it is, and ctrl-c is a signal for the container", async () => {
    harness.handlers.run = async (call) => {
      await made(call);
      await call.stdout(bytes("ready"));
      const name = await new Promise<string>((resolve) => call.onSignal(resolve));
      await call.stdout(bytes(`got ${name}`));
      return ended({ exitCode: 4 });
    };
    const { child, terminal, seen } = onTerminal("trap : INT; onggi run -t busybox sh; echo code $?");
    await seen("ready");
    terminal.write("\x03");
    await seen("got SIGINT");
    await child.exited;
    await seen("code 4");
  }, 15_000);

  test("other keys detach when asked for", async () => {
    const { child, terminal, seen } = onTerminal("onggi run -it --detach-keys ctrl-a,d busybox sh; echo code $?");
    await seen("size");
    terminal.write("\x10\x11");
    await seen("<16 17>");
    terminal.write("\x01d");
    await child.exited;
    await seen("code 0");
  }, 15_000);

  test.each([
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ])(
    "%s restores it",
    async (signal, code) => {
      const { child, seen, output } = onTerminal(
        around.replace("; echo", ` & wait $!; echo`).replace("onggi", "exec 3<&0; onggi").replace("busybox sh", "busybox sh <&3"),
      );
      await seen("size");
      const pids = (await Bun.$`pgrep -P ${child.pid}`.text()).trim().split("\n");
      process.kill(Number(pids[0]), signal);
      await child.exited;
      await seen(`code ${code}`);
      await seen(" echo ");
      expect(output()).not.toContain("-echo ");
    },
    15_000,
  );

  test("an engine that dies restores it", async () => {
    harness.handlers.run = async (call) => {
      await made(call);
      await call.stdout(bytes("ready"));
      await Bun.sleep(30);
      throw new Error("broken");
    };
    const { child, seen, output } = onTerminal(around);
    await seen("code 125");
    await child.exited;
    await seen(" echo ");
    expect(output()).toContain("onggi: broken");
    expect(output()).not.toContain("-echo ");
  }, 15_000);
});

test("--trace shows the stages on standard error", async () => {
  harness.handlers.run = async (call) => {
    await call.item({
      trace: [
        { stage: "compile", microseconds: 100 },
        { stage: "clone", microseconds: 300, floor: 250 },
        { stage: "beside", microseconds: 200, aside: true },
      ],
    });
    return ended({ exitCode: 0 });
  };
  const { stdout, stderr } = await onggi(["run", "--trace", "busybox"]);
  expect(stdout).toBe("");
  expect(stderr.split("\n").map((line) => line.trimEnd())).toEqual([
    "compile   100 us                    ##########",
    "clone     300 us    kernel 250 us   ##############################",
    "beside    200 us                    ####################",
    "total     400 us",
    "",
  ]);
});
