import { expect, test } from "bun:test";
import { AnswerCache } from "./cache.ts";
import type { Response } from "./message.ts";

const response = (ttl: number, size = 100): Response => ({
  bytes: new Uint8Array(size),
  rcode: 0,
  truncated: false,
  ttl,
  ttlsAt: [],
});

test("an answer is kept for its TTL", () => {
  const cache = new AnswerCache({ entries: 10, bytes: 100_000 });
  cache.put("a", response(5), 1000);
  expect(cache.get("a", 5999)?.at).toBe(1000);
  expect(cache.get("a", 6000)).toBeUndefined();
  expect(cache.size).toBe(0);
});

test("what must not be kept is not, and takes the place of what was", () => {
  const cache = new AnswerCache({ entries: 10, bytes: 100_000 });
  cache.put("a", response(5), 0);
  cache.put("a", response(0), 0);
  cache.put("b", { ...response(5), truncated: true }, 0);
  cache.put("c", response(5, 20_000), 0);
  expect(cache.size).toBe(0);
});

test("those that were not used for longest go first", () => {
  const cache = new AnswerCache({ entries: 3, bytes: 100_000 });
  for (const key of ["a", "b", "c"]) cache.put(key, response(60), 0);
  cache.get("a", 1);
  cache.put("d", response(60), 2);
  expect(["a", "b", "c", "d"].filter((key) => cache.get(key, 3))).toEqual(["a", "c", "d"]);
});

test("bytes are bounded too", () => {
  const cache = new AnswerCache({ entries: 1000, bytes: 10_000 });
  for (let index = 0; index < 100; index++) cache.put(String(index), response(60, 800), 0);
  expect(cache.size).toBeLessThan(10);
  expect(cache.get("99", 1)).toBeDefined();
  for (let index = 0; index < 100; index++) cache.put(String(index), response(0), 0);
  cache.put("new", response(60, 1000), 0);
  expect(cache.size).toBe(1);
});
