/** Log files: the forms of Docker and CRI, rotation, disks that are full. As root. */
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Supervision } from "../../src/plan/ops.ts";
import { mount, umount } from "../../src/sys/mount.ts";
import { cleanUp, run, spawn, stateDir, until } from "./kit.ts";
import { sh } from "./plans.ts";

afterEach(cleanUp);

type Log = NonNullable<Supervision["log"]>;
const log = (format: Log["format"], maxSize = 0, maxFiles = 1, path = "log"): Partial<Supervision> => ({
  log: { format, path, maxSize, maxFiles },
});

interface Entry {
  log: string;
  stream: string;
  time: string;
}
const entries = (path: string): Entry[] =>
  readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Entry);

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z$/;

async function jsonLog(script: string, supervision = log("json-file")) {
  const { dir } = await run(sh(script, { supervision }));
  return { dir, raw: readFileSync(join(dir, "log"), "utf8"), entries: entries(join(dir, "log")) };
}

describe("json-file", () => {
  test("has one object a line, by stream, with the time it was read", async () => {
    const start = Date.now();
    const { raw, entries: got } = await jsonLog("echo one; sleep 0.05; echo two >&2; sleep 0.05; printf three");
    expect(raw).toMatch(/^\{"log":"one\\n","stream":"stdout","time":"[^"]+"\}\n\{"log":"two\\n","stream":"stderr","time"/);
    expect(got.map(({ log, stream }) => [log, stream])).toEqual([
      ["one\n", "stdout"],
      ["two\n", "stderr"],
      ["three", "stdout"],
    ]);
    for (const { time } of got) {
      expect(time).toMatch(RFC3339);
      expect(Date.parse(time)).toBeGreaterThan(start - 1000);
      expect(Date.parse(time)).toBeLessThan(Date.now() + 1000);
    }
    expect(got.map(({ time }) => Date.parse(time))).toEqual(got.map(({ time }) => Date.parse(time)).sort());
  });

  test("escapes what Docker escapes, and replaces what is not UTF-8", async () => {
    const { raw, entries: got } = await jsonLog(
      `printf '\\t"\\\\<>&\\r\\001\\177 \\303\\251 \\342\\202\\254 \\360\\237\\217\\272 \\342\\200\\250 \\377\\300\\200 \\355\\240\\200 \\303\\n'`,
    );
    expect(raw.slice(8, raw.indexOf('","stream'))).toBe(
      '\\u0009\\"\\\\\\u003c\\u003e\\u0026\\r\\u0001\x7f é € 🏺 \\u2028 \\ufffd\\ufffd\\ufffd \\ufffd\\ufffd\\ufffd \\ufffd\\n',
    );
    expect(got[0]?.log).toContain('\t"\\<>&\r\u0001');
  });

  test("splits lines over 16 KiB, not within a character", async () => {
    const { entries: got } = await jsonLog(
      "head -c 40000 /dev/zero | tr '\\0' x; echo; head -c 16384 /dev/zero | tr '\\0' y; echo; head -c 16383 /dev/zero | tr '\\0' z; echo",
    );
    expect(got.map(({ log }) => log.length)).toEqual([16384, 16384, 7233, 16384, 1, 16384]);
    expect(got.map(({ log }) => log.endsWith("\n"))).toEqual([false, false, true, false, true, true]);
    const parts = got.slice(0, 3).map(({ time }) => time);
    expect(new Set(parts).size).toBe(1);

    const { entries: wide } = await jsonLog("printf x; for i in $(seq 6000); do printf '\\342\\202\\254'; done; echo");
    expect(wide.map(({ log }) => log).join("")).toBe(`x${"€".repeat(6000)}\n`);
    expect(wide.map(({ log }) => Buffer.byteLength(log))).toEqual([16384, 1618]);
  });

  test("is rotated before it outgrows its size, and so many files are kept", async () => {
    const { dir } = await run(
      sh("for i in $(seq 500); do echo this is line number $i; done", { supervision: log("json-file", 4096, 3) }),
    );
    const files = ["log.2", "log.1", "log"].map((name) => join(dir, name));
    expect(existsSync(join(dir, "log.3"))).toBe(false);
    for (const file of files) expect(statSync(file).size).toBeLessThanOrEqual(4096);
    for (const file of files.slice(0, 2)) expect(statSync(file).size).toBeGreaterThan(3900);
    const numbers = files.flatMap(entries).map(({ log }) => Number(log.match(/\d+/)?.[0]));
    expect(numbers.at(-1)).toBe(500);
    numbers.forEach((number, i) => {
      expect(number).toBe(500 - numbers.length + 1 + i);
    });
  });

  test("with one file starts anew, and a line larger than the size stands alone", async () => {
    const { dir } = await run(
      sh("echo a; head -c 9000 /dev/zero | tr '\\0' x; echo; echo b", { supervision: log("json-file", 1000, 1) }),
    );
    expect(entries(join(dir, "log")).map(({ log }) => log)).toEqual(["b\n"]);
    expect(existsSync(join(dir, "log.1"))).toBe(false);
  });

  test("takes new limits while it is written", async () => {
    const dir = stateDir();
    const shim = await spawn(
      sh("read x; for i in $(seq 100); do echo line $i; done", { supervision: { ...log("json-file"), openStdin: true } }),
      dir,
    );
    const attachment = await shim.attach(0, { stdin: true });
    shim.start();
    shim.updateLogs(1000, 2);
    await shim.status();
    await attachment.write(new TextEncoder().encode("\n"));
    await shim.main.exited;
    expect(existsSync(join(dir, "log.1"))).toBe(true);
    expect(statSync(join(dir, "log")).size).toBeLessThanOrEqual(1000);
  });
});

describe("cri", () => {
  test("has time, stream, F or P, and the line as it is", async () => {
    const { dir } = await run(
      sh(
        "printf 'a\\tb\\377\\n\\n'; head -c 20000 /dev/zero | tr '\\0' x; echo; head -c 16384 /dev/zero | tr '\\0' y; echo; printf rest",
        {
          supervision: log("cri"),
        },
      ),
    );
    const lines = readFileSync(join(dir, "log"), "latin1").split("\n").slice(0, -1);
    const parts = lines.map((line) => line.match(/^(\S+) (stdout|stderr) ([FP]) (.*)$/s)?.slice(1) as string[]);
    for (const [time] of parts) expect(time).toMatch(RFC3339);
    expect(parts.map(([, , tag, line]) => [tag, line!.length > 20 ? line!.length : line])).toEqual([
      ["F", "a\tb\xff"],
      ["F", ""],
      ["P", 16384],
      ["F", 3616],
      ["F", 16384],
      ["P", "rest"],
    ]);
  });

  test("is opened again when somebody else rotated it", async () => {
    const dir = stateDir();
    const shim = await spawn(sh("echo before; read x; echo after", { supervision: { ...log("cri"), openStdin: true } }), dir);
    const attachment = await shim.attach(0, { stdin: true });
    shim.start();
    await shim.main.started;
    await until(() => readFileSync(join(dir, "log"), "utf8").includes("before"));
    renameSync(join(dir, "log"), join(dir, "rotated"));
    shim.reopenLogs();
    await shim.status();
    await attachment.write(new TextEncoder().encode("\n"));
    await shim.main.exited;
    expect(readFileSync(join(dir, "log"), "utf8")).toMatch(/ stdout F after\n$/);
    expect(readFileSync(join(dir, "rotated"), "utf8")).toMatch(/ stdout F before\n$/);
  });
});

test("a full disk loses whole lines, and nothing else", async () => {
  const dir = stateDir();
  const full = join(dir, "full");
  mkdirSync(full);
  mount("tmpfs", full, "tmpfs", 0, "size=64k");
  try {
    const { exit, stdout } = await run(
      sh("for i in $(seq 3000); do echo this is line number $i; done; exit 6", {
        supervision: log("json-file", 0, 1, "full/log"),
      }),
      dir,
    );
    expect(exit.exitCode).toBe(6);
    expect(stdout.split("\n")).toHaveLength(3001);
    const kept = entries(join(full, "log"));
    expect(kept.length).toBeGreaterThan(100);
    expect(kept.length).toBeLessThan(3000);
  } finally {
    umount(full, 0);
  }
});
