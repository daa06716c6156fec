/** Everything again, with a shim that ends at the first memory error or undefined behaviour. As root. */
import { expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { SANITIZED } from "./kit.ts";

const here = import.meta.dir;
const shim = join(here, "../../build/onggi-shim-asan");

test.skipIf(SANITIZED)(
  "the sanitizer build passes the same tests",
  async () => {
    expect(existsSync(shim)).toBe(true);
    const suites = readdirSync(here).filter((name) => name.endsWith(".test.ts") && name !== "sanitized.test.ts");
    const child = Bun.spawn({
      cmd: [process.execPath, "test", "--timeout", "60000", ...suites.map((name) => join(here, name))],
      env: { ...process.env, ONGGI_SHIM: shim },
      stdout: "pipe",
      stderr: "pipe",
    });
    const [out, errors, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    expect(out + errors).not.toMatch(/AddressSanitizer|runtime error/);
    expect(code, out + errors).toBe(0);
  },
  300_000,
);
