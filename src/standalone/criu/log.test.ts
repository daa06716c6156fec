import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CriuGone } from "./conversation.ts";
import { errorsIn, explained } from "./log.ts";

const directory = mkdtempSync(join(tmpdir(), "onggi-criu-log-"));
afterAll(() => rmSync(directory, { recursive: true }));

const LOG = `(00.000001) Version: 4.1.1 (gitid 0)
(00.055700) Error (criu/files-reg.c:1790): Can't lookup mount=24 for fd=0 path=/dev/null
(00.055701) Warn  (criu/x.c:1): a warning
(00.055713)     12: Error (criu/cr-dump.c:1681): Dump files (pid: 19109) failed with -1
`;

const lines = [
  "Error (criu/files-reg.c:1790): Can't lookup mount=24 for fd=0 path=/dev/null",
  "12: Error (criu/cr-dump.c:1681): Dump files (pid: 19109) failed with -1",
];

describe("criu's log", () => {
  test("its errors, without their times", () => {
    expect(errorsIn(LOG)).toEqual(lines);
    expect(errorsIn("")).toEqual([]);
  });

  test("explains a failure of criu's", () => {
    const path = join(directory, "dump.log");
    writeFileSync(path, LOG);
    const message = `criu failed: it ended without an answer; log file: ${path}: ${lines.join("; ")}`;
    expect(explained(new CriuGone(), path)).toMatchObject({ code: "criu_failed", message });
  });

  test("of many errors the last are told", () => {
    const path = join(directory, "long.log");
    writeFileSync(path, Array.from({ length: 20 }, (_, n) => `(1.${n}) Error (c): ${n}\n`).join(""));
    expect((explained(new CriuGone(), path) as Error).message).toEndWith(
      ": Error (c): 15; Error (c): 16; Error (c): 17; Error (c): 18; Error (c): 19",
    );
  });

  test("that is not there is said to be so", () => {
    const path = join(directory, "nowhere.log");
    expect((explained(new CriuGone(), path) as Error).message).toContain("its log cannot be read: ENOENT");
  });

  test("explains nothing else", () => {
    const error = new Error("a hook failed");
    expect(explained(error, "/nowhere")).toBe(error);
  });
});
