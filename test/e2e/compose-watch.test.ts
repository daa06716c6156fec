/** `onggi compose watch` and `up --watch`: files here and in containers, and what happens when they change. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RunningCall } from "../kit/command.ts";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
let directory: string;
let watching: RunningCall;

const at = (path: string): string => join(directory, path);
const compose = (...words: string[]): string[] => ["compose", "-f", at("compose.yaml"), ...words];
const inside = async (service: string, script: string): Promise<string> =>
  (await engine.onggi(["exec", `watched-${service}-1`, "sh", "-c", script])).stdout;

const becomes = (service: string, script: string, answer: string): Promise<void> =>
  eventually(`${script} in ${service} says ${answer}`, async () => (await inside(service, script)) === answer);

beforeAll(async () => {
  engine = startEngine();
  directory = mkdtempSync(join(tmpdir(), "onggi-watch-"));
  await bootstrapBusybox(engine);
  mkdirSync(at("src/deep"), { recursive: true });
  mkdirSync(at("conf"));
  writeFileSync(at("src/old"), "old");
  writeFileSync(at("src/deep/file"), "deep");
  writeFileSync(at("src/skipped.log"), "log");
  writeFileSync(at("conf/one.conf"), "1");
  writeFileSync(at("single"), "single");
  writeFileSync(
    at("compose.yaml"),
    `name: watched
x-common: &common {image: busybox, command: sleep 1000, init: true, stop_grace_period: 0s}
services:
  web:
    <<: *common
    scale: 2
    develop:
      watch:
        - {path: src, action: sync, target: /srv/app, ignore: ["*.log"], initial_sync: true}
        - {path: conf, action: sync+exec, target: /conf, include: "*.conf", exec: {command: sh -c 'cat /conf/*.conf >> /tmp/execs'}}
        - {path: single, action: sync, target: /one/file}
  other:
    <<: *common
    command: sh -c "echo begun >> /begun; sleep 1000"
    develop:
      watch:
        - {path: restart, action: restart}
        - {path: conf, action: sync+restart, target: /conf}
        - {path: build, action: rebuild}
`,
  );
  for (const name of ["restart", "build"]) writeFileSync(at(name), "");
  watching = engine.spawn(compose("watch"), { timeout: 120_000 });
  await eventually("it watches", () => watching.errors().includes("Watch enabled"), 30);
}, 60_000);

afterAll(async () => {
  watching?.process.kill("SIGINT");
  expect((await watching.done).code).toBe(130);
  await engine.ok(compose("down", "-t", "0"));
  rmSync(directory, { recursive: true, force: true });
  await engine.close();
}, 60_000);

test("what is there is brought in at first, without what is ignored, into every container", async () => {
  for (const number of [1, 2]) {
    const listed = await engine.ok(["exec", `watched-web-${number}`, "sh", "-c", "cd /srv/app && find . | sort | tr '\\n' ' '"]);
    expect(listed).toBe(". ./deep ./deep/file ./old ");
  }
  expect(await inside("web", "ls /conf /one 2>/dev/null; stat -c %u /srv/app/old")).toBe("0\n");
});

test("files that change, come, move and go", async () => {
  writeFileSync(at("src/old"), "new");
  mkdirSync(at("src/a/b"), { recursive: true });
  writeFileSync(at("src/a/b/c"), "c");
  writeFileSync(at("src/other.log"), "log");
  symlinkSync("old", at("src/link"));
  await becomes("web", "cd /srv/app && cat old a/b/c && readlink link", "newcold\n");
  renameSync(at("src/a"), at("src/moved"));
  rmSync(at("src/link"));
  await becomes("web", "cd /srv/app && cat moved/b/c && ls", "cdeep\nmoved\nold\n");
  writeFileSync(at("src/.saving"), "atomic");
  renameSync(at("src/.saving"), at("src/old"));
  await becomes("web", "cat /srv/app/old; ls -A /srv/app", "atomicdeep\nmoved\nold\n");
  expect(await engine.ok(["exec", "watched-web-2", "cat", "/srv/app/old"])).toBe("atomic");
});

test("a single file, by its own rule", async () => {
  writeFileSync(at("single.new"), "changed");
  renameSync(at("single.new"), at("single"));
  await becomes("web", "cat /one/file", "changed");
});

test("sync+exec runs a command after the files are there; sync+restart starts the container again", async () => {
  writeFileSync(at("conf/one.conf"), "2");
  writeFileSync(at("conf/not"), "x");
  await becomes("web", "cat /tmp/execs", "2");
  expect(await inside("web", "ls /conf")).toBe("one.conf\n");
  await becomes("other", "cat /begun /conf/one.conf", "begun\nbegun\n2");
});

test("restart; rebuild says what is missing", async () => {
  writeFileSync(at("restart"), "now");
  await becomes("other", "cat /begun", "begun\nbegun\nbegun\n");
  writeFileSync(at("build"), "now");
  await eventually("it says so", () =>
    watching.errors().includes('service "other" is to be rebuilt, which comes with the builder'),
  );
});

test("a container that is gone ends nothing", async () => {
  await engine.ok(["rm", "-f", "watched-web-2"]);
  writeFileSync(at("src/old"), "after");
  await becomes("web", "cat /srv/app/old", "after");
});

test("without rules, or with a path that is not there, it is refused", async () => {
  writeFileSync(at("none.yaml"), "name: watched\nservices: {a: {image: busybox}}\n");
  const none = await engine.onggi(["compose", "-f", at("none.yaml"), "watch", "--no-up"]);
  expect(none).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("none of the selected services is configured for watch"),
  });
  writeFileSync(at("none.yaml"), "services: {a: {image: busybox, develop: {watch: [{path: nope, action: restart}]}}}\n");
  const nowhere = await engine.onggi(["compose", "-f", at("none.yaml"), "watch", "--no-up"]);
  expect(nowhere).toMatchObject({ code: 1, stderr: expect.stringContaining("nope cannot be watched") });
});

test("up --watch does the same", async () => {
  const up = engine.spawn(compose("-p", "both", "up", "--watch", "--scale", "web=1", "web"), { timeout: 60_000 });
  await eventually("it watches", () => up.errors().includes("Watch enabled"), 20);
  writeFileSync(at("src/old"), "up");
  await eventually(
    "it is there",
    async () => (await engine.onggi(["exec", "both-web-1", "cat", "/srv/app/old"])).stdout === "up",
  );
  up.process.kill("SIGINT");
  expect((await up.done).code).toBe(130);
  await engine.ok(compose("-p", "both", "down", "-t", "0"));
}, 60_000);
