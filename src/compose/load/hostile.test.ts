/** Files that mean harm: whatever they say is loaded or refused with words, and nothing else happens. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { OnggiError } from "../../lib/errors.ts";
import { serviceHash } from "../hash.ts";
import schema from "./compose-spec.json" with { type: "json" };
import { diskFiles } from "./files.ts";
import { load, refusal } from "./kit.ts";
import { printedProject } from "./print.ts";

/** Milliseconds: the machine may have other things to do. */
const PATIENCE = 60_000;

async function loadedOrRefused(...texts: string[]): Promise<void> {
  try {
    const files = Object.fromEntries(texts.map((text, index) => [`${index}.yaml`, text]));
    const project = await load(files, { files: Object.keys(files), profiles: ["*"] });
    printedProject(project, "json");
    Object.values(project.services).map(serviceHash);
  } catch (error) {
    if (!(error instanceof OnggiError)) throw new Error(`${(error as Error).stack}\nof ${texts.join("\n---\n")}`);
    expect(error.message).not.toBe("");
  }
  expect(Object.keys(Object.prototype)).toEqual([]);
}

const keys = [
  ...Object.keys(schema.$defs.service.properties),
  "services",
  "networks",
  "volumes",
  "secrets",
  "configs",
  "include",
  "name",
  "default",
];
const names = fc.constantFrom(
  ...keys,
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "valueOf",
  "x-a",
  "web",
  "source",
  "target",
  "type",
  "condition",
  "path",
  "file",
  "service",
  "test",
  "external",
  "ipam",
  "config",
  "",
);
const scalars = fc.oneof(
  fc.constantFrom("a", "80:80", "./a:/b", "${A", "$A", "1m", "", "bind", "all", "a=b", "service:web", "-1", "__proto__=1"),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.double(),
);
const values = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    scalars,
    fc.array(tie("value"), { maxLength: 3 }),
    fc.array(fc.tuple(names, tie("value")), { maxLength: 3 }).map((entries) => new Map(entries as [string, unknown][])),
  ),
})).value;

/** As YAML's flow style, which JSON is; keys of maps as they are. */
const yaml = (value: unknown): string =>
  value instanceof Map
    ? `{${[...value].map(([key, item]) => `${JSON.stringify(key)}: ${yaml(item)}`).join(", ")}}`
    : Array.isArray(value)
      ? `[${value.map(yaml).join(", ")}]`
      : typeof value === "number"
        ? String(value)
        : JSON.stringify(value);

test(
  "any values at any key of a service are loaded or refused",
  async () => {
    const entry = fc.tuple(fc.constantFrom(...Object.keys(schema.$defs.service.properties)), values);
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { minLength: 1, maxLength: 4 }), (entries) =>
        loadedOrRefused(
          yaml(new Map([["services", new Map([["web", new Map<string, unknown>([["image", "x"], ...entries])]])]])),
        ),
      ),
      { numRuns: 400 },
    );
  },
  PATIENCE,
);

test(
  "any tree is loaded or refused",
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(names, values), { maxLength: 4 }), (entries) => loadedOrRefused(yaml(new Map(entries)))),
      { numRuns: 200 },
    );
  },
  PATIENCE,
);

test(
  "any two services are merged, extended and included, or refused",
  async () => {
    const entry = fc.tuple(fc.constantFrom(...Object.keys(schema.$defs.service.properties)), values);
    const service = fc.array(entry, { maxLength: 3 }).map((entries) => new Map<string, unknown>(entries));
    const tag = fc.constantFrom("", "", "!reset ", "!override ");
    const tagged = (map: Map<string, unknown>, tags: readonly string[]): string =>
      `{${[...map].map(([key, value], index) => `${JSON.stringify(key)}: ${tags[index % tags.length]}${yaml(value)}`).join(", ")}}`;
    await fc.assert(
      fc.asyncProperty(service, service, fc.array(tag, { minLength: 1, maxLength: 3 }), (one, two, tags) =>
        loadedOrRefused(
          `services: {web: ${yaml(new Map([["image", "x"], ...one]))}, base: ${yaml(new Map([["image", "y"], ...two]))}}`,
          `include: [0.yaml]\nservices: {web: ${tagged(two, tags)}, other: ${tagged(new Map([["extends", "base"], ...one]), tags)}}`,
        ),
      ),
      { numRuns: 200 },
    );
  },
  PATIENCE,
);

test(
  "keys that mean something to JavaScript are keys like others",
  async () => {
    const project = await load(
      `services: {__proto__: {image: p}, constructor: {image: c, environment: [__proto__=1, "toString=2"], labels: {__proto__: x}, networks: [__proto__]}}\nnetworks: {__proto__: }\nx-__proto__: {__proto__: {polluted: 1}}`,
    );
    expect(Object.keys(project.services)).toEqual(["__proto__", "constructor"]);
    const { environment, labels } = project.services.constructor as unknown as Record<string, Record<string, string>>;
    expect(Object.entries(environment!)).toEqual([
      ["__proto__", "1"],
      ["toString", "2"],
    ]);
    expect(Object.entries(labels!)).toEqual([["__proto__", "x"]]);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  },
  PATIENCE,
);

test(
  "a file of 10 MB is refused before it is read",
  async () => {
    expect(await refusal("#".repeat(10_000_000))).toBe(
      "/app/compose.yaml has 10000000 bytes; of a file of compose's at most 4194304 are read",
    );
    expect(
      await refusal({ "compose.yaml": "services: {a: {image: x, env_file: big.env}}", "big.env": "#".repeat(2_000_000) }),
    ).toContain("at most 1048576 are read");
    const endless = new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(new Uint8Array(100_000)) });
    const input = diskFiles(() => endless);
    expect(input.read("-", 4_000_000)).rejects.toThrow("the standard input has more than 4000000 bytes");
    expect(input.read("/", 10)).rejects.toThrow("/ is a directory");
    expect(input.read("/dev/zero", 10)).rejects.toThrow("is no file");
    expect(input.read("/proc/self/mountinfo", 10)).rejects.toThrow("has more than 10 bytes");
    expect(await input.read("/proc/none", 10)).toBeUndefined();
  },
  PATIENCE,
);

test(
  "circles of depends_on among many services are found, and many dependencies are no trouble",
  async () => {
    const services = Array.from(
      { length: 300 },
      (_, index) =>
        `  s${index}: {image: x, depends_on: [${Array.from({ length: Math.min(index, 20) }, (_, other) => `s${index - other - 1}`).join(", ")}]}`,
    );
    expect(Object.keys((await load(`services:\n${services.join("\n")}`)).services)).toHaveLength(300);
    services[0] = "  s0: {image: x, depends_on: [s299]}";
    expect(await refusal(`services:\n${services.join("\n")}`)).toContain("dependency cycle detected: s0 -> s299");
  },
  PATIENCE,
);
