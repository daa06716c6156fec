// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables are the matter
import { expect, test } from "bun:test";
import { load, refusal } from "./kit.ts";

const service = (image: string): string => `services: {a: {image: ${image}}}`;
const imageOf = async (...given: Parameters<typeof load>): Promise<string> => (await load(...given)).services.a!.image!;

test("the file is looked for here, then above, with what overrides it", async () => {
  const files = {
    "compose.yaml": service("one"),
    "compose.override.yaml": service("over"),
    "docker-compose.yml": service("old"),
  };
  const project = await load(files, { cwd: "/app/deep/er" });
  expect(project).toMatchObject({ name: "app", working_dir: "/app", services: { a: { image: "over" } } });
  expect(project.files).toEqual(["/app/compose.yaml", "/app/compose.override.yaml"]);
  const told: string[] = [];
  await load(files, { warn: (message) => told.push(message) });
  expect(told).toEqual([
    "Found multiple config files with supported names: /app/compose.yaml, /app/docker-compose.yml",
    "Using /app/compose.yaml",
  ]);
});

test("-f stands above COMPOSE_FILE, that above what is found", async () => {
  const files = { "compose.yaml": service("found"), "a.yaml": service("a"), "b.yaml": service("b"), "-": service("input") };
  expect(await imageOf(files)).toBe("found");
  expect(await imageOf(files, { environment: { COMPOSE_FILE: "a.yaml:b.yaml" } })).toBe("b");
  expect(await imageOf(files, { environment: { COMPOSE_FILE: "b.yaml|a.yaml", COMPOSE_PATH_SEPARATOR: "|" } })).toBe("a");
  expect(await imageOf(files, { environment: { COMPOSE_FILE: "a.yaml" }, files: ["b.yaml"] })).toBe("b");
  expect(await imageOf(files, { files: ["-"] })).toBe("input");
  expect(await imageOf({ ...files, ".env": "COMPOSE_FILE=a.yaml" })).toBe("a");
});

test("what is not there is said", async () => {
  expect(await refusal({})).toContain("no configuration file provided: not found: there is no compose.yaml in /app or above it");
  expect(await refusal({}, { files: ["x.yaml"] })).toBe("open /app/x.yaml: no such file or directory");
  expect(await refusal(service("x"), { envFiles: ["no.env"] })).toBe("couldn't find env file: /app/no.env");
  expect(await refusal({ "compose.yaml": service("x"), ".env": "A=1\nB C=2" })).toStartWith("/app/.env:2: ");
});

test("the name: -p, COMPOSE_PROJECT_NAME, the file's, the directory's", async () => {
  const named = `name: of-file\n${service("x")}`;
  const nameOf = async (...given: Parameters<typeof load>): Promise<string> => (await load(...given)).name;
  expect(await nameOf(named, { projectName: "flag", environment: { COMPOSE_PROJECT_NAME: "variable" } })).toBe("flag");
  expect(await nameOf(named, { environment: { COMPOSE_PROJECT_NAME: "variable" } })).toBe("variable");
  expect(await nameOf(named)).toBe("of-file");
  expect(
    await nameOf(
      { "compose.yaml": named, "b.yaml": "name: ${B}" },
      { files: ["compose.yaml", "b.yaml"], environment: { B: "of B!" } },
    ),
  ).toBe("ofb");
  expect(await nameOf({ "/My App.2/compose.yaml": service("x") }, { cwd: "/My App.2" })).toBe("myapp2");
  expect(await refusal(service("x"), { projectName: "My App" })).toContain('invalid project name "My App"');
  expect(await refusal({ "/.../compose.yaml": service("x") }, { cwd: "/..." })).toContain("project name must not be empty");
  expect(await imageOf(`name: n\n${service("$COMPOSE_PROJECT_NAME")}`)).toBe("n");
});

test("--project-directory is what relative paths begin at", async () => {
  const files = {
    "sub/compose.yaml": "services: {a: {image: $V, volumes: [./x:/x]}}",
    "sub/.env": "V=here",
    "other/.env": "V=other",
  };
  expect(await load(files, { files: ["sub/compose.yaml"] })).toMatchObject({
    working_dir: "/app/sub",
    services: { a: { volumes: [{ source: "/app/sub/x" }] } },
  });
  const project = await load(files, { files: ["sub/compose.yaml"], projectDirectory: "other" });
  expect(project).toMatchObject({
    name: "other",
    working_dir: "/app/other",
    services: { a: { image: "other", volumes: [{ source: "/app/other/x" }] } },
  });
});

test("env files: --env-file or COMPOSE_ENV_FILES instead of .env, later ones count, the caller most", async () => {
  const files = { "compose.yaml": service("$V"), ".env": "V=dotenv", "a.env": "V=a\nW=a", "b.env": "V=${W}b" };
  expect(await imageOf(files)).toBe("dotenv");
  expect(await imageOf(files, { envFiles: ["a.env", "b.env"] })).toBe("ab");
  expect(await imageOf(files, { environment: { COMPOSE_ENV_FILES: "b.env,a.env" } })).toBe("a");
  expect(await imageOf(files, { environment: { V: "caller" }, envFiles: ["a.env"] })).toBe("caller");
  expect(await imageOf(files, { environment: { COMPOSE_DISABLE_ENV_FILE: "1" } }).catch(() => "none")).toBe("none");
});

test("profiles: asked for, of the environment, of services that are named", async () => {
  const text = "services: {a: {image: a}, p: {image: p, profiles: [p]}, q: {image: q, profiles: [q], depends_on: [p]}}";
  const enabled = async (options: Parameters<typeof load>[1]): Promise<string[]> =>
    Object.keys((await load(text, options)).services);
  expect(await enabled({})).toEqual(["a"]);
  expect(await enabled({ profiles: ["p"] })).toEqual(["a", "p"]);
  expect(await enabled({ environment: { COMPOSE_PROFILES: "p, q" } })).toEqual(["a", "p", "q"]);
  expect(await enabled({ profiles: ["*"] })).toEqual(["a", "p", "q"]);
  expect(await enabled({ services: ["p"] })).toEqual(["a", "p"]);
  expect(await refusal(text, { services: ["q"] })).toContain(
    'service "p" is required by "q" but is disabled; enable it with --profile p',
  );
  expect(await refusal(text, { services: ["pp"] })).toBe("no such service: pp; did you mean p?");
});
