import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OnggiError } from "../../lib/errors.ts";
import { type CallInput, ConnectionLost, call, EngineUnreachable, RemoteError } from "./client.ts";
import { encodeFrame, encodeJson } from "./frames.ts";
import { Outbox } from "./outbox.ts";
import { frame } from "./protocol.ts";
import { type Call, type ControlServer, type Handlers, serve } from "./server.ts";

const directory = mkdtempSync(join(tmpdir(), "onggi-control-"));
const servers: ControlServer[] = [];
let sockets = 0;

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close(0);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function start(handlers: Partial<Handlers>, path = join(directory, `${sockets++}.sock`)): Promise<string> {
  servers.push(await serve({ path, handlers: handlers as Handlers, requestTimeout: 2 }));
  return path;
}

const nothing = { stdin: false, stdout: true, stderr: true };
const attach = (container = "c") => ({ container, attach: nothing });
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (value: string): Uint8Array => new TextEncoder().encode(value);

describe("a call", () => {
  test("gives the request to the handler and its value back", async () => {
    const path = await start({ wait: async ({ request }) => ({ exitCode: request.container.length }) });
    expect(await call(path, "wait", { container: "abc" })).toEqual({ exitCode: 3 });
  });

  test("carries items, progress and both outputs in order", async () => {
    const path = await start({
      run: async (run) => {
        await run.item({ id: "one", warnings: [] });
        await run.stdout(bytes("out"));
        await run.progress({ step: 1 });
        await run.stderr(bytes("err"));
        return { id: "one", exitCode: 7 };
      },
    });
    const seen: unknown[] = [];
    const result = await call(
      path,
      "run",
      { container: { image: "x" }, detach: false, attach: nothing },
      {
        item: (item) => void seen.push(item),
        progress: (progress) => void seen.push(progress),
        stdout: (chunk) => void seen.push(text(chunk)),
        stderr: (chunk) => void seen.push(text(chunk)),
      },
    );
    expect(seen).toEqual([{ id: "one", warnings: [] }, "out", { step: 1 }, "err"]);
    expect(result.exitCode).toBe(7);
  });

  test("travels whatever the length of the request is, upper-case letters in the length included", async () => {
    const path = await start({ kill: async ({ request }) => ({ id: request.container }) });
    for (let length = 1; length < 300; length++) {
      const container = "x".repeat(length);
      expect((await call(path, "kill", { container })).id).toBe(container);
    }
  });

  test("works over a socket whose path is longer than a socket address", async () => {
    const deep = join(directory, "d".repeat(200));
    mkdirSync(deep);
    const path = await start({ ping: async () => ({ version: "1", pid: 1 }) }, join(deep, "onggi.sock"));
    expect(await call(path, "ping", {})).toEqual({ version: "1", pid: 1 });
  });
});

describe("errors", () => {
  test("keep their code and exit code", async () => {
    const path = await start({
      wait: async () => {
        throw Object.assign(new OnggiError("command_not_found", "no such command"), { exitCode: 127 });
      },
    });
    const error = (await call(path, "wait", { container: "x" }).catch((e: unknown) => e)) as RemoteError;
    expect(error).toBeInstanceOf(RemoteError);
    expect([error.code, error.message, error.exitCode]).toEqual(["command_not_found", "no such command", 127]);
  });

  test("of any other kind are internal", async () => {
    const path = await start({
      wait: async () => {
        throw new TypeError("undefined is not an engine");
      },
    });
    const error = (await call(path, "wait", { container: "x" }).catch((e: unknown) => e)) as RemoteError;
    expect([error.code, error.message]).toEqual(["internal", "undefined is not an engine"]);
  });

  test("a call the engine does not know", async () => {
    const path = await start({});
    const error = (await call(path, "ping", {}).catch((e: unknown) => e)) as RemoteError;
    expect(error.code).toBe("unknown_call");
  });

  test("nobody listens", async () => {
    const error = (await call(join(directory, "nobody.sock"), "ping", {}).catch((e: unknown) => e)) as EngineUnreachable;
    expect(error).toBeInstanceOf(EngineUnreachable);
    expect(error.reason).toBe("ENOENT");
  });

  test("an engine that dies during a call", async () => {
    const path = await start({ wait: () => new Promise(() => {}) });
    const waiting = call(path, "wait", { container: "x" });
    await Bun.sleep(20);
    await servers.pop()?.close(0);
    expect(await waiting.catch((e: unknown) => e)).toBeInstanceOf(ConnectionLost);
  });

  test("an error a handler of the client throws ends the call", async () => {
    const path = await start({
      attach: async (session) => {
        await session.stdout(bytes("x"));
        await new Promise((resolve) => session.signal.addEventListener("abort", resolve));
        return { exitCode: 0 };
      },
    });
    const failing = call(path, "attach", attach(), {
      stdout: () => {
        throw new Error("EPIPE");
      },
    });
    expect(await failing.catch((e: Error) => e.message)).toBe("EPIPE");
  });
});

describe("standard input", () => {
  test("arrives whole and ends", async () => {
    const path = await start({
      attach: async (session) => {
        let total = 0;
        for await (const chunk of session.stdin) total += chunk.length;
        return { exitCode: total };
      },
    });
    const size = 3_000_001;
    const result = await call(path, "attach", attach(), {
      opened: async (input) => {
        await input.stdin(new Uint8Array(size));
        input.endStdin();
      },
    });
    expect(result.exitCode).toBe(size);
  });

  test("that nobody reads holds the client back, and neither signals nor the end of the client are stuck behind it", async () => {
    const signals: string[] = [];
    let aborted = false;
    const path = await start({
      attach: async (session) => {
        session.signal.addEventListener("abort", () => {
          aborted = true;
        });
        session.onSignal((name) => signals.push(name));
        await new Promise(() => {});
        return { exitCode: 0 };
      },
    });
    let sent = 0;
    const abort = new AbortController();
    const calling = call(
      path,
      "attach",
      attach(),
      {
        opened: async (input) => {
          const chunk = new Uint8Array(65536);
          setTimeout(() => input.signal("SIGINT"), 30);
          for (let n = 0; n < 100; n++) {
            await input.stdin(chunk);
            sent += chunk.length;
          }
        },
      },
      abort.signal,
    ).catch(() => {});
    await Bun.sleep(120);
    expect(sent).toBe(4 * 65536);
    expect(signals).toEqual(["SIGINT"]);
    abort.abort();
    await calling;
    await Bun.sleep(20);
    expect(aborted).toBe(true);
  });

  test("still on its way when the call ends does not spoil the result", async () => {
    const tail = new Uint8Array(1_000_000).fill(97);
    const path = await start({
      attach: async (session) => {
        for await (const _ of session.stdin) break;
        await session.stdout(tail);
        return { exitCode: 5 };
      },
    });
    for (let round = 0; round < 20; round++) {
      let got = 0;
      const result = await call(path, "attach", attach(), {
        opened: async (input) => {
          for (let n = 0; n < 50; n++) await input.stdin(new Uint8Array(65536));
        },
        stdout: (chunk) => {
          got += chunk.length;
        },
      });
      expect([result.exitCode, got]).toEqual([5, tail.length]);
    }
  });

  test("more than was granted is refused", async () => {
    const path = await start({ attach: () => new Promise(() => {}) });
    const answer = await raw(path, (write) => {
      write(frame.request, { version: 1, call: "attach", request: attach() });
      for (let n = 0; n < 10; n++) write(frame.stdin, new Uint8Array(65536));
    });
    expect(answer).toContain("protocol_error");
  });
});

test("resize, signals and detach reach the handler, also those sent before it listens", async () => {
  const path = await start({
    attach: async (session) => {
      await Bun.sleep(30);
      const seen: unknown[] = [];
      session.onResize((size) => seen.push(size));
      session.onSignal((name) => seen.push(name));
      await new Promise<void>((resolve) => session.onDetach(resolve));
      session.item(seen as never);
      return { exitCode: 0, detached: true };
    },
  });
  let seen: unknown;
  const result = await call(path, "attach", attach(), {
    opened: (input: CallInput) => {
      input.resize({ rows: 1, columns: 2 });
      input.resize({ rows: 24, columns: 80 });
      input.signal("SIGTERM");
      setTimeout(() => {
        input.signal("SIGHUP");
        input.detach();
      }, 60);
    },
    item: (item) => {
      seen = item;
    },
  });
  expect(seen).toEqual([{ rows: 24, columns: 80 }, "SIGTERM", "SIGHUP"]);
  expect(result.detached).toBe(true);
});

describe("back-pressure", () => {
  test("100 MB arrive whole, and a slow client holds the handler back", async () => {
    const size = 100 * 1024 * 1024;
    const chunk = new Uint8Array(256 * 1024);
    let sent = 0;
    const path = await start({
      attach: async (session) => {
        for (; sent < size && !session.signal.aborted; sent += chunk.length) await session.stdout(chunk);
        return { exitCode: 0 };
      },
    });
    let got = 0;
    let furthest = 0;
    await call(path, "attach", attach(), {
      stdout: async (received) => {
        got += received.length;
        furthest = Math.max(furthest, sent - got);
        if (got < 4 * chunk.length) await Bun.sleep(20);
      },
    });
    expect(got).toBe(size);
    expect(furthest).toBeLessThan(4 * 1024 * 1024);
  }, 30_000);

  test("a client that stops reading and goes away frees the handler", async () => {
    const ended = Promise.withResolvers<string>();
    const path = await start({
      attach: async (session) => {
        while (!session.signal.aborted) await session.stdout(new Uint8Array(65536));
        ended.resolve((session.signal.reason as OnggiError).code);
        return { exitCode: 0 };
      },
    });
    const abort = new AbortController();
    const calling = call(path, "attach", attach(), { stdout: () => new Promise(() => {}) }, abort.signal).catch(
      (e: Error) => e.message,
    );
    await Bun.sleep(50);
    abort.abort(new Error("enough"));
    expect(await calling).toBe("enough");
    expect(await ended.promise).toBe("client_gone");
  });
});

/** A connection that says what it likes; resolves with everything the server answered before it closed or 200 ms passed. */
async function raw(path: string, talk: (write: (type: number, value: unknown) => void, bytes: (b: Uint8Array) => void) => void) {
  let answer = "";
  let closed = false;
  let outbox: Outbox | undefined;
  const socket = await Bun.connect({
    unix: path,
    socket: {
      drain: () => outbox?.drained(),
      data: (_, chunk) => {
        answer += chunk.toString();
      },
      close: () => {
        closed = true;
      },
    },
  });
  const out = new Outbox(socket);
  outbox = out;
  talk(
    (type, value) => out.send(value instanceof Uint8Array ? encodeFrame(type, value) : encodeJson(type, value)),
    (b) => out.send(b),
  );
  // the greeting, a frame of 7 bytes, answers nothing
  for (let n = 0; n < 50 && !closed && answer.length <= 7; n++) await Bun.sleep(5);
  socket.terminate();
  return answer;
}

describe("the server", () => {
  test("refuses garbage and goes on", async () => {
    const path = await start({ ping: async () => ({ version: "1", pid: 1 }) });
    expect(await raw(path, (_, send) => send(bytes("GET / HTTP/1.1\r\n\r\n")))).toContain("protocol_error");
    expect(await raw(path, (_, send) => send(new Uint8Array(64).fill(0xff)))).toContain("protocol_error");
    expect(await raw(path, (write) => write(frame.stdin, bytes("x")))).toContain("protocol_error");
    expect(await raw(path, (write) => write(frame.request, bytes("{")))).toContain("protocol_error");
    expect(await raw(path, (write) => write(frame.request, { version: 99, call: "ping", request: {} }))).toContain(
      "version_mismatch",
    );
    expect(await raw(path, (write) => write(frame.request, { version: 1, call: "toString", request: {} }))).toContain(
      "unknown_call",
    );
    expect(await raw(path, (write) => write(frame.request, null))).toContain("version_mismatch");
    expect(await call(path, "ping", {})).toEqual({ version: "1", pid: 1 });
  });

  test("listens with mode 0600, replaces a stale socket, and removes its own when it closes", async () => {
    const path = join(directory, "stale.sock");
    const stale = Bun.listen({ unix: path, socket: { data() {} } });
    await start({ ping: async () => ({ version: "new", pid: 1 }) }, path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect((await call(path, "ping", {})).version).toBe("new");
    await servers.pop()?.close(0);
    expect(existsSync(path)).toBe(false);
    stale.stop(true);
  });

  test("serves many calls at once", async () => {
    const path = await start({
      wait: async ({ request }: Call<"wait">) => {
        await Bun.sleep(20);
        return { exitCode: Number(request.container) };
      },
    });
    const results = await Promise.all(Array.from({ length: 100 }, (_, n) => call(path, "wait", { container: String(n) })));
    expect(results.map((result) => result.exitCode)).toEqual(Array.from({ length: 100 }, (_, n) => n));
  });
});
