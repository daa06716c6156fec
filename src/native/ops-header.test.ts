import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { opsHeader } from "../../scripts/generate-ops.ts";

test("native/ops.h is what src/plan/ops.ts says: if not, run bun scripts/generate-ops.ts and handle the new kind in native/execute.c", () => {
  expect(readFileSync(new URL("../../native/ops.h", import.meta.url), "utf8")).toBe(opsHeader());
});
