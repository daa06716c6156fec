/**
 * The SDK as it is installed. The examples of docs/sdk.md, as they stand: all by Bun, some by Node and Deno, with what they say that they
 * print; the executable in its package; the end of what a program made, whatever ended the program.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Engine, eventually, onggiCommand, repository, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox, sh } from "../kit/images.ts";
import { compile, type Installed, installSdk, platformDirectory, type RuntimeName, runtimes } from "../kit/sdk.ts";
import { hasSshd, Sshd } from "../kit/sshd.ts";

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

/** From CommonJS, with a second copy of the package beside the first. */
const common = `
  const assert = require("node:assert");
  const load = process.argv.at(-1) === "require" ? (name) => require(name) : (name) => import(name);
  (async () => {
    const [first, second] = [await load("onggi"), await load("./second/index.js")];
    const wait = { waitFor: first.log("never") };
    const error = await second.onggi.run("busybox", ["echo", "clay"], wait).catch((thrown) => thrown);
    assert(!(error instanceof first.WaitError));
    assert(first.isOnggiError(error, "wait_timeout", "container_exited"));
    console.log(error.lastLines[0]);
  })();
`;

/** Makes something of every kind, and is killed. */
const session = `
  import { onggi } from "onggi";
  const name = process.argv.at(-1)!;
  await onggi.networks.create(name);
  await onggi.run("busybox", ["sleep", "inf"], { name, networks: [name], mounts: [{ type: "volume", source: name, target: "/data" }] });
  console.log("made");
  process.kill(process.pid, "SIGKILL");
`;

const start = `
  import { onggi } from "onggi";
  console.log((await onggi.info()).root);
`;

/** On an engine of another host: does some of everything, and ends. */
const far = `
  import { connect, onggi } from "onggi";
  const name = process.argv.at(-1)!;
  const container = await onggi.run("busybox", ["sleep", "inf"], { name, ports: [80, { port: 81, host: "0.0.0.0" }] });
  await container.files.write("/tmp/file", "travels");
  const { stdout } = await container.exec(["tr", "a-z", "A-Z"], { input: "x".repeat(1_000_000) });
  const own = await container.address(80).catch((error: Error) => error.message);
  console.log(JSON.stringify([onggi.socket, stdout.length, await container.files.readText("/tmp/file"), (await container.address(81)).host, own]));
  const nobody = await connect({ host: "ssh://nobody@there/none.sock" }).then(() => "found", (error: { code: string }) => error.code);
  console.log(nobody);
`;

/** Says which engine is meant, and why those of the arguments cannot be. */
const contexts = `
  import { connect, onggi } from "onggi";
  console.log(onggi.socket, (await onggi.info()).root);
  for (const context of process.argv.at(-1)!.split(","))
    await connect({ context }).catch((error: { code: string; message: string }) => console.log(error.code, error.message));
`;

/** On an engine of another host, to which the network goes while it waits for a command. */
const silent = `
  import { isOnggiError, onggi } from "onggi";
  const container = await onggi.run("busybox", ["sleep", "inf"], { name: process.argv.at(-1)! });
  const error = await container.exec(["sh", "-c", "touch /up; sleep inf"]).catch((thrown: Error) => thrown);
  console.log(isOnggiError(error, "connection_lost"), (error as Error).message);
`;

let engine: Engine;
let sdk: Installed;

beforeAll(async () => {
  engine = startEngine();
  sdk = installSdk(engine);
  await bootstrapBusybox(engine);
  writeFileSync(join(sdk.directory, "common.cjs"), common);
  sh(["cp", "-r", "node_modules/onggi", "second"], { cwd: sdk.directory });
  for (const { file, code } of examples) writeFileSync(join(sdk.directory, `${file}.ts`), code);
  writeFileSync(join(sdk.directory, "session.ts"), session);
  writeFileSync(join(sdk.directory, "start.ts"), start);
  writeFileSync(join(sdk.directory, "far.ts"), far);
  writeFileSync(join(sdk.directory, "silent.ts"), silent);
  writeFileSync(join(sdk.directory, "contexts.ts"), contexts);
  // what the page says there is
  makeContext(sdk.env, "kiln");
  compile(sdk.directory);
});

afterAll(() => engine.close());

/** As `onggi context create` does it, for the engine of these tests. */
const makeContext = (env: Record<string, string>, name: string): string =>
  sh([...onggiCommand, "context", "create", name, "--docker", `host=unix://${engine.run}/onggi.sock`], { env });

/** Which runtimes an example is run by besides Bun: the first shows that they start, others what they do differently. */
const others: Readonly<Record<number, readonly RuntimeName[]>> = {
  0: ["node", "deno"],
  2: ["node", "deno"],
  3: ["node"],
  4: ["node"],
};

test("there are examples", () => expect(examples.length).toBeGreaterThan(10));

test("the codes of errors that the page has are thrown somewhere", () => {
  const table = /^\| code \|[\s\S]*?\n\n/m.exec(readFileSync(join(repository, "docs/sdk.md"), "utf8"))?.[0] ?? "";
  const codes = table
    .split("\n")
    .flatMap((line) => [...(line.split("|")[1] ?? "").matchAll(/`([a-z_]+)`/g)].map(([, code]) => code));
  expect(codes.length).toBeGreaterThan(25);
  const source = sh(["grep", "-rhoE", "--include=*.ts", "--exclude=*.test.ts", '"[a-z]+(_[a-z]+)+"|"paused"', "src"], {
    cwd: repository,
  });
  const thrown = new Set(source.split("\n"));
  expect(codes.filter((code) => !thrown.has(`"${code}"`))).toEqual([]);
});

for (const [index, { title, file, prints }] of examples.entries()) {
  for (const runtime of ["bun", ...(others[index] ?? [])] as const) {
    test.concurrent(`${title}: ${file} by ${runtime}`, async () => {
      const { code, stdout, stderr } = await sdk.run(runtime, runtime === "node" ? `compiled/${file}.js` : `${file}.ts`);
      expect({ code, printed: oneLine(stdout), stderr }).toEqual({ code: 0, printed: prints.join(" "), stderr: "" });
    });
  }
}

for (const runtime of runtimes) {
  test.concurrent(`what a program made goes when it is killed: by ${runtime}`, async () => {
    const name = `session-${runtime}`;
    const file = runtime === "node" ? "compiled/session.js" : "session.ts";
    const { code, stdout } = await sdk.run(runtime, file, [name]);
    expect([code, stdout.trim()]).toEqual([137, "made"]);
    const left = async (): Promise<string[]> => [
      await engine.ok(["ps", "-aq", "--filter", `name=^${name}$`]),
      await engine.ok(["network", "ls", "-q", "--filter", `name=${name}`]),
      await engine.ok(["volume", "ls", "-q", "--filter", `name=${name}`]),
    ];
    await eventually("all of it is gone", async () => (await left()).every((text) => text === ""));
  });
}

describe("contexts", () => {
  const place = () => join(engine.base, "contexts");
  beforeAll(() => {
    const env = { ...sdk.env, ONGGI_CONFIG_DIR: place() };
    for (const name of ["used", "broken", "closed"]) makeContext(env, name);
    sh([...onggiCommand, "context", "use", "used"], { env });
    writeFileSync(join(place(), "contexts/broken.json"), "{}");
    rmSync(join(place(), "contexts/closed.json"));
    // whoever runs the tests may read any file
    mkdirSync(join(place(), "contexts/closed.json"));
  });

  test.each([...runtimes])("the one in use, those that are none: by %s", async (runtime) => {
    const env = { ONGGI_CONFIG_DIR: place(), ONGGI_ROOT: "", ONGGI_RUN: "" };
    const file = runtime === "node" ? "compiled/contexts.js" : "contexts.ts";
    const { code, stdout, stderr } = await sdk.run(runtime, file, ["gone,broken,closed"], env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const at = `${place()}/contexts`;
    expect(stdout.trim().split("\n")).toEqual([
      `${engine.run}/onggi.sock ${engine.root}`,
      'context_not_found context "gone": not found; see onggi context ls',
      `contexts_invalid ${at}/broken.json is no context: it has not Name and Endpoints.docker.Host`,
      expect.stringContaining(`contexts_invalid ${at}/closed.json cannot be read: EISDIR`),
    ]);
    const chosen = { ...env, ONGGI_CONFIG_DIR: "", ONGGI_CONTEXT: "kiln" };
    expect((await sdk.run(runtime, file, ["kiln"], chosen)).stdout).toStartWith(`${engine.run}/onggi.sock `);
  });
});

for (const [runtime, how] of [
  ["node", "import"],
  ["bun", "require"],
] as const) {
  test.concurrent(`from CommonJS by ${how}, and errors of another copy: by ${runtime}`, async () => {
    expect(await sdk.run(runtime, "common.cjs", [how])).toEqual({ code: 0, stdout: "clay\n", stderr: "" });
  });
}

test("an engine is started by the executable of the package, if it is what the package says", async () => {
  const other = { ONGGI_ROOT: join(engine.base, "other/root"), ONGGI_RUN: join(engine.base, "other/run") };
  for (const name of ["onggi", "onggi-runtime"]) expect(statSync(join(platformDirectory, name)).mode & 0o111).toBe(0o111);
  try {
    const { code, stdout, stderr } = await sdk.run("node", "compiled/start.js", [], other);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout.trim()).toBe(other.ONGGI_ROOT);
  } finally {
    sh([join(platformDirectory, "onggi"), "--root", other.ONGGI_ROOT, "--run", other.ONGGI_RUN, "engine", "stop"]);
  }
  const damaged = await sdk.run("node", "compiled/start.js", [], { ...other, ONGGI_BINARY: "/nowhere" });
  expect(damaged.code).toBe(1);
  expect(damaged.stderr).toContain("ONGGI_BINARY names /nowhere, and no file is there");
});

describe.skipIf(!hasSshd())("an engine of another host, by ssh", () => {
  let sshd: Sshd;
  beforeAll(async () => {
    sshd = await Sshd.start(engine);
  });
  afterAll(() => sshd.stop());

  test.each([...runtimes])("by %s", async (runtime) => {
    const name = `far-${runtime}`;
    const env = { ONGGI_HOST: "ssh://root@there", PATH: `${sshd.bin}:${sdk.env.PATH}` };
    const { code, stdout, stderr } = await sdk.run(runtime, runtime === "node" ? "compiled/far.js" : "far.ts", [name], env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const [did, nobody] = stdout.trim().split("\n");
    expect(JSON.parse(did!)).toEqual([
      ...["ssh://root@there", 1_000_000, "travels", "there"],
      expect.stringContaining("published at no address of there but its own loopback"),
    ]);
    expect(nobody).toBe("engine_unreachable");
    await eventually("its container is gone", async () => (await engine.ok(["ps", "-aq"])) === "");
  });

  test.each([...runtimes])("a network that silently goes is an error: by %s", async (runtime) => {
    const bin = sshd.client(`impatient-${runtime}`, [
      "ServerAliveInterval 1",
      "ServerAliveCountMax 2",
      "ControlPath none",
      "LogLevel INFO",
    ]);
    const env = { ONGGI_HOST: "ssh://root@there", PATH: `${bin}:${sdk.env.PATH}` };
    const name = `silent-${runtime}`;
    const running = sdk.run(runtime, runtime === "node" ? "compiled/silent.js" : "silent.ts", [name], env);
    await eventually("the command runs", async () => (await engine.onggi(["exec", name, "ls", "/up"])).code === 0);
    const thaw = sshd.freeze();
    try {
      const { code, stdout, stderr } = await running;
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout.trim()).toBe(
        'true the connection was lost during "exec" (ssh ended with exit code 255: Timeout, server 127.0.0.1 not responding.);' +
          " containers run on, see onggi ps",
      );
    } finally {
      thaw();
    }
    await eventually("the other end has noticed, too", async () => (await engine.ok(["ps", "-aq"])) === "");
  });
});

test("nothing is left of them", () => engine.expectClean());
