/** Logs that are passed on: to syslog and the journal, by whichever engine there is. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { createSocket } from "node:dgram";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { close, isErrno, openDir, recvFds, SOCK, unixListen } from "../../src/sys/index.ts";
import { Authority } from "../kit/authority.ts";
import { type Engine, eventually, gone, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

const sockets = mkdtempSync(join(tmpdir(), "onggi-log-"));
const journal = join(sockets, "journal");
let engine: Engine;
beforeAll(async () => {
  engine = startEngine({ env: { ONGGI_JOURNAL_SOCKET: journal } });
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(async () => {
  await engine.close();
  rmSync(sockets, { recursive: true });
}, 120_000);
afterEach(async () => {
  const all = (await engine.ok(["ps", "-aq"])).split("\n").filter(Boolean);
  if (all.length > 0) await engine.ok(["rm", "-f", ...all]);
});

/** A unix datagram socket; `take` gives what has come. */
function datagrams(name: string): { take: () => string[]; close: () => void } {
  const directory = openDir(sockets);
  const fd = unixListen(directory, name, 0, { type: SOCK.SOCK_DGRAM, nonblock: true });
  close(directory);
  return {
    take: () => {
      const messages: string[] = [];
      for (;;) {
        try {
          messages.push(Buffer.from(recvFds(fd, 65536).data).toString("latin1"));
        } catch (error) {
          if (isErrno(error, "EAGAIN")) return messages;
          throw error;
        }
      }
    },
    close: () => {
      close(fd);
      rmSync(join(sockets, name));
    },
  };
}

const run = (name: string, script: string, ...flags: string[]) =>
  engine.ok(["run", "-d", "--name", name, ...flags, "busybox", "sh", "-c", script]);

describe("syslog", () => {
  test("over udp, with tag and severity; the log is kept, too", async () => {
    const server = createSocket("udp4");
    const got: string[] = [];
    server.on("message", (data) => got.push(data.toString()));
    await new Promise<void>((resolve) => server.bind(0, "127.0.0.1", resolve));
    const address = `syslog-address=udp://127.0.0.1:${server.address().port}`;
    const options = ["--log-opt", address, "--log-opt", "tag={{.Name}}/{{.ImageName}}", "--log-opt", "syslog-format=rfc5424"];
    await run("talks", "echo out; echo err >&2", "--log-driver", "syslog", ...options, "--log-opt", "syslog-facility=local1");
    await eventually("two came", () => got.length === 2);
    const texts = got.map((message) => message.replace(/^(<\d+>1) \S+ \S+ (\S+) \d+ \S+ - /, "$1 $2 "));
    expect(texts.sort()).toEqual(["<139>1 talks/busybox err\n", "<142>1 talks/busybox out\n"]);
    expect((await engine.ok(["logs", "talks"])).split("\n").sort()).toEqual(["out"]);
    const { HostConfig } = (await engine.inspect("talks")) as unknown as {
      HostConfig: { LogConfig: { Type: string; Config: object } };
    };
    expect(HostConfig.LogConfig).toMatchObject({ Type: "syslog", Config: { "syslog-facility": "local1" } });
    server.close();
  });

  test("over tcp: a server that comes later gets everything, also what was written while there was no engine", async () => {
    const probe = createServer();
    await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
    const { port } = probe.address() as { port: number };
    await new Promise((resolve) => probe.close(resolve));
    const script = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo line $i; sleep 0.005; done";
    await run("late", script, "--log-driver", "syslog", "--log-opt", `syslog-address=tcp://127.0.0.1:${port}`);
    const { Pid } = (await engine.inspect("late")).State;
    await engine.murder();
    await gone(Pid, 30);
    let got = "";
    const clients = new Set<Socket>();
    const server = createServer((socket) => {
      clients.add(socket);
      socket.on("data", (data) => {
        got += data.toString();
      });
      socket.on("error", () => {});
    });
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    await engine.ok(["ps"]);
    await eventually("the last one came", () => got.includes("line 300\n"), 30);
    const numbers = [...got.matchAll(/: line (\d+)\n/g)].map((match) => Number(match[1]));
    expect(numbers).toEqual(Array.from({ length: 300 }, (_, index) => index + 1));
    // the next engine knows that all of it is sent
    const before = got.length;
    await engine.murder();
    await engine.ok(["ps"]);
    await Bun.sleep(500);
    expect(got.length).toBe(before);
    for (const client of clients) client.destroy();
    server.close();
  }, 60_000);

  test("over TLS: to whom the authority knows, with the length before each message, again after a break", async () => {
    const authority = new Authority(sockets);
    authority.sign("server.", "/CN=logs", "subjectAltName=IP:127.0.0.1");
    const [cert, key] = ["crt", "key"].map((name) => readFileSync(join(sockets, `server.${name}`)));
    let got = "";
    const clients: Socket[] = [];
    const server = createTlsServer({ cert, key }, (socket) => {
      clients.push(socket);
      socket.on("data", (data) => {
        got += data.toString();
      });
      socket.on("error", () => {});
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = `syslog-address=tcp+tls://127.0.0.1:${(server.address() as { port: number }).port}`;
    const flags = ["--log-driver", "syslog", "--log-opt", address, "--log-opt", "syslog-format=rfc5424"];
    await run(
      "secret",
      "echo one; while [ ! -e /go ]; do sleep 0.05; done; echo two",
      ...flags,
      "--log-opt",
      `syslog-tls-ca-cert=${authority.ca}`,
    );
    await run("stranger", "echo never", ...flags);
    await eventually("it came", () => got.includes(" one\n"));
    const [, length, message] = /^(\d+) (.*)$/s.exec(got) ?? [];
    expect(message).toHaveLength(Number(length));
    for (const client of clients) client.destroy();
    await Bun.sleep(200);
    await engine.onggi(["exec", "secret", "touch", "/go"]);
    await eventually("the next came by another connection", () => got.includes(" two\n"));
    expect(got).not.toContain("never");
    server.close();
  });

  test("over a unix socket; of one that removes itself, too", async () => {
    const log = datagrams("syslog");
    const flags = ["--log-driver", "syslog", "--log-opt", `syslog-address=unixgram://${join(sockets, "syslog")}`];
    expect((await engine.onggi(["run", "--rm", ...flags, "busybox", "echo", "bye"])).stdout).toBe("bye\n");
    const got: string[] = [];
    await eventually("it came", () => got.push(...log.take()) > 0);
    expect(got).toHaveLength(1);
    expect(got[0]).toMatch(/^<30>... .. ..:..:.. [0-9a-f]{12}\[\d+\]: bye\n$/);
    // and what it wrote when there was no engine
    const id = await engine.ok(["run", "-d", "--rm", ...flags, "busybox", "sh", "-c", "sleep 1; echo alone"]);
    const { Pid } = (await engine.inspect(id)).State;
    await engine.murder();
    await gone(Pid);
    await engine.ok(["ps"]);
    expect(log.take().join("")).toMatch(/: alone\n$/);
    log.close();
  });
});

test("the journal gets Docker's fields, labels and variables", async () => {
  const log = datagrams("journal");
  const flags = ["--log-driver", "journald", "--log-opt", "labels=com.example.app", "--log-opt", "env=MODE"];
  const id = await run("noted", "echo one; sleep 0.2; echo two >&2", ...flags, "-l", "com.example.app=shop", "-e", "MODE=test");
  const got: string[] = [];
  await eventually("two came", () => got.push(...log.take()) >= 2);
  for (const field of [
    `CONTAINER_ID_FULL=${id}`,
    "CONTAINER_NAME=noted",
    "IMAGE_NAME=busybox",
    "COM_EXAMPLE_APP=shop",
    "MODE=test",
    "PRIORITY=6",
  ])
    expect(got[0]).toContain(`${field}\n`);
  expect(got[0]).toContain("MESSAGE=one\n");
  expect(got[1]).toContain("PRIORITY=3\n");
  expect(got[1]).toContain("MESSAGE=two\n");
  expect(await engine.ok(["logs", "--details", "noted"])).toContain("MODE=test,com.example.app=shop one");
  log.close();
});

describe("logs that stay", () => {
  test("are bounded whatever the driver, and told as they were asked for", async () => {
    const config = async (...flags: string[]) => {
      const id = await engine.ok(["create", ...flags, "busybox", "true"]);
      const { HostConfig } = (await engine.inspect(id)) as unknown as {
        HostConfig: { LogConfig: { Type: string; Config: Record<string, string> } };
      };
      return HostConfig.LogConfig;
    };
    expect(await config("--log-driver", "local")).toMatchObject({ Type: "local", Config: { "max-file": "3" } });
    expect(await config("--log-opt", "max-size=1m")).toEqual({
      Type: "json-file",
      Config: { "max-size": "1m", "max-file": "1" },
    });
    const refused = (await engine.onggi(["create", "--log-opt", "colour=red", "busybox", "true"])).stderr;
    expect(refused).toContain("unknown log opt 'colour' for json-file log driver");
  });

  test("logs --clear empties it, rotated files too, while it is written and followed", async () => {
    const script = "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo line $i; [ $i -gt 300 ] && sleep 0.02; done; echo the end";
    await run("wordy", script, "--log-opt", "max-size=10k", "--log-opt", "max-file=3");
    await eventually("it was rotated", async () => Number(/line (\d+)/.exec(await engine.ok(["logs", "wordy"]))?.[1]) > 1);
    const follower = engine.spawn(["logs", "-f", "wordy"]);
    await engine.ok(["logs", "--clear", "wordy"]);
    expect(Number(/line (\d+)/.exec(await engine.ok(["logs", "wordy"]))?.[1] ?? 1000)).toBeGreaterThan(250);
    await engine.onggi(["exec", "wordy", "touch", "/stop"]);
    await follower.done;
    expect(follower.output()).toEndWith("the end\n");
    expect(await engine.ok(["logs", "-n", "1", "wordy"])).toBe("the end");
  });
});

test("compress: what was rotated is compressed while it is written, and nothing is lost or told twice", async () => {
  const script = "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo line $i; [ $((i % 20)) = 0 ] && sleep 0.05; done; sleep 3";
  await run("packed", script, "--log-opt", "max-size=20k", "--log-opt", "max-file=30", "--log-opt", "compress=true");
  const follower = engine.spawn(["logs", "-f", "packed"]);
  await follower.done;
  const all = Array.from({ length: 2000 }, (_, index) => `line ${index + 1}\n`).join("");
  expect(follower.output()).toBe(all);
  expect(`${await engine.ok(["logs", "packed"])}\n`).toBe(all);
  const { LogPath } = await engine.inspect("packed");
  const magic = Array.from({ length: 5 }, (_, index) =>
    readFileSync(`${LogPath}.${index + 2}`)
      .subarray(0, 2)
      .toString("hex"),
  );
  expect(magic).toEqual(Array(5).fill("1f8b"));
}, 60_000);
