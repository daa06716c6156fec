/** Attaching over a WebSocket, and leaving by keys that the engine watches for. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { createConnection } from "node:net";
import { askDocker, refusalOf } from "../kit/docker-api.ts";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(() => engine.close(), 120_000);
afterEach(async () => {
  const all = (await engine.ok(["ps", "-aq"])).split("\n").filter(Boolean);
  if (all.length > 0) await engine.ok(["rm", "-f", ...all]);
});

interface Talk {
  readonly socket: WebSocket;
  text(): string;
  until(wanted: string): Promise<void>;
  /** Code of the close. */
  readonly closed: Promise<number>;
}

/** A WebSocket that is open. */
async function attach(container: string, query: string): Promise<Talk> {
  const socket = new WebSocket(`ws+unix://${engine.run}/docker.sock:/v1.41/containers/${container}/attach/ws?${query}`);
  socket.binaryType = "arraybuffer";
  let text = "";
  const kinds = new Set<string>();
  socket.onmessage = ({ data }) => {
    kinds.add(typeof data);
    text += new TextDecoder().decode(data as ArrayBuffer);
  };
  const closed = new Promise<number>((resolve) => {
    socket.onclose = ({ code }) => resolve(code);
  });
  await new Promise<void>((resolve, reject) => {
    socket.onopen = () => resolve();
    socket.onerror = () => reject(new Error("no WebSocket"));
  });
  const until = (wanted: string) =>
    eventually(`the socket says ${wanted}`, () => {
      expect([...kinds]).not.toContain("string");
      return text.includes(wanted);
    });
  return { socket, text: () => text, until, closed };
}

const isRunning = async (name: string): Promise<boolean> =>
  (await engine.ok(["inspect", "-f", "{{.State.Running}}", name])) === "true";

test("input, output and errors, the log before; the end of the container closes it", async () => {
  const script = "echo before; while read line; do echo got $line; echo err >&2; [ $line = end ] && exit; done";
  await engine.ok(["run", "-d", "-i", "--name", "talks", "busybox", "sh", "-c", script]);
  await eventually("it has begun", async () => (await engine.ok(["logs", "talks"])) === "before");
  const one = await attach("talks", "stream=1&stdin=1&stdout=1&stderr=1&logs=1");
  const other = await attach("talks", "stream=1&stdout=1");
  await one.until("before\n");
  one.socket.send("hello\n");
  one.socket.send(new TextEncoder().encode("end\n"));
  expect(await one.closed).toBe(1000);
  expect(await other.closed).toBe(1000);
  expect(one.text()).toContain("got hello\n");
  expect(one.text()).toContain("err\n");
  expect(other.text()).toBe("got hello\ngot end\n");
});

test("a megabyte each way; a client that closes leaves the container running", async () => {
  await engine.ok(["run", "-d", "-i", "--name", "cat", "busybox", "cat"]);
  const talk = await attach("cat", "stream=1&stdin=1&stdout=1");
  const line = `${"x".repeat(1023)}\n`;
  for (let count = 0; count < 1024; count++) talk.socket.send(line);
  await eventually("all of it has come back", () => talk.text().length === 1024 * 1024);
  talk.socket.close(1000);
  expect(await talk.closed).toBe(1000);
  expect(await isRunning("cat")).toBe(true);
  const again = await attach("cat", "stream=1&stdin=1&stdout=1");
  again.socket.send("still\n");
  await again.until("still\n");
  again.socket.close();
});

test("of a terminal the keys leave it: Docker's, those that were asked for, and no others", async () => {
  await engine.ok(["run", "-d", "-i", "-t", "--name", "tty", "busybox", "cat"]);
  const usual = await attach("tty", "stream=1&stdin=1&stdout=1");
  usual.socket.send("a\x10");
  usual.socket.send("\x11behind");
  expect(await usual.closed).toBe(1000);
  const asked = await attach("tty", `stream=1&stdin=1&stdout=1&detachKeys=${encodeURIComponent("ctrl-x,y")}`);
  asked.socket.send("\x10\x11b\n");
  await asked.until("b");
  asked.socket.send("\x18y");
  expect(await asked.closed).toBe(1000);
  expect(await isRunning("tty")).toBe(true);
  expect(await refusalOf(engine, "POST", "/containers/tty/attach?stream=1&detachKeys=ctrl-xx")).toEqual([
    400,
    "Invalid detach keys (ctrl-xx) provided",
  ]);
});

/** What a raw connection gives for a request and what is typed behind its answer. */
const typed = (request: string, keys: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = createConnection(`${engine.run}/docker.sock`, () => socket.write(request));
    let text = "";
    socket.once("data", () => socket.write(keys, "latin1"));
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
    });
    socket.on("end", () => resolve(text));
    socket.on("error", reject);
  });

const upgrade = (path: string, body = ""): string =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

test("the keys leave an exec, which runs on, and an attached container", async () => {
  await engine.ok(["run", "-d", "-i", "-t", "--name", "tty", "busybox", "cat"]);
  const create = (keys: string) =>
    askDocker<{ Id: string; message: string }>(engine, "POST", "/containers/tty/exec", {
      ...{ Cmd: ["cat"], Tty: true, AttachStdin: true, AttachStdout: true, DetachKeys: keys },
    });
  const { value } = await create("ctrl-e,e");
  expect(await typed(upgrade(`/exec/${value.Id}/start`, "{}"), "\x05e")).toContain("101 UPGRADED");
  const exec = await askDocker<{ Running: boolean; DetachKeys: string }>(engine, "GET", `/exec/${value.Id}/json`);
  expect(exec.value).toMatchObject({ Running: true, DetachKeys: "ctrl-e,e" });
  const refused = await create("nonsense");
  expect([refused.status, refused.value.message]).toEqual([400, "Invalid escape keys (nonsense) provided"]);
  await typed(upgrade("/containers/tty/attach?stream=1&stdin=1&stdout=1"), "\x10\x11");
  expect(await isRunning("tty")).toBe(true);
});

test("what is no WebSocket is refused; frames that are none end it with 1002; a client that vanishes is let go", async () => {
  await engine.ok(["run", "-d", "-i", "--name", "cat", "busybox", "cat"]);
  const path = "/containers/cat/attach/ws?stream=1&stdin=1&stdout=1";
  expect(await refusalOf(engine, "GET", path)).toEqual([400, expect.stringContaining("not a WebSocket")]);
  expect(await refusalOf(engine, "GET", "/containers/none/attach/ws")).toEqual([404, "No such container: none"]);
  const head = `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n`;
  const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  const answer = await typed(`${head}${key}`, "\x82\x01x");
  expect(answer).toContain("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
  expect(Buffer.from(answer, "latin1").includes(Buffer.from([0x03, 0xea]))).toBe(true);
  const gone = await attach("cat", "stream=1&stdin=1&stdout=1");
  gone.socket.terminate();
  const next = await attach("cat", "stream=1&stdin=1&stdout=1");
  next.socket.ping();
  next.socket.send("on\n");
  await next.until("on\n");
  next.socket.close();
});

test("nothing is left", () => engine.expectClean());
