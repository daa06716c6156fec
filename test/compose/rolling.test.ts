/** `compose up --rolling`: a client that asks in a loop, from outside and from inside, loses no answer. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
let cwd = "";
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
  cwd = join(engine.base, "roll");
  mkdirSync(cwd);
}, 120_000);
afterAll(() => engine.close(), 120_000);

const write = (version: string, healthy = true) =>
  writeFileSync(
    join(cwd, "compose.yaml"),
    `services:
  web:
    image: busybox
    init: true
    command: ["sh", "-c", "mkdir /www; echo ${version} > /www/index.html; exec httpd -f -p 80 -h /www"]
    ports: ["80"]
    healthcheck: { test: ["CMD", "sh", "-c", "${healthy ? "wget -qO- 127.0.0.1" : "false"}"], interval: 100ms, retries: 2 }
    deploy: { update_config: { order: start-first } }
  client:
    image: busybox
    command: ["sh", "-c", "while :; do wget -qO- http://web/ || echo lost; done"]
    depends_on: { web: { condition: service_healthy } }
    stop_grace_period: 0s
`,
  );
const compose = (...words: string[]) => engine.onggi(["compose", ...words], { cwd, timeout: 60_000 });
const address = async () => (await compose("port", "web", "80")).stdout.trim().replace("0.0.0.0", "127.0.0.1");

test("both versions answer one after the other, and every request is answered", async () => {
  write("one");
  expect((await compose("up", "-d")).code).toBe(0);
  const url = `http://${await address()}/`;
  const answers: string[] = [];
  /** To what was asked when the new one had answered already. */
  const late: string[] = [];
  let asks = true;
  const ask = async (): Promise<void> => {
    while (asks) {
      const isLate = answers.includes("two");
      const answer = await fetch(url, { headers: { connection: "close" } })
        .then((response) => response.text())
        .then((text) => text.trim())
        .catch((error: Error) => `lost: ${error.message}`);
      answers.push(answer);
      if (isLate) late.push(answer);
    }
  };
  const clients = [ask(), ask()];
  await eventually("answers come", () => answers.length > 20);
  const before = (await engine.inspect("roll-web-1")).Id;
  write("two");
  const up = await compose("up", "-d");
  await eventually("the new one answers", () => answers.at(-1) === "two");
  asks = false;
  await Promise.all(clients);
  expect([up.code, up.stderr]).toEqual([0, expect.stringContaining("Container roll-web-1  Recreated")]);
  expect(answers.filter((answer) => answer !== "one" && answer !== "two")).toEqual([]);
  // once the new one answers, the old one does no more
  expect(late.filter((answer) => answer !== "two")).toEqual([]);
  expect(`http://${await address()}/`).toBe(url);
  expect((await engine.inspect("roll-web-1")).Id).not.toBe(before);
  await eventually(
    "the client inside hears the new one",
    async () => (await compose("logs", "--no-log-prefix", "-n", "1", "client")).stdout.trim() === "two",
  );
  expect((await compose("logs", "--no-log-prefix", "client")).stdout).not.toContain("lost");
}, 120_000);

test("an engine that is killed when the new one has taken over: up keeps that, and the old one goes", async () => {
  write("killed");
  const url = `http://${await address()}/`;
  const up = engine.spawn(["compose", "up", "-d"], { cwd, timeout: 60_000 });
  await eventually("the new one answers", async () => (await fetch(url).then((response) => response.text())).trim() === "killed");
  await engine.murder();
  await up.done;
  expect((await fetch(url).then((response) => response.text())).trim()).toBe("killed");
  expect((await compose("up", "-d")).code).toBe(0);
  expect((await fetch(url).then((response) => response.text())).trim()).toBe("killed");
  expect((await compose("ps", "-a", "--format", "{{.Name}} {{.State}}")).stdout).toBe(
    "roll-client-1 running\nroll-web-1 running\n",
  );
}, 120_000);

test("a new one that is not healthy is removed, the old one stays; an engine that is killed then keeps the ports", async () => {
  const before = (await engine.inspect("roll-web-1")).Id;
  write("three", false);
  const up = await compose("up", "-d");
  expect([up.code, up.stderr]).toEqual([1, expect.stringContaining("the old one stays")]);
  expect((await engine.inspect("roll-web-1")).Id).toBe(before);
  await engine.murder();
  const url = `http://${await address()}/`;
  expect((await (await fetch(url)).text()).trim()).toBe("killed");
  expect((await compose("ps", "-a", "--format", "{{.Name}} {{.State}}")).stdout).toBe(
    "roll-client-1 running\nroll-web-1 running\n",
  );
  expect((await compose("down", "-t", "0")).code).toBe(0);
  expect(await engine.ok(["ps", "-aq"])).toBe("");
}, 120_000);
