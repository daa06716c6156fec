import { afterEach, beforeEach, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { parseCriLine, parseJsonLine, readLog } from "./logs.ts";

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "onggi-logs-"));
  path = join(directory, "log");
});
afterEach(() => rmSync(directory, { recursive: true }));

const line = (n: number, stream = "stdout") =>
  `${JSON.stringify({ log: `line ${n}\n`, stream, time: `2026-01-01T00:00:${String(n % 60).padStart(2, "0")}.5Z` })}\n`;

const never = new AbortController().signal;

async function collect(query: Parameters<typeof readLog>[2], ended: Promise<unknown> = Promise.resolve()): Promise<string[]> {
  const texts: string[] = [];
  for await (const entry of readLog(path, "json-file", query, ended, never)) texts.push(entry.text.trim());
  return texts;
}

test("reads across rotated files, oldest first; a line cut short is left out", async () => {
  writeFileSync(`${path}.2`, line(1) + line(2));
  writeFileSync(`${path}.1`, line(3));
  writeFileSync(path, `${line(4)}{"log":"half`);
  expect(await collect({ follow: false })).toEqual(["line 1", "line 2", "line 3", "line 4"]);
});

test("tail counts lines from the end, over files", async () => {
  writeFileSync(`${path}.1`, line(1) + line(2));
  writeFileSync(path, line(3));
  expect(await collect({ follow: false, tail: 2 })).toEqual(["line 2", "line 3"]);
  expect(await collect({ follow: false, tail: 0 })).toEqual([]);
});

test("since and until are inclusive moments", async () => {
  writeFileSync(path, [1, 2, 3, 4].map((n) => line(n)).join(""));
  const at = (n: number) => BigInt(Date.parse(`2026-01-01T00:00:0${n}.5Z`)) * 1_000_000n;
  expect(await collect({ follow: false, since: at(2), until: at(3) })).toEqual(["line 2", "line 3"]);
});

test("follow sees what is appended, through a rotation, and ends when the container has ended", async () => {
  writeFileSync(path, line(1));
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const reading = collect({ follow: true }, ended);
  await Bun.sleep(30);
  appendFileSync(path, line(2));
  await Bun.sleep(30);
  renameSync(path, `${path}.1`);
  writeFileSync(path, line(3));
  await Bun.sleep(700);
  appendFileSync(path, line(4));
  end();
  expect(await reading).toEqual(["line 1", "line 2", "line 3", "line 4"]);
});

test("a log that does not exist is an empty one", async () => {
  expect(await collect({ follow: false })).toEqual([]);
  expect(await collect({ follow: true })).toEqual([]);
});

test("CRI lines, partial and whole", () => {
  expect(parseCriLine("2026-01-01T00:00:00.5Z stderr P half")).toEqual({
    time: "2026-01-01T00:00:00.5Z",
    stream: "stderr",
    text: "half",
  });
  expect(parseCriLine("2026-01-01T00:00:00.5Z stdout F done")?.text).toBe("done\n");
});

test("garbage is never an entry and never throws", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(parseJsonLine(`x${text}`)).toBeUndefined();
      parseCriLine(text);
    }),
  );
});
