import { afterEach, beforeEach, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, renameSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { LogForwards, type LogSink } from "./log-forward.ts";
import type { LogEntry } from "./logs.ts";

let directory: string;
let path: string;
let got: number[];
let complaints: string[];
beforeEach(() => anew());
afterEach(() => rmSync(directory, { recursive: true }));

function anew(): void {
  directory = mkdtempSync(join(tmpdir(), "onggi-forward-"));
  path = join(directory, "log");
  got = [];
  complaints = [];
}

const line = (n: number) => `${JSON.stringify({ log: `${n}\n`, stream: "stdout", time: "2026-01-01T00:00:00Z" })}\n`;
const write = (...numbers: number[]) => appendFileSync(path, numbers.map(line).join(""));
const rotate = (files = 9) => {
  for (let n = files - 1; n > 0; n--) {
    try {
      renameSync(n === 1 ? path : `${path}.${n - 1}`, `${path}.${n}`);
    } catch {
      // not so many yet
    }
  }
  appendFileSync(path, "");
};

/** Refuses as often as `failures` says. */
class Memory implements LogSink {
  static failures = 0;

  async send(entries: readonly LogEntry[]): Promise<void> {
    await Bun.sleep(0);
    if (Memory.failures-- > 0) throw new Error("nobody there");
    got.push(...entries.map(({ text }) => Number(text)));
  }

  close(): void {}
}

const job = () => ({ id: "c", path, positionPath: join(directory, "position"), sink: () => new Memory() });
const forwards = () => new LogForwards((message) => complaints.push(message));

async function soon(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition() && tries < 500; tries++) await Bun.sleep(10);
  expect(condition()).toBe(true);
}

test("what is there, what comes, what was rotated meanwhile, and what is left at the end", async () => {
  write(1, 2);
  rotate();
  write(3);
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const all = forwards();
  all.follow(job(), ended);
  await soon(() => got.length === 3);
  write(4);
  rotate();
  rotate();
  write(5, 6);
  await soon(() => got.length === 6);
  write(7);
  end();
  await all.finish("c", 5000);
  expect(got).toEqual([1, 2, 3, 4, 5, 6, 7]);
});

test("the next one goes on where the last one ended, also in a file that has another name", async () => {
  write(1, 2, 3);
  const first = forwards();
  first.follow(job(), Promise.resolve());
  await first.finish("c", 5000);
  rotate();
  write(4);
  const second = forwards();
  second.follow(job(), Promise.resolve());
  await second.finish("c", 5000);
  expect(got).toEqual([1, 2, 3, 4]);
});

test("who takes nothing is tried again, and told of once", async () => {
  Memory.failures = 3;
  write(1);
  const all = forwards();
  all.follow(job(), Promise.resolve());
  await all.finish("c", 10_000);
  expect(got).toEqual([1]);
  expect(complaints).toEqual(["cannot forward the log of c, trying again: nobody there", "the log of c is forwarded again"]);
});

test("a log that was cleared, and one that has lost what was to be sent, go on with what there is", async () => {
  write(1, 2);
  const first = forwards();
  first.follow(job(), Promise.resolve());
  await first.finish("c", 5000);
  truncateSync(path);
  write(3);
  const second = forwards();
  second.follow(job(), Promise.resolve());
  await second.finish("c", 5000);
  rotate(1);
  rmSync(path);
  write(4);
  const third = forwards();
  third.follow(job(), Promise.resolve());
  await third.finish("c", 5000);
  expect(got).toEqual([1, 2, 3, 4]);
});

test("a file that is emptied and has grown beyond what was read, in between", async () => {
  write(1, 2);
  const first = forwards();
  first.follow(job(), Promise.resolve());
  await first.finish("c", 5000);
  truncateSync(path);
  write(3, 4, 5, 6);
  const second = forwards();
  second.follow(job(), Promise.resolve());
  await second.finish("c", 5000);
  expect(got).toEqual([1, 2, 3, 4, 5, 6]);
});

test("whatever is written, rotated and stopped in whatever order: each line once, in order", async () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("write" as const), count: fc.integer({ min: 1, max: 40 }) }),
    fc.record({ do: fc.constantFrom("rotate" as const, "stop" as const, "wait" as const, "fail" as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
      rmSync(directory, { recursive: true });
      anew();
      Memory.failures = 0;
      let written = 0;
      let all = forwards();
      const never = new Promise(() => {});
      for (const one of steps) {
        all.follow(job(), never);
        if (one.do === "write") write(...Array.from({ length: one.count }, () => ++written));
        else if (one.do === "rotate" && written > 0) rotate(20);
        else if (one.do === "wait") await Bun.sleep(1);
        else if (one.do === "fail") Memory.failures = 1;
        else if (one.do === "stop") {
          await all.close();
          all = forwards();
        }
      }
      all.follow(job(), Promise.resolve());
      await all.finish("c", 20_000);
      expect(got).toEqual(Array.from({ length: written }, (_, index) => index + 1));
    }),
    { numRuns: 25 },
  );
}, 60_000);
