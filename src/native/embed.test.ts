import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { unpackShim } from "./embed.ts";

let run: string;
const chosen = process.env.ONGGI_SHIM;

beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), "onggi-embed-"));
  delete process.env.ONGGI_SHIM;
});
afterEach(() => {
  rmSync(run, { recursive: true, force: true });
  if (chosen === undefined) delete process.env.ONGGI_SHIM;
  else process.env.ONGGI_SHIM = chosen;
});

test("the shim is unpacked under its digest, executable, once", () => {
  const path = unpackShim(run);
  const bytes = readFileSync(path);
  expect(basename(dirname(path))).toBe(new Bun.CryptoHasher("sha256").update(bytes).digest("hex"));
  expect(statSync(path).mode & 0o777).toBe(0o755);
  expect(readdirSync(dirname(path))).toEqual(["onggi-shim"]);
  const { ino } = statSync(path);
  expect(unpackShim(run)).toBe(path);
  expect(statSync(path).ino).toBe(ino);
});

test("a damaged one is replaced, never used", () => {
  const path = unpackShim(run);
  const good = readFileSync(path);
  writeFileSync(path, "#!/bin/sh\n");
  expect(unpackShim(run)).toBe(path);
  expect(readFileSync(path).equals(good)).toBe(true);
  chmodSync(path, 0o644);
  unpackShim(run);
  expect(statSync(path).mode & 0o777).toBe(0o755);
});

test("ONGGI_SHIM is taken instead", () => {
  process.env.ONGGI_SHIM = "/somewhere/onggi-shim-asan";
  expect(unpackShim(run)).toBe("/somewhere/onggi-shim-asan");
  expect(readdirSync(run)).toEqual([]);
});
