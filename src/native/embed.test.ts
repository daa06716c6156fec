import { afterEach, beforeEach, expect, test } from "bun:test";
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { shimInMemory } from "./embed.ts";

const chosen = process.env.ONGGI_SHIM;
beforeEach(() => {
  delete process.env.ONGGI_SHIM;
});
afterEach(() => {
  if (chosen === undefined) delete process.env.ONGGI_SHIM;
  else process.env.ONGGI_SHIM = chosen;
});

const fdOf = (path: string): number => Number(path.slice("/proc/self/fd/".length));

test("the shim runs from a copy in memory", () => {
  const path = shimInMemory();
  const carried = readFileSync(new URL("../../build/onggi-shim", import.meta.url));
  expect(readFileSync(path).equals(carried)).toBe(true);
  const { exitCode, stderr } = Bun.spawnSync({ cmd: [path], argv0: "onggi-shim", stderr: "pipe" });
  expect(exitCode).toBe(64);
  expect(stderr.toString()).toContain("it is the engine that runs this program");
  closeSync(fdOf(path));
});

test("nobody can write to it, by whatever way they reach it", () => {
  const path = shimInMemory();
  expect(() => writeSync(fdOf(path), "x", 0)).toThrow("EPERM");
  const again = openSync(path, "r+");
  expect(() => writeSync(again, "x", 0)).toThrow("EPERM");
  closeSync(again);
  expect(() => openSync(path, "w")).toThrow();
  closeSync(fdOf(path));
});

test("ONGGI_SHIM is taken instead", () => {
  process.env.ONGGI_SHIM = "/somewhere/onggi-shim-asan";
  expect(shimInMemory()).toBe("/somewhere/onggi-shim-asan");
});
