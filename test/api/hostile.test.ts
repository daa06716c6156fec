/** Wrong requests to every operation, of things that are there: refused with 4xx in Docker's form, and the engine lives on. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createConnection } from "node:net";
import type { Operation, Tag } from "../../src/api/docker/operation.ts";
import { operations } from "../../src/api/docker/operations.ts";
import { askDocker } from "../kit/docker-api.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { residentBytes } from "../kit/leaks.ts";

let engine: Engine;
/** What operations of a group find under their name. */
const there: Partial<Record<Tag, string>> = { Image: "busybox", Distribution: "busybox" };

beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
  there.Container = await engine.ok(["create", "busybox", "true"]);
  there.Network = await engine.ok(["network", "create", "hostile"]);
  there.Volume = await engine.ok(["volume", "create", "hostile"]);
}, 120_000);
afterAll(() => engine.close(), 120_000);

type Body = string | Uint8Array<ArrayBuffer>;

interface Answer {
  readonly status: number;
  readonly text: string;
}

async function send(method: string, path: string, body?: Body): Promise<Answer> {
  const answer = await fetch(`http://docker${path}`, {
    method,
    unix: `${engine.run}/docker.sock`,
    signal: AbortSignal.timeout(20_000),
    ...(body === undefined ? {} : { body, headers: { "Content-Type": "application/json" } }),
  });
  return { status: answer.status, text: await answer.text() };
}

const targetOf = ({ path, tag }: Operation, name = there[tag] ?? "nothing"): string =>
  path.replaceAll(/\{\w+(\.\.\.)?\}/g, encodeURIComponent(name));

/** 4xx (or what the operation always says, as of swarms) with a message; behind a head that was sent, Docker's error of a stream. */
function isRefused(operation: Operation, { status, text }: Answer): boolean {
  try {
    if (status < 400) return typeof JSON.parse(text.trimEnd().split("\n").at(-1)!).errorDetail.message === "string";
    return (status < 500 || status in operation.answers) && typeof JSON.parse(text).message === "string";
  } catch {
    return false;
  }
}

/** Sends all, and gives those that were not refused. */
async function accepted(requests: Iterable<{ operation: Operation; path: string; body?: Body }>): Promise<string[]> {
  const found: string[] = [];
  for (const { operation, path, body } of requests) {
    const answer = await send(operation.method, path, body);
    if (!isRefused(operation, answer))
      found.push(`${operation.method} ${path} ${String(body).slice(0, 100)}: ${answer.status} ${answer.text.slice(0, 200)}`);
  }
  return found;
}

const withBody = operations.filter(({ body }) => body !== undefined);

test("a body that is none", async () => {
  const bodies = ["{", "[]", "1", '"x"', "\u0000", "{} {}", `{"a":${"[".repeat(100_000)}`];
  const requests = withBody.flatMap((operation) => bodies.map((body) => ({ operation, path: targetOf(operation), body })));
  expect(await accepted(requests)).toEqual([]);
}, 60_000);

test("a body of 20 MB", async () => {
  const body = new TextEncoder().encode(JSON.stringify({ Name: "x".repeat(20_000_000) }));
  expect(await accepted(withBody.map((operation) => ({ operation, path: targetOf(operation), body })))).toEqual([]);
}, 120_000);

/** The status line's number for a request whose body is a hundred megabytes of zeros, sent for as long as it is taken. */
function sendMuch(method: string, path: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const socket = createConnection({ path: `${engine.run}/docker.sock` });
  const piece = Buffer.alloc(1_000_000);
  let left = 100;
  const go = (): void => {
    while (left > 0 && !socket.destroyed) {
      left--;
      if (!socket.write(piece)) return;
    }
  };
  let text = "";
  socket.on("drain", go);
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
    const [, status] = /^HTTP\/1\.1 (\d{3}) .*\r\n/.exec(text) ?? [];
    if (status === undefined) return;
    resolve(Number(status));
    socket.destroy();
  });
  socket.on("error", reject);
  socket.on("close", () => reject(new Error(`${method} ${path}: closed without an answer`)));
  socket.write(`${method} ${path} HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\n\r\n`);
  go();
  return promise;
}

test("a body of 100 MB, for every operation", async () => {
  // of nothing that is there, and without prunes: what takes no body would do what it is asked for
  const before = residentBytes(await engine.pid());
  for (const operation of operations.filter(({ id }) => id !== "SystemEvents" && !id.endsWith("Prune"))) {
    const status = await sendMuch(operation.method, targetOf(operation, "nothing"));
    const known = status < 500 || status in operation.answers;
    expect([operation.id, known && status !== 201, status]).toEqual([operation.id, true, status]);
  }
  expect(residentBytes(await engine.pid()) - before).toBeLessThan(300e6);
}, 120_000);

test("fields that nobody knows change nothing", async () => {
  const more = JSON.stringify({ Unknown: { a: [1, null] }, "": 1, constructor: "x" });
  for (const operation of withBody) {
    const path = targetOf(operation, "nothing");
    expect([operation.id, (await send(operation.method, path, more)).status]).toEqual([
      operation.id,
      (await send(operation.method, path, "{}")).status,
    ]);
  }
}, 60_000);

type Document = { readonly type?: string; readonly items?: Document; readonly properties?: Readonly<Record<string, Document>> };

/** Values that a field of this shape cannot have. */
const wrongFor = ({ type }: Document): unknown[] => {
  const values: Record<string, unknown> = { string: "x", boolean: true, integer: 1.5, array: [1], object: { x: [{}] } };
  if (type === undefined) return [];
  return Object.entries(values).flatMap(([kind, value]) =>
    kind === type || (type === "number" && kind === "integer") ? [] : [value],
  );
};

/** Bodies with one field of a wrong type each, at whatever depth. */
function wrongFields({ properties = {} }: Document): object[] {
  return Object.entries(properties).flatMap(([name, inner]) => [
    ...wrongFor(inner).map((value) => ({ [name]: value })),
    ...wrongFields(inner).map((value) => ({ [name]: value })),
    ...(inner.items
      ? [
          ...wrongFor(inner.items).map((value) => ({ [name]: [value] })),
          ...wrongFields(inner.items).map((value) => ({ [name]: [value] })),
        ]
      : []),
  ]);
}

test("a field of a wrong type, everywhere", async () => {
  const requests = withBody.flatMap((operation) =>
    wrongFields(operation.body?.document as Document).map((body) => ({
      operation,
      path: targetOf(operation),
      body: JSON.stringify(body),
    })),
  );
  expect(requests.length).toBeGreaterThan(withBody.length);
  expect(await accepted(requests)).toEqual([]);
}, 120_000);

test("filters that are none", async () => {
  const wrong = ["{", "[]", "1", '"x"', '{"label":1}', '{"label":{"a":1}}', '{"label":[1]}', '{"label":["a"],"name":{"b":true}}'];
  const filtered = operations.filter(({ query }) => query && "filters" in query);
  const unknown = JSON.stringify({ nothing: ["x"], __proto__: ["x"] });
  // events pass keys they do not know over, and do not end; of the others there is nothing, whatever is asked
  const lenient = ["SystemEvents", "PluginList", "BuildPrune"];
  const strict = filtered.filter(({ id }) => !lenient.includes(id));
  const requestOf = (operation: Operation, filters: string) => ({
    operation,
    path: `${targetOf(operation)}?filters=${encodeURIComponent(filters)}`,
  });
  const malformed = filtered.flatMap((operation) => wrong.map((filters) => requestOf(operation, filters)));
  expect(await accepted([...malformed, ...strict.map((operation) => requestOf(operation, unknown))])).toEqual([]);
}, 60_000);

test("names that are nobody's, or cannot be", async () => {
  const named = operations.filter(({ path }) => path.includes("{"));
  const names = ["nothing", "..", "a b", "%", "\u0000", "x".repeat(5000), "__proto__", "'; drop table containers; --"];
  const requests = named.flatMap((operation) => names.map((name) => ({ operation, path: targetOf(operation, name) })));
  // an answer to HEAD has no message
  expect(await accepted(requests.filter(({ operation }) => operation.method !== "HEAD"))).toEqual([]);
}, 120_000);

test("an id that begins two", async () => {
  const shared = async (tag: Tag, make: (index: number) => Promise<string>): Promise<void> => {
    const seen = new Set<string>();
    for (let index = 0; ; index++) {
      const first = (await make(index))[0]!;
      if (seen.has(first)) {
        const mine = operations.filter((one) => one.tag === tag && one.path.includes("{") && one.method !== "HEAD");
        const requests = mine.map((operation) => ({
          operation,
          path: targetOf(operation, first),
          ...(operation.body ? { body: '{"Container":"nothing","Cmd":["true"]}' } : {}),
        }));
        expect(await accepted(requests)).toEqual([]);
        return;
      }
      seen.add(first);
    }
  };
  await shared("Image", (index) =>
    engine.ok(["commit", "-m", String(index), there.Container!]).then((id) => id.replace("sha256:", "")),
  );
  await shared("Container", () => engine.ok(["create", "busybox", "true"]));
  await shared("Network", (index) => engine.ok(["network", "create", "--internal", `twin${index}`]));
}, 120_000);

test("the engine lives, and has what it had", async () => {
  expect((await askDocker(engine, "GET", "/info")).status).toBe(200);
  expect((await askDocker<{ Id: string }>(engine, "GET", "/networks/hostile")).value.Id).toBe(there.Network!);
  expect((await askDocker(engine, "GET", "/volumes/hostile")).status).toBe(200);
  expect((await askDocker(engine, "GET", `/containers/${there.Container}/json`)).status).toBe(200);
  const containers = (await engine.ok(["ps", "-aq"])).split("\n");
  await engine.ok(["rm", "-f", ...containers]);
  await engine.ok(["network", "prune", "-f"]);
  await engine.ok(["volume", "prune", "-a", "-f"]);
  await engine.expectClean();
}, 60_000);
