// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables are the matter
/** Files that are made of other files: merged, extended, included. What comes of them rightly is in facts.test.ts. */
import { expect, test } from "bun:test";
import { selectServices, withoutUnused } from "./index.ts";
import { load, refusal } from "./kit.ts";

const two = (first: string, second: string) => load({ "a.yaml": first, "b.yaml": second }, { files: ["a.yaml", "b.yaml"] });

test("what is wrong in the second file is told there", async () => {
  const files = {
    "a.yaml": "services: {a: {image: a}}",
    "b.yaml": "services:\n  a:\n    volumes: [none:/x]\n    depends_on: [database]\n",
  };
  expect(await refusal(files, { files: ["a.yaml", "b.yaml"] })).toBe(
    [
      'b.yaml:3:15: services.a.volumes[0]: refers to undefined volume none; declare it in "volumes" at the top level',
      'b.yaml:4:18: services.a.depends_on.database: service "a" depends on undefined service "database"',
    ].join("\n"),
  );
});

test("!reset takes one variable away, whole services too; !override puts another in their place", async () => {
  const { services } = await two(
    "services: {a: {image: a, environment: [A=1, B=1], labels: {x: 1}}, b: {image: b}}",
    "services: {a: {environment: {A: !reset null}, labels: !override {y: 2}}, b: !reset null, c: {image: c, ports: !reset ['1:1']}}",
  );
  expect(Object.keys(services)).toEqual(["a", "c"]);
  expect(services.a).toMatchObject({ environment: { B: "1" }, labels: { y: "2" } });
  expect(services.a!.labels).not.toHaveProperty("x");
  expect(services.c).not.toHaveProperty("ports");
});

test("!reset of what is extended counts for the files before, too", async () => {
  const { services } = await two(
    "services: {a: {image: a, ports: ['1:1'], dns: [9.9.9.9]}}",
    "services: {a: {extends: base, ports: !reset [], dns: !override [8.8.8.8]}, base: {image: b, ports: ['2:2'], dns: [1.1.1.1]}}",
  );
  expect(services.a).not.toHaveProperty("ports");
  expect(services.a!.dns).toEqual(["8.8.8.8"]);
});

test("extends: circles and what is not there are named", async () => {
  expect(await refusal("services:\n  a: {extends: b}\n  b: {extends: a}")).toBe(
    "compose.yaml:3:16: services.b.extends: circular reference: a in compose.yaml extends b in compose.yaml extends a in compose.yaml",
  );
  expect(await refusal("services:\n  a: {extends: webb}\n  web: {image: x}")).toContain(
    'cannot extend service "a": service "webb" is not in compose.yaml; did you mean "web"?',
  );
  expect(await refusal("services: {a: {extends: {file: no.yaml, service: b}}}")).toContain(
    "cannot read no.yaml: open /app/no.yaml: no such file",
  );
  const far = {
    "compose.yaml": "services: {a: {extends: {file: b.yaml, service: b}}}",
    "b.yaml": "services: {b: {extends: {file: compose.yaml, service: a}}}",
  };
  expect(await refusal(far)).toContain("a in compose.yaml extends b in b.yaml extends a in compose.yaml");
});

test("extends: of the other file only what is wanted is looked at", async () => {
  const files = {
    "compose.yaml": "services: {a: {extends: {file: b.yaml, service: b}}}",
    "b.yaml": "services:\n  b: {image: b}\n  broken: {image: [1], command: '${NEEDED:?}'}\n",
  };
  expect((await load(files)).services.a).toMatchObject({ image: "b" });
  const wrong = { ...files, "b.yaml": "services:\n  b: {imag: b}\n" };
  expect(await refusal(wrong)).toBe('b.yaml:2:7: services.b.imag: is not known here; did you mean "image"?');
});

test("include: circles, conflicts and what is not there are named", async () => {
  const circle = {
    "compose.yaml": "include: [a/compose.yaml]\nservices: {x: {image: x}}",
    "a/compose.yaml": "include: [../compose.yaml]\nservices: {a: {image: a}}",
  };
  expect(await refusal(circle)).toBe(
    "a/compose.yaml:1:11: include: include cycle detected: compose.yaml includes a/compose.yaml includes compose.yaml",
  );
  expect(await refusal("include: [no.yaml]\nservices: {a: {image: x}}")).toContain(
    "compose.yaml:1:11: include: there is no file /app/no.yaml",
  );
  expect(await refusal("include: ['https://x/y.git']\nservices: {a: {image: x}}")).toContain("only files are included");
  const conflict = { "compose.yaml": "include: [a.yaml]\nservices:\n  a: {image: x}", "a.yaml": "services:\n  a: {image: y}" };
  expect(await refusal(conflict)).toBe(
    "compose.yaml:3:3: services.a: conflicts with imported resource: a.yaml:2, which is included, says otherwise; rename one of them",
  );
  const same = { "compose.yaml": "include: [a.yaml, a.yaml]\nservices: {b: {image: y}}", "a.yaml": "services: {a: {image: y}}" };
  expect(Object.keys((await load(same)).services)).toEqual(["b", "a"]);
});

test("include: what is included may be changed by another file", async () => {
  const files = {
    "a.yaml": "include: [inc.yaml]",
    "b.yaml": "services: {i: {command: b}}",
    "inc.yaml": "services: {i: {image: i}}",
  };
  expect((await load(files, { files: ["a.yaml", "b.yaml"] })).services.i).toMatchObject({ image: "i", command: ["b"] });
});

test("services are selected with what they depend on", async () => {
  const project = await load(
    "services: {a: {image: a, depends_on: [b]}, b: {image: b, volumes: [v:/v]}, c: {image: c, networks: [n], links: [a]}}\nvolumes: {v: , w: }\nnetworks: {n: }",
  );
  expect(Object.keys(selectServices(project, ["a"]).services)).toEqual(["a", "b"]);
  expect(Object.keys(selectServices(project, ["c"]).services)).toEqual(["a", "b", "c"]);
  const alone = selectServices(project, ["a"], false);
  expect(alone.services).toEqual({ a: expect.not.objectContaining({ depends_on: expect.anything() }) });
  expect(Object.keys(alone.disabled)).toEqual(["b", "c"]);
  expect(withoutUnused(selectServices(project, ["b"]))).toMatchObject({ volumes: { v: {} }, networks: { default: {} } });
  expect(Object.keys(withoutUnused(selectServices(project, ["b"])).volumes)).toEqual(["v"]);
  expect(() => selectServices(project, ["cc"])).toThrow("no such service: cc");
});
