/** The examples of docs/sdk.md, as they stand: all by Bun, some by Node and Deno, with what they say that they print. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Engine, repository, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { compile, type Installed, installSdk, type RuntimeName } from "../kit/sdk.ts";

interface Example {
  readonly title: string;
  readonly file: string;
  readonly code: string;
  /** What it says behind `console.log(...); // `, in order; of a loop in one line, comma-separated. */
  readonly prints: readonly string[];
}

const examples: readonly Example[] = readExamples(readFileSync(join(repository, "docs/sdk.md"), "utf8"));

function readExamples(text: string): Example[] {
  let title = "the first";
  const found: Example[] = [];
  for (const [, heading, code] of text.matchAll(/^## (.*)$|^```ts\n([\s\S]*?)^```$/gm)) {
    if (heading) title = heading;
    if (!code) continue;
    const prints = [...code.matchAll(/console\.log\(.*\/\/ (.*)$/gm)].flatMap(([, said = ""]) => said.split(/, (?![^[{]*[\]}])/));
    found.push({ title, file: `example-${found.length}`, code, prints });
  }
  return found;
}

/** Runtimes print objects each in their own way. */
const oneLine = (text: string): string =>
  text
    .replaceAll('"', "'")
    .replace(/\s+/g, " ")
    .replace(/, (?=[\]}])/g, " ")
    .trim();

let engine: Engine;
let sdk: Installed;

beforeAll(async () => {
  engine = startEngine();
  sdk = installSdk(engine);
  await bootstrapBusybox(engine);
  for (const { file, code } of examples) writeFileSync(join(sdk.directory, `${file}.ts`), code);
  compile(sdk.directory);
});

afterAll(() => engine.close());

/** Which runtimes an example is run by besides Bun: the first shows that they start, others what they do differently. */
const others: Readonly<Record<number, readonly RuntimeName[]>> = {
  0: ["node", "deno"],
  2: ["node", "deno"],
  3: ["node"],
  4: ["node"],
};

test("there are examples", () => expect(examples.length).toBeGreaterThan(10));

for (const [index, { title, file, prints }] of examples.entries()) {
  for (const runtime of ["bun", ...(others[index] ?? [])] as const) {
    test.concurrent(`${title}: ${file} by ${runtime}`, async () => {
      const { code, stdout, stderr } = await sdk.run(runtime, runtime === "node" ? `compiled/${file}.js` : `${file}.ts`);
      expect({ code, printed: oneLine(stdout), stderr }).toEqual({ code: 0, printed: prints.join(" "), stderr: "" });
    });
  }
}

test("nothing is left of them", () => engine.expectClean());
