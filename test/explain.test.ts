/** What `explain` prints is what happens: the same container under strace makes the plan's calls, one by one. Needs root. */
import { afterAll, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { compareTrace, parseStrace } from "../src/plan/strace.ts";
import { busybox, cleanUp, directory, type Options, run } from "./runtime/kit.ts";

afterAll(cleanUp);

const strace = Bun.which("strace");
const variants: readonly [string, Partial<Options>][] = [
  ["with a user namespace", { userns: true }],
  ["without a user namespace, with a terminal", { userns: false, request: { tty: true } }],
  [
    "read-only, with mounts, another user and a kernel parameter",
    {
      request: {
        readonlyRootfs: true,
        tmpfs: { "/run": "size=1m" },
        mounts: [{ type: "bind", source: "/usr/share", target: "/data/share" }],
      },
      user: { uid: 5, gid: 6, additionalGids: [7] },
    },
  ],
];

test.skipIf(!strace).each(variants)("a container %s makes the calls of its plan", async (_, options) => {
  const trace = join(directory(), "trace");
  const { plan, failure } = await run({
    image: busybox(),
    args: ["true"],
    ...options,
    tracer: [strace as string, "-ff", "-qq", "-s", "4096", "-o", trace],
  });
  expect(failure).toBeNull();
  // -ff writes one file per process; the child is the one that ends in the program
  const files = readdirSync(join(trace, "..")).map((name) => readFileSync(join(trace, "..", name), "utf8"));
  const child = files.find((text) => /^execve\("\/[^"]*bin\/true".*= 0$/m.test(text));
  expect(child).toBeDefined();
  const calls = parseStrace(child as string);
  const end = calls.findIndex(({ name, error }) => name === "execve" && error === undefined);
  expect(end).toBeGreaterThan(100);
  expect(compareTrace(plan, calls.slice(0, end + 1))).toBeNull();
});
