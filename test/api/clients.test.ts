/**
 * Many clients of docker.sock, as consoles and dashboards are: they stream, poll, leave in the middle, do not read. The engine answers
 * right, holds little, and has what it had when they have gone.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createConnection, type Socket } from "node:net";
import Docker from "dockerode";
import { askDocker } from "../kit/docker-api.ts";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { HostileRegistry } from "../kit/hostile.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { descriptorCount, residentBytes } from "../kit/leaks.ts";

const COUNT = 10;

let engine: Engine;
let docker: Docker;
let pid: number;
let ids: string[];
/** Before any client. */
let quiet: number;

beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
  docker = new Docker({ socketPath: `${engine.run}/docker.sock` });
  const script = "i=0; while true; do i=$((i+1)); echo line $i; sleep 0.02; done";
  ids = await Promise.all(
    Array.from({ length: COUNT }, (_, index) =>
      engine.ok(["run", "-d", "--name", `chatty${index}`, "--network", "none", "busybox", "sh", "-c", script]),
    ),
  );
  pid = await engine.pid();
  await Bun.sleep(300);
  quiet = descriptorCount(pid);
}, 120_000);
afterAll(() => engine.close(), 120_000);

const resident = (): number => residentBytes(pid) / 2 ** 20;

/** What some of what clients want makes once, and keeps: a watch of the kernel's, an HTTP client. */
const MADE_ONCE = 8;

/** What all of them held is let go of: descriptors are what they were. */
const allGone = (): Promise<void> =>
  eventually("the clients' descriptors are closed", () => descriptorCount(pid) <= quiet + MADE_ONCE, 20);

/** A connection on which a request has been sent. Nothing is read of it until its data are listened to. */
function request(head: string, body = ""): Socket {
  const socket = createConnection({ path: `${engine.run}/docker.sock` });
  socket.on("error", () => {});
  socket.write(`${head} HTTP/1.1\r\nHost: docker\r\n${body === "" ? "" : `Content-Length: ${body.length}\r\n`}\r\n${body}`);
  return socket;
}

const firstByte = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once("data", () => resolve()));

test("twenty consoles stream logs and stats of every container; some leave, some do not read", async () => {
  const seen = { logs: 0, stats: 0, wrong: [] as string[] };
  const streams: { destroy(): void }[] = [];
  for (let client = 0; client < 20; client++) {
    for (const id of ids) {
      const container = docker.getContainer(id);
      const logs = (await container.logs({ follow: true, stdout: true, stderr: true, tail: 1 })) as unknown as Socket;
      const stats = (await container.stats({ stream: true })) as unknown as Socket;
      streams.push(logs, stats);
      if (client % 4 === 3) continue;
      logs.on("data", (chunk: Buffer) => {
        seen.logs++;
        if (chunk[0] !== 1 || !chunk.includes("line ")) seen.wrong.push(chunk.toString());
      });
      let text = "";
      stats.on("data", (chunk: Buffer) => {
        text += chunk;
        const lines = text.split("\n");
        text = lines.pop()!;
        for (const line of lines) {
          const sample = JSON.parse(line);
          seen.stats++;
          if (sample.id !== id || !(sample.memory_stats.usage > 0)) seen.wrong.push(line);
        }
      });
    }
  }
  const before = seen.stats;
  // a third of them vanish, without a word
  for (const stream of streams.filter((_, index) => index % 3 === 0)) stream.destroy();
  await eventually("the others hear on", () => seen.stats > before + 200 && seen.logs > 1000, 30);
  expect(seen.wrong.slice(0, 3)).toEqual([]);
  expect(resident()).toBeLessThan(300);
  for (const stream of streams) stream.destroy();
  await allGone();
}, 120_000);

test("a poller that asks for everything ten times a second is answered right", async () => {
  const events = (await docker.getEvents()) as unknown as Socket;
  events.resume();
  for (let round = 0; round < 8; round++) {
    const list = await docker.listContainers({ all: true });
    expect(new Set(list.map(({ Id }) => Id))).toEqual(new Set(ids));
    await Promise.all(
      list.map(async ({ Id }) => {
        const container = docker.getContainer(Id);
        const [{ State }, stats] = await Promise.all([
          container.inspect(),
          container.stats({ stream: false, "one-shot": true } as never),
        ]);
        expect(State.Running).toBe(true);
        expect((stats as unknown as { id: string }).id).toBe(Id);
      }),
    );
    await Bun.sleep(100);
  }
  events.destroy();
  await allGone();
}, 60_000);

test("five hundred connections at once are answered", async () => {
  const answers = await Promise.all(
    Array.from({ length: 500 }, async () => {
      const socket = request("GET /containers/json");
      let text = "";
      for await (const chunk of socket) {
        text += chunk;
        if (text.endsWith("]\n")) break;
      }
      return text.slice(0, 15);
    }),
  );
  expect(new Set(answers)).toEqual(new Set(["HTTP/1.1 200 OK"]));
  await allGone();
}, 60_000);

test("half a head, half a body, and nothing more", async () => {
  const partial = Array.from({ length: 100 }, (_, index) => {
    const socket = createConnection({ path: `${engine.run}/docker.sock` });
    socket.on("error", () => {});
    socket.write(
      index % 2 === 0
        ? "POST /containers/create HTT"
        : "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{",
    );
    return socket;
  });
  expect((await askDocker(engine, "GET", "/_ping").catch(() => ({ status: 200 }))).status).toBe(200);
  for (const socket of partial) socket.destroy();
  await allGone();
  expect((await askDocker<object[]>(engine, "GET", "/containers/json?all=1")).value.length).toBe(COUNT);
}, 60_000);

test("who does not read is waited for, and costs little", async () => {
  const lines = await engine.ok([
    "run",
    "-d",
    "--network",
    "none",
    "busybox",
    "sh",
    "-c",
    "yes $(head -c 900 /dev/zero | tr '\\0' x) | head -c 60000000; sleep 1000",
  ]);
  await eventually("it has written", async () => (await engine.onggi(["logs", "--tail", "1", lines])).stdout.length > 800, 30);
  const before = resident();
  const stuck = [
    ...Array.from({ length: 20 }, () => request(`GET /containers/${lines}/logs?stdout=1&follow=1`)),
    ...Array.from({ length: 5 }, () => request("GET /images/busybox/get")),
    ...Array.from({ length: 5 }, () => request(`GET /containers/${lines}/export`)),
    ...Array.from({ length: 5 }, () => request(`GET /containers/${lines}/archive?path=/bin`)),
  ];
  for (const socket of stuck) socket.pause();
  await Bun.sleep(1500);
  expect(resident() - before).toBeLessThan(120);
  // one of them reads on, and has all of it
  const [reader] = stuck;
  let length = 0;
  reader!.on("data", (chunk: Buffer) => {
    length += chunk.length;
  });
  reader!.resume();
  await eventually("all of it has come", () => length > 60_000_000, 60);
  for (const socket of stuck) socket.destroy();
  await engine.ok(["rm", "-f", lines]);
  await allGone();
}, 120_000);

test("clients vanish in the middle of attaching, executing, saving, pulling", async () => {
  const registry = await HostileRegistry.start();
  const endless = async function* () {
    for (;;) {
      yield Buffer.alloc(65536);
      await Bun.sleep(5);
    }
  };
  const layer = registry.blob("a/b", "x", "application/vnd.oci.image.layer.v1.tar", { body: endless, length: 1e9 });
  const config = registry.blob(
    "a/b",
    JSON.stringify({ architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [layer.digest] } }),
    "application/vnd.oci.image.config.v1+json",
  );
  registry.document("a/b", "1", {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config,
    layers: [{ ...layer, size: 1e9 }],
  });
  const shell = await engine.ok(["run", "-d", "-i", "--network", "none", "busybox", "cat"]);
  for (let round = 0; round < 5; round++) {
    const exec = (
      await askDocker<{ Id: string }>(engine, "POST", `/containers/${shell}/exec`, {
        AttachStdout: true,
        AttachStdin: true,
        Cmd: ["cat"],
      })
    ).value.Id;
    const connections = [
      request(`POST /containers/${shell}/attach?stream=1&stdin=1&stdout=1`),
      request(`POST /exec/${exec}/start`, "{}"),
      request("GET /images/busybox/get"),
      request(`POST /images/create?fromImage=${encodeURIComponent(`${registry.domain}/a/b`)}&tag=1`),
      request(`GET /containers/${shell}/stats`),
      request(`GET /containers/${shell}/logs?follow=1&stdout=1`),
      request("GET /events"),
      request(`POST /containers/${shell}/wait`),
    ];
    await Promise.all(connections.slice(0, 3).map(firstByte));
    await Bun.sleep(30);
    for (const socket of connections) socket.destroy();
  }
  await eventually("nobody pulls any more", () => registry.connections === 0);
  await registry.close();
  // it has not noticed: its input is open, and it answers
  const { stdout } = await engine.onggi(["exec", shell, "echo", "alive"]);
  expect(stdout).toBe("alive\n");
  await engine.ok(["rm", "-f", shell]);
  await allGone();
}, 120_000);

test("every listener hears of every container", async () => {
  const filters = encodeURIComponent(JSON.stringify({ type: ["container"], event: ["create", "start", "die", "destroy"] }));
  const heard = Array.from({ length: 20 }, (): string[] => []);
  const listeners = await Promise.all(
    heard.map(async (lines) => {
      const socket = request(`GET /v1.43/events?filters=${filters}`);
      await firstByte(socket);
      let text = "";
      socket.on("data", (chunk: Buffer) => {
        text += chunk;
        lines.push(...[...text.matchAll(/"status":"(\w+)","id":"(\w+)"/g)].map(([, action, id]) => `${id} ${action}`));
        text = text.slice(text.lastIndexOf("\n") + 1);
      });
      return socket;
    }),
  );
  const run = () => engine.ok(["run", "--rm", "--network", "none", "busybox", "true"]);
  for (let round = 0; round < 5; round++) await Promise.all(Array.from({ length: 8 }, run));
  await eventually("all has come", () => heard.every((lines) => lines.length >= 160));
  for (const lines of heard) {
    expect(lines).toEqual(heard[0]!);
    const byContainer = Map.groupBy(lines, (line) => line.split(" ")[0]);
    expect(byContainer.size).toBe(40);
    for (const [id, told] of byContainer)
      expect(told).toEqual(["create", "start", "die", "destroy"].map((action) => `${id} ${action}`));
  }
  for (const socket of listeners) socket.destroy();
  await allGone();
}, 120_000);

test("nothing is left", () => engine.expectClean());
