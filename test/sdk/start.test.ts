/** What a container starts with, when it is ready, and what does not wait for ever. By Bun, from source, against the engine that is built. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type Container,
  connect,
  type Engine,
  exit,
  http,
  isOnggiError,
  log,
  type Readiness,
  type ReadyContainer,
  type RunOptions,
} from "../../src/sdk/index.ts";
import { type Engine as PrivateEngine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox, sh } from "../kit/images.ts";

let host: PrivateEngine;
let engine: Engine;
let jar: Container;

const run = (script: string, options?: RunOptions): Promise<Container> => engine.run("busybox", ["sh", "-c", script], options);

beforeAll(async () => {
  host = startEngine();
  await bootstrapBusybox(host);
  engine = await connect({ run: host.run, root: host.root, start: false });
  jar = await run("sleep inf");
});

afterAll(async () => {
  await engine.release();
  await host.expectClean();
  await host.close();
});

const codeOf = (promise: PromiseLike<unknown>): PromiseLike<string> =>
  promise.then(
    () => "none",
    (error: unknown) => (isOnggiError(error) ? error.code : String(error)),
  );

test.concurrent("files are there before it starts", async () => {
  const site = join(host.base, "site");
  mkdirSync(site);
  writeFileSync(join(site, "index.html"), "clay\n");
  await using web = await run("cat /etc/app/app.conf; stat -c '%a %u' /key; exec httpd -f -p 80 -h /srv/site", {
    ports: [80],
    files: {
      "/etc/app/app.conf": "glaze = blue\n",
      "/key": { data: new Uint8Array(3), mode: 0o600, uid: 7 },
      "/srv/site": { source: site },
    },
    waitFor: http("/", { port: 80, body: (text) => text === "clay\n" }),
  });
  expect(await web.logs().text()).toBe("glaze = blue\n600 7\n");
});

test.concurrent("what cannot be put into it leaves no container", async () => {
  const missing = { "/srv": { source: "/nowhere/at/all" } };
  expect(await codeOf(engine.run("busybox", ["true"], { name: "hollow", files: missing }))).toBe("path_not_found");
  expect(await codeOf(engine.containers.create("busybox", [], { name: "hollow", files: missing }))).toBe("path_not_found");
  expect(await engine.containers.list({ all: true, filters: { name: "hollow" } })).toEqual([]);
});

test.concurrent("a variable that is undefined is none; limits of resources", async () => {
  await using one = await run("env | grep NOTHING || echo $SOME; ulimit -Sn; ulimit -Hn", {
    env: { NOTHING: undefined, SOME: "clay" },
    ulimits: { nofile: { soft: 100, hard: 200 } },
    waitFor: exit(),
  });
  expect(await one.logs().text()).toBe("clay\n100\n200\n");
  const written = join(host.base, "one.log");
  await writeFile(written, one.logs().stream());
  expect(readFileSync(written, "utf8")).toBe("clay\n100\n200\n");
});

test.concurrent("ready again after a restart is not what it said before", async () => {
  await using slow = await run("[ -e /again ] && sleep 0.7; touch /again; echo ready; sleep inf", { waitFor: log("ready") });
  const since = new Date();
  await slow.restart({ timeout: 0 });
  await slow.waitFor(log("ready"), { since });
  expect((await slow.logs().text()).match(/ready/g)?.length).toBe(2);
});

test.concurrent("an answer without an end is an answer", async () => {
  const page = "HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\n\\r\\n";
  await using events = await run(`while :; do (printf '${page}'; sleep inf) | nc -l -p 80; done`, {
    ports: [80],
    waitFor: http("/", { port: 80 }),
    timeout: "10s",
  });
  expect((await events.inspect()).status).toBe("running");
});

test.concurrent("a certificate of its own making is taken where that is said, and no proxy is asked", async () => {
  const [key, cert] = ["key.pem", "cert.pem"].map((name) => join(host.base, name)) as [string, string];
  const subject = ["-subj", "/CN=kiln", "-days", "2"];
  sh(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, ...subject]);
  using server = Bun.serve({ port: 0, tls: { key: Bun.file(key), cert: Bun.file(cert) }, fetch: () => new Response("warm") });
  const there = { address: async () => ({ host: "127.0.0.1", port: server.port }) } as unknown as ReadyContainer;
  const options = { port: 443, protocol: "https", body: (text: string) => text === "warm" } as const;
  const notes: string[] = [];
  const waiting = () => ({ signal: AbortSignal.timeout(300), note: (why: string) => void notes.push(why) });
  process.env.https_proxy = "http://127.0.0.1:9";
  try {
    await http("/", { ...options, insecure: true }).wait(there, waiting());
    expect(notes).toEqual(["it answered 200"]);
    expect(await codeOf(http("/", options).wait(there, waiting()))).toContain("Timeout");
    expect(notes.at(1)).toMatch(/certificate|self.signed/i);
  } finally {
    delete process.env.https_proxy;
  }
});

test.concurrent("what is no readiness, and no list of words, is told before anything is made", async () => {
  const wrong = "ready" as unknown as Readiness;
  expect(await codeOf(run("true", { name: "wrong", waitFor: wrong }))).toBe("invalid_option");
  expect(await codeOf(jar.exec("ls" as unknown as string[]))).toBe("invalid_option");
  expect(await engine.containers.list({ all: true, filters: { name: "wrong" } })).toEqual([]);
});

test.concurrent("what takes time is a promise like any other, and its steps", async () => {
  const pulling = engine.images.pull("127.0.0.1:1/clay");
  expect(await pulling.catch((error: { code: string }) => error.code)).toBe("registry_unreachable");
  expect(await codeOf(pulling[Symbol.asyncIterator]().next())).toBe("registry_unreachable");
});

test.concurrent("a command that ends does not wait for the rest of its input", async () => {
  async function* stuck() {
    yield "clay and more\n";
    await new Promise(() => {});
  }
  expect((await jar.exec(["head", "-c", "4"], { input: stuck() })).stdout).toBe("clay");
});

test.concurrent("a file does not take a directory's place", async () => {
  expect(await codeOf(jar.files.write("/etc", "gone"))).toBe("is_a_directory");
  expect(await codeOf(jar.files.copyIn("/etc/hostname", "/bin"))).toBe("is_a_directory");
  expect((await jar.files.stat("/etc")).type).toBe("directory");
  await jar.files.copyOut("/etc/passwd", join(host.base, "far/away/passwd"));
  expect(readFileSync(join(host.base, "far/away/passwd"), "utf8")).toContain("root");
});

test.concurrent("forks and commits of one container at the same time have its files of one moment", async () => {
  // the second file is never more than one behind the first; one that is being written is empty
  const script = "i=0; while :; do i=$((i+1)); echo $i > /one; echo $i > /two; [ $i -eq 5 ] && echo on; done";
  await using busy = await run(script, { waitFor: log("on") });
  const forks = await Promise.all(Array.from({ length: 6 }, () => busy.fork(1, { start: false })));
  for (const [fork] of forks) {
    const [one = 0, two = 0] = await Promise.all(["/one", "/two"].map(async (path) => Number(await fork?.files.readText(path))));
    expect(one === 0 || two === 0 || one - two === 0 || one - two === 1).toBe(true);
  }
  await Promise.all(forks.map((made) => made[Symbol.asyncDispose]()));
});

test("an engine that stands still does not hold back who gives up", async () => {
  const pid = await host.pid();
  const signal = AbortSignal.timeout(100);
  process.kill(pid, "SIGSTOP");
  try {
    const asked = [jar.inspect({ signal }), jar.exec(["true"], { signal }), run("true", { signal, name: "given-up" })];
    expect(await Promise.all(asked.map(codeOf))).toEqual(asked.map(() => expect.stringContaining("TimeoutError")));
  } finally {
    process.kill(pid, "SIGCONT");
  }
  const late = () => engine.containers.list({ all: true, filters: { name: "given-up" } });
  while ((await late()).length > 0) await Bun.sleep(20);
});
