/** Docker's API on TCP: who comes in, and that streams are what they are on a socket. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync } from "node:fs";
import { createConnection } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { Authority, must } from "../kit/authority.ts";
import { CommandLine } from "../kit/command.ts";
import { dockerClients } from "../kit/docker-api.ts";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { freePort } from "../kit/registry.ts";

const clients = dockerClients();
let engine: Engine;
let port: number;
const at = (name: string): string => `${engine.base}/${name}`;
const log = (): string => readFileSync(`${engine.root}/engine.log`, "utf8");
/** Sends one byte of a handshake and waits until it is cut off. */
let slow: Promise<void>;

beforeAll(async () => {
  engine = startEngine();
  for (const name of ["ours", "theirs"]) mkdirSync(at(name));
  const [ours, theirs] = [new Authority(at("ours")), new Authority(at("theirs"))];
  ours.sign("server.", "/CN=engine", "subjectAltName=IP:127.0.0.1");
  ours.sign("good.", "/CN=ann", "extendedKeyUsage=clientAuth");
  ours.sign("expired.", "/CN=ann", "extendedKeyUsage=clientAuth", -1);
  ours.sign("server-only.", "/CN=ann", "extendedKeyUsage=serverAuth");
  theirs.sign("good.", "/CN=ann", "extendedKeyUsage=clientAuth");
  port = await freePort();
  const tls = ["--tlscacert", "ours/ca.crt", "--tlscert", "ours/server.crt", "--tlskey", "ours/server.key"];
  await engine.ok(["engine", "start", "--docker-host", `tcp://127.0.0.1:${port}`, ...tls]);
  slow = new Promise((resolve) => {
    const socket = createConnection({ port, host: "127.0.0.1" }, () => socket.write("\x16"));
    socket.on("error", () => {});
    socket.on("close", () => resolve());
  });
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(() => engine.close(), 120_000);
afterEach(async () => {
  const all = (await engine.ok(["ps", "-aq"])).split("\n").filter(Boolean);
  if (all.length > 0) await engine.ok(["rm", "-f", ...all]);
});

/** The flags of Docker's command line for a certificate of `ours` or `theirs`. */
const flags = (who: string): string[] => [
  ...["--tlsverify", "--tlscacert", at("ours/ca.crt"), "--tlscert", at(`${who}.crt`), "--tlskey", at(`${who}.key`)],
  ...["-H", `tcp://127.0.0.1:${port}`],
];
const dockerAs = (client: string, who: string): CommandLine =>
  new CommandLine([client, ...flags(who)], { env: { DOCKER_CONFIG: at("docker-config") } });

/** A client of the port with the good certificate, once it may speak. */
const secure = (): Promise<TLSSocket> =>
  new Promise((resolve, reject) => {
    const [ca, cert, key] = ["ca.crt", "good.crt", "good.key"].map((name) => readFileSync(at(`ours/${name}`)));
    const socket = connectTls({ port, host: "127.0.0.1", ca: ca!, cert: cert!, key: key! }, () => resolve(socket));
    socket.on("error", reject);
  });

const answerOn = (socket: TLSSocket, request: string): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("end", () => resolve(text));
    socket.on("error", reject);
    socket.write(request);
  });

describe.each(clients)("%s", (client) => {
  test("run -i: input that ends early, output that comes late, the exit code", async () => {
    const docker = dockerAs(client, "ours/good");
    const script = "cat; sleep 0.3; echo err >&2; head -c 3000000 /dev/zero; exit 3";
    const { stdout, stderr, code } = await docker.run(["run", "--rm", "-i", "busybox", "sh", "-c", script], {
      stdin: "x".repeat(1_000_000),
    });
    expect([stdout.length, stderr, code]).toEqual([4_000_000, "err\n", 3]);
    await docker.ok(["create", "-i", "--name", "cat", "busybox", "cat"]);
    expect(await docker.ok(["start", "-ai", "cat"], { stdin: "typed\n" })).toBe("typed");
  });

  test("attach and exec", async () => {
    const docker = dockerAs(client, "ours/good");
    await docker.ok(["run", "-d", "--name", "talks", "busybox", "sh", "-c", "while :; do echo again; sleep 0.05; done"]);
    const call = docker.spawn(["attach", "--no-stdin", "talks"]);
    await call.until("again\nagain");
    expect(await docker.ok(["exec", "-i", "talks", "cat"], { stdin: "in\n" })).toBe("in");
    const terminal = docker.terminal(["exec", "-it", "talks", "sh"]);
    await terminal.until("/ # ");
    terminal.write("exit 6\n");
    expect(await terminal.done).toBe(6);
    await docker.ok(["kill", "talks"]);
    expect((await call.done).code).toBe(137);
  });

  test("whoever has no certificate of that authority for clients, valid now, gets nowhere", async () => {
    for (const who of ["theirs/good", "ours/expired", "ours/server-only"]) {
      const { stdout, stderr, code } = await dockerAs(client, who).run(["ps"]);
      expect([stdout, code]).toEqual(["", 1]);
      expect(stderr).toMatch(/error during connect|reset by peer|EOF|broken pipe/);
    }
    const without = new CommandLine([client, "-H", `tcp://127.0.0.1:${port}`], { env: { DOCKER_CONFIG: at("docker-config") } });
    expect((await without.run(["ps"])).code).toBe(1);
  });
});

test("without a certificate the handshake itself fails; the log says who and why", async () => {
  const curl = (...words: string[]) => Bun.spawnSync(["curl", "-sS", "-m", "5", ...words], { stdout: "pipe", stderr: "pipe" });
  const bare = curl("--cacert", at("ours/ca.crt"), `https://127.0.0.1:${port}/_ping`);
  expect([bare.stdout.toString(), bare.exitCode === 0]).toEqual(["", false]);
  expect(curl(`http://127.0.0.1:${port}/_ping`).stdout.toString()).toBe("");
  const old = curl("--tls-max", "1.1", "--cacert", at("ours/ca.crt"), `https://127.0.0.1:${port}/_ping`);
  expect(old.exitCode).not.toBe(0);
  await eventually("the log tells of a handshake", () => /TLS handshake with 127\.0\.0\.1(?: \(and \d+ more\))?: \S/.test(log()));
});

test("500 at once, and clients that end their side or vanish", async () => {
  const sockets = await Promise.all(Array.from({ length: 500 }, secure));
  const ping = "GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const answers = await Promise.all(sockets.map((socket) => answerOn(socket, ping)));
  expect(answers.filter((text) => text.endsWith("\r\n\r\nOK")).length).toBe(500);
  const [ending, vanishing] = [await secure(), await secure()];
  const ended = new Promise((resolve) => ending.on("close", resolve));
  ending.resume();
  ending.end("GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
  vanishing.write("GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
  await new Promise((resolve) => vanishing.once("data", resolve));
  vanishing.destroy();
  await ended;
  const pid = await engine.pid();
  const open = (): number => Number(must(["sh", "-c", `ls -l /proc/${pid}/fd | grep -c socket`]));
  await eventually("their sockets are closed", () => open() < 20);
});

test("what does not fit together is refused before anything is started", async () => {
  const other = startEngine();
  const host = ["engine", "start", "--docker-host", `tcp://127.0.0.1:${port}`];
  const files = (key: string) => ["--tlscacert", at("ours/ca.crt"), "--tlscert", at("ours/server.crt"), "--tlskey", at(key)];
  const bare = await other.onggi(host);
  expect([bare.code, bare.stderr]).toEqual([1, expect.stringContaining("on TCP clients must have certificates")]);
  const mixed = await other.onggi([...host, ...files("ours/good.key")]);
  expect([mixed.code, mixed.stderr]).toEqual([1, expect.stringContaining("good.key with tlscert")]);
  const taken = await other.onggi([...host, ...files("ours/server.key")]);
  expect([taken.code, taken.stderr]).toEqual([
    1,
    expect.stringContaining(`tcp://127.0.0.1:${port} cannot be listened at: EADDRINUSE`),
  ]);
  await other.close();
});

test("a handshake that never ends is cut off", () => slow, 30_000);
