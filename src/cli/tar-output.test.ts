import { afterAll, beforeAll, expect, test } from "bun:test";
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Context } from "./context.ts";
import { writeArchive } from "./tar-output.ts";

const cwd = mkdtempSync(join(tmpdir(), "onggi-output-"));
const context = { cwd } as Context;
const send = async (write: (chunk: Uint8Array) => Promise<void>): Promise<void> => {
  for (const text of ["one ", "two"]) await write(new TextEncoder().encode(text));
};
beforeAll(() => writeFileSync(join(cwd, "former"), "former"));
afterAll(() => rmSync(cwd, { recursive: true }));

test("a file is there whole, or as it was", async () => {
  await writeArchive(context, "new", send);
  expect(readFileSync(join(cwd, "new"), "utf8")).toBe("one two");
  const broken = async (write: (chunk: Uint8Array) => Promise<void>): Promise<void> => {
    await send(write);
    throw new Error("the engine has gone");
  };
  expect(writeArchive(context, "former", broken)).rejects.toThrow("the engine has gone");
  expect(writeArchive(context, "never", broken)).rejects.toThrow("the engine has gone");
  await Bun.sleep(10);
  expect(readdirSync(cwd).sort()).toEqual(["former", "new"]);
  expect(readFileSync(join(cwd, "former"), "utf8")).toBe("former");
});

test("a link stays one, and so does what is no file", async () => {
  symlinkSync("former", join(cwd, "link"));
  await writeArchive(context, "link", send);
  expect([lstatSync(join(cwd, "link")).isSymbolicLink(), readFileSync(join(cwd, "former"), "utf8")]).toEqual([true, "one two"]);
  const fifo = join(cwd, "fifo");
  expect(Bun.spawnSync(["mkfifo", fifo]).exitCode).toBe(0);
  const reader = Bun.spawn(["cat", fifo], { stdout: "pipe" });
  await writeArchive(context, fifo, send);
  expect(await reader.stdout.text()).toBe("one two");
  expect(lstatSync(fifo).isFIFO()).toBe(true);
  symlinkSync("/dev/null", join(cwd, "null"));
  await writeArchive(context, "null", send);
  expect([lstatSync(join(cwd, "null")).isSymbolicLink(), lstatSync("/dev/null").isCharacterDevice()]).toEqual([true, true]);
});

test("a directory is refused", () => {
  expect(writeArchive(context, ".", send)).rejects.toThrow("-o . is a directory: name a file in it");
});
