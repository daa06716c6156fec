/** Clients that come by ssh: `docker -H ssh://`, and what is behind it, `onggi system dial-stdio`. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { CommandLine } from "../kit/command.ts";
import { dockerClients } from "../kit/docker-api.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { hasSshd, Sshd } from "../kit/sshd.ts";

const clients = dockerClients();
const there = hasSshd();
let engine: Engine;
let sshd: Sshd | undefined;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
  if (there) sshd = await Sshd.start(engine);
}, 120_000);
afterAll(async () => {
  await sshd?.stop();
  await engine.close();
}, 120_000);
afterEach(async () => {
  const all = (await engine.ok(["ps", "-aq"])).split("\n").filter(Boolean);
  if (all.length > 0) await engine.ok(["rm", "-f", ...all]);
});

describe.skipIf(!there).each(clients)("%s -H ssh://", (client) => {
  const docker = (): CommandLine =>
    new CommandLine([client, "-H", "ssh://root@there"], {
      env: { DOCKER_CONFIG: `${engine.base}/docker-config`, PATH: `${sshd!.bin}:${process.env.PATH}` },
    });

  test("run -i: input that ends early, output that comes late, the exit code", async () => {
    const script = "cat; sleep 0.3; echo err >&2; head -c 3000000 /dev/zero; exit 3";
    const { stdout, stderr, code } = await docker().run(["run", "--rm", "-i", "busybox", "sh", "-c", script], {
      stdin: "x".repeat(1_000_000),
    });
    expect([stdout.length, stderr, code]).toEqual([4_000_000, "err\n", 3]);
  });

  test("attach, exec, logs -f", async () => {
    await docker().ok(["run", "-d", "--name", "talks", "busybox", "sh", "-c", "while :; do echo again; sleep 0.05; done"]);
    const calls = [docker().spawn(["attach", "--no-stdin", "talks"]), docker().spawn(["logs", "-f", "talks"])];
    for (const call of calls) await call.until("again\nagain");
    expect(await docker().ok(["exec", "-i", "talks", "cat"], { stdin: "in\n" })).toBe("in");
    await docker().ok(["kill", "talks"]);
    expect(await Promise.all(calls.map(async (call) => (await call.done).code))).toEqual([137, 0]);
  });
});

const ask = (path: string, more = ""): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;

describe("system dial-stdio", () => {
  test("carries requests; the end of its input ends the connection, and that of the connection ends it", async () => {
    const { stdout, code } = await engine.onggi(["system", "dial-stdio"], { stdin: ask("/_ping", "Connection: close\r\n") });
    expect([stdout.endsWith("\r\n\r\nOK"), code]).toEqual([true, 0]);
    const open = engine.spawn(["system", "dial-stdio"]);
    open.process.stdin.write(ask("/_ping", "Connection: close\r\n"));
    open.process.stdin.flush();
    expect((await open.done).stdout).toEndWith("\r\n\r\nOK");
    const idle = await engine.onggi(["system", "dial-stdio"], { stdin: "" });
    expect([idle.stdout, idle.code]).toEqual(["", 0]);
  });

  test("a stream that was taken over goes on when the input has ended", async () => {
    await engine.ok(["create", "-i", "--name", "slow", "busybox", "sh", "-c", "cat; sleep 0.3; echo late"]);
    const upgrade =
      "POST /containers/slow/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    const call = engine.spawn(["system", "dial-stdio"]);
    call.process.stdin.write(`${upgrade}typed\n`);
    call.process.stdin.flush();
    await call.until("101 UPGRADED");
    await engine.ok(["start", "slow"]);
    call.process.stdin.end();
    const { stdout, code } = await call.done;
    expect(stdout).toContain("typed\n");
    expect([stdout.endsWith("late\n"), code]).toEqual([true, 0]);
  });

  test("starts the engine, and finds a socket that is elsewhere", async () => {
    const other = startEngine({ env: { ONGGI_DOCKER_SOCKET: `${engine.base}/elsewhere.sock` } });
    const { stdout } = await other.onggi(["system", "dial-stdio"], { stdin: ask("/_ping", "Connection: close\r\n") });
    expect(stdout).toEndWith("\r\n\r\nOK");
    await other.close();
    const none = startEngine({ env: { ONGGI_DOCKER_SOCKET: "none" } });
    const { stderr, code } = await none.onggi(["system", "dial-stdio"], { stdin: "" });
    expect([stderr, code]).toEqual(["onggi: this engine serves Docker's API on no socket (docker-socket)\n", 125]);
    await none.close();
  });
});

test("nothing is left", () => engine.expectClean());
