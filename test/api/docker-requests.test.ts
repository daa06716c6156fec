/** Requests on the socket itself: what headers say, and that no request, however wrong, is answered with 500 or ends the engine. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Operation } from "../../src/api/docker/operation.ts";
import { operations } from "../../src/api/docker/operations.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
let files: string;
beforeAll(async () => {
  // whatever the names mean, no registry of the world is asked
  files = mkdtempSync(join(tmpdir(), "onggi-requests-"));
  writeFileSync(join(files, "registries.toml"), '[registry."docker.io"]\nlocation = "127.0.0.1:9"\n');
  engine = startEngine({ env: { ONGGI_REGISTRIES: join(files, "registries.toml") } });
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(async () => {
  await engine.close();
  rmSync(files, { recursive: true, force: true });
}, 120_000);
afterEach(async () => {
  const all = (await engine.ok(["ps", "-aq"])).split("\n").filter(Boolean);
  if (all.length > 0) await engine.ok(["rm", "-f", ...all]);
});

const ask = (method: string, path: string, body?: string | object, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`http://docker${path}`, {
    method,
    unix: `${engine.run}/docker.sock`,
    signal: AbortSignal.timeout(20_000),
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    headers: { ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
  });

async function create(config: object): Promise<string> {
  const answer = await ask("POST", "/containers/create", { Image: "busybox", Cmd: ["sleep", "1000"], ...config });
  expect(answer.status).toBe(201);
  return ((await answer.json()) as { Id: string }).Id;
}

test("_ping names the versions", async () => {
  for (const method of ["GET", "HEAD"]) {
    const answer = await ask(method, "/_ping");
    expect(await answer.text()).toBe(method === "GET" ? "OK" : "");
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      "api-version": "1.54",
      ostype: "linux",
      "docker-experimental": "false",
      swarm: "inactive",
      "cache-control": "no-cache, no-store, must-revalidate",
      "content-length": "2",
    });
  }
});

test("states that are as asked for already are 304, those that cannot be are 409", async () => {
  const id = await create({});
  expect((await ask("POST", `/containers/${id}/kill`)).status).toBe(409);
  expect((await ask("POST", `/containers/${id}/stop`)).status).toBe(304);
  expect((await ask("POST", `/containers/${id}/start`)).status).toBe(204);
  expect((await ask("POST", `/containers/${id}/start`)).status).toBe(304);
  expect((await ask("POST", `/containers/${id}/unpause`)).status).toBe(409);
  expect((await ask("DELETE", `/containers/${id}`)).status).toBe(409);
  expect((await ask("POST", `/containers/create?name=${id.slice(0, 5)}x`, { Image: "busybox" })).status).toBe(201);
  expect((await ask("POST", `/containers/create?name=${id.slice(0, 5)}x`, { Image: "busybox" })).status).toBe(409);
  expect((await ask("POST", "/containers/create", { Image: "nothing:here" })).status).toBe(404);
  expect((await ask("DELETE", `/containers/${id}?force=1`)).status).toBe(204);
  expect((await ask("GET", `/containers/${id}/json`)).status).toBe(404);
});

test("there is no swarm", async () => {
  for (const path of ["/swarm", "/nodes", "/services/x", "/tasks", "/secrets", "/configs"]) {
    const answer = await ask("GET", path);
    expect([path, answer.status]).toEqual([path, 503]);
    expect(((await answer.json()) as { message: string }).message).toStartWith("This node is not a swarm manager.");
  }
  expect(await (await ask("GET", "/plugins")).json()).toEqual([]);
});

test("wait sends its head at once and its answer at the end", async () => {
  const id = await create({ Cmd: ["sh", "-c", "exit 9"] });
  const waiting = await ask("POST", `/containers/${id}/wait?condition=next-exit`);
  expect(waiting.status).toBe(200);
  await ask("POST", `/containers/${id}/start`);
  expect(await waiting.json()).toEqual({ StatusCode: 9, Error: null });
  expect((await ask("POST", `/containers/${id}/wait?condition=whenever`)).status).toBe(400);
});

test("streams are called multiplexed from 1.42 on, those of terminals raw", async () => {
  const plain = await create({ Cmd: ["sh", "-c", "echo a; echo b >&2"] });
  await ask("POST", `/containers/${plain}/start`);
  await (await ask("POST", `/containers/${plain}/wait`)).text();
  const typeOf = async (version: string, id: string) => {
    const answer = await ask("GET", `/v${version}/containers/${id}/logs?stdout=1&stderr=1`);
    return [answer.headers.get("content-type"), new Uint8Array(await answer.arrayBuffer())] as const;
  };
  const [type, bytes] = await typeOf("1.42", plain);
  expect(type).toBe("application/vnd.docker.multiplexed-stream");
  const frames = [Buffer.from([1, 0, 0, 0, 0, 0, 0, 2, 97, 10]), Buffer.from([2, 0, 0, 0, 0, 0, 0, 2, 98, 10])];
  expect([Buffer.concat(frames).toString("hex"), Buffer.concat(frames.reverse()).toString("hex")]).toContain(
    Buffer.from(bytes).toString("hex"),
  );
  expect((await typeOf("1.41", plain))[0]).toBe("application/vnd.docker.raw-stream");
  const terminal = await create({ Cmd: ["echo", "a"], Tty: true });
  await ask("POST", `/containers/${terminal}/start`);
  await (await ask("POST", `/containers/${terminal}/wait`)).text();
  expect((await typeOf("1.42", terminal))[0]).toBe("application/vnd.docker.raw-stream");
});

/** What frames of standard output carry. */
function textOfFrames(bytes: Buffer): string {
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    expect(bytes.subarray(at, at + 4)).toEqual(Buffer.from([1, 0, 0, 0]));
    const length = bytes.readUInt32BE(at + 4);
    text += bytes.toString("utf8", at + 8, at + 8 + length);
    at += 8 + length;
  }
  return text;
}

test("attach without an upgrade is 200, then bytes both ways; the client's end is the process's", async () => {
  const id = await create({ Cmd: ["sh", "-c", "cat; echo end"], OpenStdin: true, StdinOnce: true });
  const received: Buffer[] = [];
  const socket = createConnection({ path: `${engine.run}/docker.sock`, allowHalfOpen: true });
  const closed = new Promise<void>((resolve) => socket.on("end", resolve));
  socket.on("data", (chunk) => received.push(Buffer.from(chunk)));
  socket.write(`POST /containers/${id}/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n`);
  while (received.length === 0) await Bun.sleep(5);
  expect(Buffer.concat(received).toString()).toStartWith("HTTP/1.1 200 OK\r\n");
  expect((await ask("POST", `/containers/${id}/start`)).status).toBe(204);
  socket.end("typed\n");
  await closed;
  socket.destroy();
  const all = Buffer.concat(received);
  expect(textOfFrames(all.subarray(all.indexOf("\r\n\r\n") + 4))).toBe("typed\nend\n");
});

test("stats of a container that runs have two looks, of one that does not none", async () => {
  const id = await create({});
  const still = (await (await ask("GET", `/containers/${id}/stats?stream=0`)).json()) as { read: string; cpu_stats: object };
  expect(still.read).toBe("0001-01-01T00:00:00Z");
  await ask("POST", `/containers/${id}/start`);
  type Stats = { preread: string; precpu_stats: { system_cpu_usage?: number }; memory_stats: { usage: number } };
  const two = (await (await ask("GET", `/containers/${id}/stats?stream=0`)).json()) as Stats;
  expect(two.precpu_stats.system_cpu_usage).toBeGreaterThan(0);
  const one = (await (await ask("GET", `/containers/${id}/stats?stream=0&one-shot=1`)).json()) as Stats;
  expect(one.preread).toBe("0001-01-01T00:00:00Z");
});

test("events have the old fields before 1.52 alone, and a moment that is exact", async () => {
  const id = await create({ Labels: { a: "b" } });
  // what has happened in this millisecond, too
  const now = Date.now() / 1000 + 0.002;
  const read = async (version: string) => {
    const filters = encodeURIComponent(JSON.stringify({ container: { [id]: true } }));
    const text = await (await ask("GET", `/v${version}/events?since=${now - 60}&until=${now}&filters=${filters}`)).text();
    expect(text).toMatch(/"timeNano":\d{19}\}\n$/);
    return JSON.parse(text.split("\n")[0]!);
  };
  const common = {
    Type: "container",
    Action: "create",
    scope: "local",
    Actor: { ID: id, Attributes: { a: "b", image: "busybox" } },
  };
  expect(await read("1.51")).toMatchObject({ ...common, status: "create", id, from: "busybox" });
  const newer = await read("1.52");
  expect(newer).toMatchObject(common);
  expect(newer.status).toBeUndefined();
});

test("a client that leaves in the middle of anything changes nothing", async () => {
  const id = await create({});
  await ask("POST", `/containers/${id}/start`);
  for (const path of [`/containers/${id}/wait`, `/containers/${id}/attach?stream=1&stdout=1`, `/containers/${id}/stop?t=0`]) {
    const socket = createConnection({ path: `${engine.run}/docker.sock` });
    socket.write(`POST ${path} HTTP/1.1\r\nHost: d\r\n\r\n`);
    await Bun.sleep(20);
    socket.destroy();
  }
  expect((await ask("GET", "/_ping")).status).toBe(200);
});

/** Values of every kind, for every field: what an operation asks for, and what it does not. */
const wrong: readonly unknown[] = [
  null,
  true,
  -1,
  1.5,
  1e300,
  "",
  "\u0000",
  "../..",
  [],
  [null],
  [[]],
  {},
  { a: null },
  { "": {} },
];
/** One of `of` of them, another one for each `index`. */
const someWrong = (index: number, of: number): unknown[] => wrong.filter((_, at) => (at + index) % of === 0);

type Document = { readonly properties?: Readonly<Record<string, Document>> };

/** Every field, and those of the objects among them. */
const bodies = ({ properties = {} }: Document): string[] => [
  ...["", "{", "[]", "null", "1", '"x"', '{"__proto__":1}', "\u0000"],
  ...Object.entries(properties).flatMap(([field, inner], index) => [
    ...someWrong(index, 2).map((value) => bodyOf({ [field]: value })),
    ...Object.keys(inner.properties ?? {}).flatMap((name, at) =>
      someWrong(at, 4).map((value) => bodyOf({ [field]: { [name]: value } })),
    ),
  ]),
];
const bodyOf = (fields: object): string => JSON.stringify({ Image: "busybox", Cmd: ["true"], ...fields });
const queries = [
  "",
  "?",
  "?%zz",
  "?filters=%7B",
  "?filters=%7B%22nothing%22%3A%5B%22x%22%5D%7D",
  "?h=x&w=-1&t=x&limit=x&n=x",
  "?since=x&until=x",
];

/** Requests to an operation: of a container that is there with every wrong body and query, of others with a few. */
function* requestsOf({ method, path, body }: Operation, id: string): Generator<{ target: string; body: string | undefined }> {
  for (const name of [id, "nothing", "%00", "..%2f..", "a%20b"]) {
    const at = path.replaceAll(/\{\w+(\.\.\.)?\}/g, name);
    const few = method === "GET" || method === "HEAD" ? [undefined] : [undefined, "{"];
    const all = body && name === id ? bodies(body.document) : few;
    for (const one of all) yield { target: at, body: one };
    for (const query of name === id ? queries : ["?x=y"]) for (const one of few) yield { target: at + query, body: one };
  }
}

// an answer without an end is none of these
const endless = ["SystemEvents", "ContainerStats", "ContainerAttach", "ContainerWait", "ContainerExport"];

test("no request, however wrong, is answered with 500 or ends the engine", async () => {
  const unexpected: string[] = [];
  for (const operation of operations.filter((one) => !endless.includes(one.id))) {
    const id = await create({ StopSignal: "KILL" });
    for (const { target, body } of requestsOf(operation, id)) {
      const answer = await ask(operation.method, target, body);
      const text = await answer.text();
      const made = answer.status === 201 && operation.id === "ContainerCreate";
      if (made) await ask("DELETE", `/containers/${JSON.parse(text).Id}?force=1&v=1`);
      const shaped = answer.status < 400 || operation.method === "HEAD" || typeof JSON.parse(text).message === "string";
      // what is not served, and what others are to blame for, is said beforehand
      const foreseen = answer.status < 500 || answer.status in operation.answers;
      if (!foreseen || !shaped) unexpected.push(`${operation.method} ${target} ${body}: ${answer.status} ${text}`);
    }
  }
  expect(unexpected.slice(0, 20)).toEqual([]);
  expect((await ask("GET", "/_ping")).status).toBe(200);
}, 300_000);

test("nothing is left", () => engine.expectClean());
