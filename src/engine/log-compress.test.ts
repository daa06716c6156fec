import { afterEach, beforeEach, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { compressRotated } from "./log-compress.ts";
import { readLog } from "./logs.ts";

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "onggi-compress-"));
  path = join(directory, "log");
});
afterEach(() => rmSync(directory, { recursive: true }));

const line = (n: number) => `${JSON.stringify({ log: `${n}\n`, stream: "stdout", time: "2026-01-01T00:00:00Z" })}\n`;
const write = (...numbers: number[]) => appendFileSync(path, numbers.map(line).join(""));
const rotate = () => {
  for (let n = 4; n > 0; n--) {
    try {
      renameSync(n === 1 ? path : `${path}.${n - 1}`, `${path}.${n}`);
    } catch {
      // not so many yet
    }
  }
  writeFileSync(path, "");
};
const still = async (task: () => void) => task();
const signal = new AbortController().signal;

async function read(follow = false, ended: Promise<unknown> = Promise.resolve()): Promise<number[]> {
  const numbers: number[] = [];
  for await (const { text } of readLog(path, "json-file", { follow }, ended, signal)) numbers.push(Number(text));
  return numbers;
}

test("rotated files are compressed once, in their place, and read as before", async () => {
  write(1, 2);
  rotate();
  write(3);
  rotate();
  write(4);
  await compressRotated(path, still);
  const packed = readFileSync(`${path}.2`);
  expect(gunzipSync(packed).toString()).toBe(line(1) + line(2));
  expect(readFileSync(path, "utf8")).toBe(line(4));
  await compressRotated(path, still);
  expect(readFileSync(`${path}.2`)).toEqual(packed);
  rotate();
  write(5);
  expect(await read()).toEqual([1, 2, 3, 4, 5]);
  expect(readdirSync(directory).sort()).toEqual(["log", "log.1", "log.2", "log.3"]);
});

test("a file that is renamed meanwhile is replaced under its new name; one that is gone leaves nothing", async () => {
  write(1);
  rotate();
  await compressRotated(path, async (task) => {
    rotate();
    task();
  });
  expect(gunzipSync(readFileSync(`${path}.2`)).toString()).toBe(line(1));
  rmSync(`${path}.2`);
  rmSync(`${path}.1`);
  write(2);
  rotate();
  await compressRotated(path, async (task) => {
    rmSync(`${path}.1`);
    task();
  });
  expect(readdirSync(directory)).toEqual(["log"]);
});

test("who follows a file that is compressed under its hands goes on behind it", async () => {
  write(1, 2);
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const all = read(true, ended);
  await Bun.sleep(50);
  write(3);
  rotate();
  write(4);
  rotate();
  write(5);
  await compressRotated(path, still);
  await Bun.sleep(100);
  end();
  expect(await all).toEqual([1, 2, 3, 4, 5]);
});

test("a damaged file is as an empty one", async () => {
  write(1);
  rotate();
  await compressRotated(path, still);
  truncateSync(`${path}.1`, 15);
  write(2);
  expect(await read()).toEqual([2]);
});
