import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { POLL } from "../../sys/constants.ts";
import { poll } from "../../sys/io.ts";
import { type HttpServer, serveHttp } from "./server.ts";
import type { HttpAnswer, HttpRequest } from "./types.ts";

const directory = mkdtempSync(`${tmpdir()}/onggi-http-`);
const path = `${directory}/http.sock`;
let server: HttpServer;
const logged: string[] = [];
let stuck: Promise<unknown> = Promise.resolve();
let abortedWith: Promise<unknown> = Promise.resolve();

async function* ticks(): AsyncGenerator<string> {
  yield "one\n";
  await Bun.sleep(5);
  yield "two\n";
}

/** Says `first`, then what it hears, then how much that was. */
const echo = (first: string): HttpAnswer => ({
  status: 101,
  headers: { Connection: "Upgrade", Upgrade: "tcp" },
  hijack: async ({ input, write }) => {
    let length = 0;
    await write(Buffer.from(first));
    for await (const chunk of input) {
      length += chunk.length;
      await write(chunk);
    }
    await write(Buffer.from(`|${length}`));
  },
});

const routes: Record<string, (request: HttpRequest) => HttpAnswer | Promise<HttpAnswer>> = {
  "/ok": () => ({ status: 200, headers: { "X-Split": "a\r\nb" }, body: "OK" }),
  "/none": () => ({ status: 204 }),
  "/echo": async ({ body }) => ({ status: 200, body: await body.bytes(4 * 1024 * 1024) }),
  "/ignored": () => ({ status: 200, body: "not read" }),
  "/stream": () => ({ status: 200, body: ticks() }),
  "/broken": () => ({
    status: 200,
    body: (async function* () {
      yield "half";
      throw new Error("out of order");
    })(),
  }),
  "/throws": () => {
    throw new Error("unforeseen");
  },
  "/wait": ({ signal }) => {
    abortedWith = new Promise((resolve) => signal.addEventListener("abort", () => resolve(signal.reason)));
    return abortedWith.then(() => ({ status: 200, body: "too late" }));
  },
  // what comes is not read, as by a process that reads nothing
  "/stuck": () => ({
    status: 101,
    hijack: async ({ signal }) => {
      stuck = new Promise((resolve) => signal.addEventListener("abort", () => resolve(signal.reason)));
      await stuck;
    },
  }),
  "/raw": () => echo(""),
  "/raw-behind": async ({ body }) => echo(Buffer.from(await body.bytes(100)).toString()),
};

beforeAll(async () => {
  const handler = (request: HttpRequest): HttpAnswer | Promise<HttpAnswer> => routes[request.path]?.(request) ?? { status: 404 };
  server = await serveHttp({
    at: { path, mode: 0o660 },
    handler,
    log: (message) => logged.push(message),
    system: {
      processPeer: () => ({ kind: "process", uid: 0, gids: [] }),
      isHungUp: (fd) => (poll(fd, 0, 0) & POLL.POLLHUP) !== 0,
    },
  });
});

afterAll(async () => {
  await server.close();
  expect(existsSync(path)).toBe(false);
  rmSync(directory, { recursive: true });
});

/** Sends `parts`, ends its side after the last unless told not to, and reads to the end. */
function talk(parts: readonly (string | Uint8Array)[], end = true): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket: Socket = createConnection({ path, allowHalfOpen: true });
    const received: Buffer[] = [];
    socket.on("data", (chunk) => received.push(chunk as Buffer));
    socket.on("end", () => {
      socket.destroy();
      resolve(Buffer.concat(received).toString("latin1"));
    });
    socket.on("error", reject);
    void (async () => {
      for (const part of parts.map((one) => (typeof one === "string" ? Buffer.from(one) : one))) {
        socket.write(part);
        await Bun.sleep(3);
      }
      if (end) socket.end();
    })();
  });
}

const get = (target: string, more = ""): string => `GET ${target} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
const withoutDate = (text: string): string => text.replaceAll(/Date: .*\r\n/g, "");

test("the socket has the permissions asked for", () => {
  expect(statSync(path).mode & 0o777).toBe(0o660);
});

test("requests on one connection are answered in order, however they were cut", async () => {
  const text = get("/ok") + get("/none") + get("/ok", "Connection: close\r\n");
  const expected =
    "HTTP/1.1 200 OK\r\nX-Split: a b\r\nContent-Length: 2\r\n\r\nOK" +
    "HTTP/1.1 204 No Content\r\n\r\n" +
    "HTTP/1.1 200 OK\r\nX-Split: a b\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK";
  expect(withoutDate(await talk([text], false))).toBe(expected);
  expect(withoutDate(await talk([text.slice(0, 20), text.slice(20, 61), text.slice(61)], false))).toBe(expected);
});

test("a HEAD has the length and no body; HTTP/1.0 ends the connection", async () => {
  expect(withoutDate(await talk(["HEAD /ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"], false))).toBe(
    "HTTP/1.1 200 OK\r\nX-Split: a b\r\nContent-Length: 2\r\nConnection: close\r\n\r\n",
  );
  expect(withoutDate(await talk(["GET /stream HTTP/1.0\r\n\r\n"], false))).toEndWith("\r\n\r\none\ntwo\n");
});

test("bodies come counted, in chunks, and after a 100 Continue", async () => {
  const counted = "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
  expect(await talk([counted], false)).toEndWith("\r\n\r\nhello");
  const chunked =
    "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nA: b\r\n\r\n";
  expect(await talk([chunked], false)).toEndWith("\r\n\r\nhello");
  const expecting = "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
  expect(await talk([expecting, "hi"], false)).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nhi$/);
});

test("a large body passes with back-pressure; one above the limit is 413", async () => {
  const bytes = Buffer.alloc(3 * 1024 * 1024, "0123456789");
  const head = (length: number): string =>
    `POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${length}\r\n\r\n`;
  const answer = await talk([head(bytes.length), bytes], false);
  expect(answer.slice(answer.indexOf("\r\n\r\n") + 4)).toBe(bytes.toString());
  expect(await talk([head(8 * 1024 * 1024), Buffer.alloc(5 * 1024 * 1024)], false)).toStartWith("HTTP/1.1 413 ");
});

test("a body that the handler leaves ends the connection, with the answer whole", async () => {
  const answer = await talk([`POST /ignored HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n`, Buffer.alloc(1000)], false);
  expect(answer).toContain("Connection: close\r\n");
  expect(answer).toEndWith("not read");
});

test("a stream goes out in chunks; one that breaks off has no end", async () => {
  expect(await talk([get("/stream", "Connection: close\r\n")], false)).toEndWith("4\r\none\n\r\n4\r\ntwo\n\r\n0\r\n\r\n");
  const broken = await talk([get("/broken")], false);
  expect(broken).toEndWith("4\r\nhalf\r\n");
  expect(logged.some((message) => message.includes("out of order"))).toBe(true);
});

test("what a handler throws is 500 and the connection goes on", async () => {
  expect(await talk([get("/throws") + get("/ok", "Connection: close\r\n")], false)).toMatch(
    /^HTTP\/1\.1 500 [\s\S]*internal error\nHTTP\/1\.1 200 OK/,
  );
});

test("a client that goes away, or ends its side, aborts the request's signal", async () => {
  const socket = createConnection(path);
  socket.write(get("/wait"));
  await Bun.sleep(20);
  socket.destroy();
  expect(String(await abortedWith)).toContain("closed the connection");
  expect(await talk([get("/wait")])).toEndWith("too late");
});

test("a connection that is taken over carries bytes both ways and outlives the client's end", async () => {
  const head = "POST /raw HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
  expect(await talk([`${head}early`, " late"])).toBe(
    "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly late|10",
  );
  const chunked = "POST /raw HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n";
  const rest = "1\r\nc\r\n0\r\n\r\n";
  expect(await talk([chunked, rest], false)).toEndWith("\r\n\r\nabc|3");
  // also where all of it was there before the connection was taken over, and where more comes that nobody asked for
  expect(await talk([chunked + rest], false)).toEndWith("\r\n\r\nabc|3");
  expect(await talk([`${chunked + rest}more`, "and more"])).toEndWith("\r\n\r\nabc|3");
});

test("a connection whose request's body the handler reads is taken over behind that body", async () => {
  const head = "POST /raw-behind HTTP/1.1\r\nHost: x\r\n";
  for (const body of ["Content-Length: 2\r\n\r\n{}", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"]) {
    expect(await talk([`${head}${body}early`, " late"])).toEndWith("\r\n\r\n{}early late|10");
  }
});

test("a stream that was taken over holds a fast sender back", async () => {
  const bytes = Buffer.alloc(2 * 1024 * 1024, "x");
  const head = "POST /raw HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
  const answer = await talk([head, bytes]);
  expect(answer.length).toBe(answer.indexOf("\r\n\r\n") + 4 + bytes.length + `|${bytes.length}`.length);
});

test("a client that leaves while nobody reads what it sends is noticed; one that only ends its side is not", async () => {
  const talking = (): Promise<Socket> =>
    new Promise((resolve) => {
      const socket = createConnection({ path, allowHalfOpen: true });
      socket.on("error", () => {});
      socket.once("data", () => {
        socket.write(Buffer.alloc(2 * 1024 * 1024));
        setTimeout(() => resolve(socket), 50);
      });
      socket.write("POST /stuck HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
    });
  const half = await talking();
  const ofHalf = stuck;
  half.end();
  const leaving = await talking();
  leaving.destroy();
  expect(String(await stuck)).toContain("closed the connection");
  expect(await Promise.race([ofHalf, Bun.sleep(10).then(() => "still there")])).toBe("still there");
  half.destroy();
  await ofHalf;
});

test("what is no HTTP is refused and ends the connection", async () => {
  for (const [text, status] of [
    ["nonsense\r\n\r\n", 400],
    ["GET / HTTP/2.0\r\n\r\n", 505],
    ["GET /ok HTTP/1.1\r\n\r\n", 400],
    [get("/ok", "Content-Length: 1\r\nContent-Length: 1\r\n"), 400],
    [get("/ok", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400],
    [get("/ok", "Transfer-Encoding: gzip, chunked\r\n"), 501],
    [get("/ok", "Expect: much\r\n"), 417],
    [get(`/${"x".repeat(70_000)}`), 431],
    [get("/ok", "A: b\r\n".repeat(200)), 431],
  ] as const) {
    expect(await talk([text], false)).toStartWith(`HTTP/1.1 ${status} `);
  }
});
