import { afterAll, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { accessSync, chmodSync, constants, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkBinary, findBinary, platformPackage } from "./binary.ts";

const base = mkdtempSync(join(tmpdir(), "sdk-binary-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

/** A platform's package with an executable that is, or is not, what its sums say. */
function packaged(name: string, { content = "#!/bin/sh\n", sums }: { content?: string; sums?: string | null } = {}): string {
  const directory = join(base, name);
  mkdirSync(directory);
  writeFileSync(join(directory, "onggi"), content, { mode: 0o644 });
  const digest = createHash("sha256").update("#!/bin/sh\n").digest("hex");
  if (sums !== null) writeFileSync(join(directory, "SHA256SUMS"), sums ?? `${digest}  onggi\n`);
  return directory;
}

const none = (): undefined => undefined;

test("what is named comes first, then the variable, the package, the PATH", () => {
  const directory = packaged("order");
  const other = join(base, "other");
  writeFileSync(other, "");
  const env = { ONGGI_BINARY: other, PATH: `relative:${directory}` };
  const named = join(directory, "onggi");
  expect(findBinary(named, env, () => directory)).toEqual({ path: named });
  expect(findBinary(undefined, env, () => directory)).toEqual({ path: other });
  expect(findBinary(undefined, { PATH: env.PATH }, () => directory).digest).toHaveLength(64);
  expect(findBinary(undefined, { PATH: env.PATH }, none)).toEqual({ path: named });
});

test("where there is none the error says what to do", () => {
  expect(() => findBinary(undefined, { PATH: "/nowhere" }, none)).toThrow(platformPackage());
  expect(() => findBinary(undefined, { PATH: "/nowhere" }, none)).toThrow("ONGGI_BINARY");
  expect(() => findBinary("/nowhere/onggi", {}, none)).toThrow("the option `binary` names /nowhere/onggi");
  expect(() => findBinary(undefined, { ONGGI_BINARY: "/nowhere/onggi" }, none)).toThrow("ONGGI_BINARY names");
});

test("an executable that lost its permission gets it back", async () => {
  const directory = packaged("mode");
  await checkBinary(findBinary(undefined, {}, () => directory));
  accessSync(join(directory, "onggi"), constants.X_OK);
});

test("one that is not what its package says is not run", async () => {
  const changed = packaged("changed", { content: "#!/bin/sh\nrm -rf /\n" });
  await expect(checkBinary(findBinary(undefined, {}, () => changed))).rejects.toThrow("its package says");
  const empty = packaged("empty", { sums: "" });
  expect(() => findBinary(undefined, {}, () => empty)).toThrow("has no digest of onggi");
  const without = packaged("without", { sums: null });
  expect(() => findBinary(undefined, {}, () => without)).toThrow("cannot be read");
});

test("one that somebody names is that one's to check", async () => {
  const path = join(base, "own");
  writeFileSync(path, "anything");
  chmodSync(path, 0o755);
  await checkBinary(findBinary(path));
});
