/** What commands draw on a terminal while they work, what they write elsewhere, and how Ctrl-C leaves the terminal. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { imageOf, tarOf } from "../images/archives.ts";
import { type Size, startCommand, startOnTerminal, type TerminalCall } from "../kit/command.ts";
import { type Engine, eventually, onggiCommand, startEngine } from "../kit/engine.ts";
import { HostileRegistry } from "../kit/hostile.ts";

const LAYER = 400_000;

let engine: Engine;
let registry: HostileRegistry;
let projects: string;
let env: Record<string, string>;
let count = 0;

beforeAll(async () => {
  engine = startEngine();
  registry = await HostileRegistry.start();
  projects = join(engine.base, "projects");
  env = { ONGGI_ROOT: engine.root, ONGGI_RUN: engine.run, ONGGI: onggiCommand.join(" ") };
  await engine.pid();
}, 120_000);
afterAll(async () => {
  await registry.close();
  await engine.close();
}, 120_000);

/** The name of a new image whose one layer comes in so many pieces, one every 60 ms. */
function image(pieces: number): string {
  const repository = `pots/app-${count++}`;
  const { name, layers } = registry.image(repository, imageOf([tarOf({ [repository]: randomBytes(LAYER) })]));
  const path = `${repository}/blobs/${layers[0]!.digest}`;
  const data = (registry.answers.get(path) as { body: Uint8Array }).body;
  const size = Math.ceil(data.length / pieces);
  registry.answers.set(path, {
    length: data.length,
    body: async function* () {
      for (let at = 0; at < data.length; at += size) {
        yield data.subarray(at, at + size);
        await Bun.sleep(60);
      }
    },
  });
  return name;
}

/** A project of one service with that image. */
function project(of: string): string {
  const directory = join(projects, `p${count}`);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "compose.yaml"), `services: {a-kick-wheel: {image: "${of}"}}\n`);
  return directory;
}

const onTerminal = (words: readonly string[], size: Size, more: Record<string, string> = {}, cwd = "/"): TerminalCall =>
  startOnTerminal([...onggiCommand, ...words], { env: { ...env, ...more }, cwd }, size);

/** Moves of the cursor and colours: SGR ends with m. */
const moves = (screen: string): string[] => screen.match(/\x1b\[[\d;?]*[A-Za-ln-z]/g) ?? [];
const colours = (screen: string): string[] => screen.match(/\x1b\[[\d;]*m/g) ?? [];
const widest = (screen: string): number => Math.max(...screen.split(/[\r\n]+/).map((line) => Bun.stringWidth(line)));

describe("a pull", () => {
  test("is drawn over within the terminal's columns, also after they have become fewer", async () => {
    const name = image(12);
    const call = onTerminal(["pull", name], { columns: 60, rows: 24 });
    await call.until(/Downloading \[=+>/);
    call.resize(30, 24);
    const before = call.screen().length;
    expect(await call.done).toBe(0);
    const screen = call.screen();
    expect(moves(screen).length).toBeGreaterThan(2);
    expect(colours(screen)).toEqual([]);
    expect(widest(screen.slice(0, before))).toBeLessThan(60);
    const drawn = screen
      .slice(before)
      .split("\n")
      .filter((line) => line.includes("\x1b["));
    expect(widest(drawn.slice(1).join("\n"))).toBeLessThan(30);
    expect(screen).toContain("Pull complete");
  });

  test.each<[string, Record<string, string>]>([
    ["without a terminal", {}],
    ["without one, where colours are asked for", { FORCE_COLOR: "1", CLICOLOR_FORCE: "1" }],
  ])("%s is a line for each layer", async (_, more) => {
    const { stdout, stderr, code } = await startCommand([...onggiCommand, "pull", image(2)], {
      env: { ...env, ...more },
      stdin: "",
    }).done;
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(
      /^1: Pulling from .*\n[0-9a-f]{12}: Pull complete\nDigest: sha256:\w+\nStatus: .*\n127.0.0.1:\d+\/pots\/app-\d+:1\n$/,
    );
  });

  test("on a dumb terminal is one, too", async () => {
    const call = onTerminal(["pull", image(2)], { columns: 80, rows: 24 }, { TERM: "dumb" });
    expect(await call.done).toBe(0);
    expect(call.screen()).not.toContain("\x1b");
    expect(call.screen()).toContain(": Pull complete\r\n");
  });
});

describe("compose up", () => {
  test.each<[string, Record<string, string>, boolean]>([
    ["colours", {}, true],
    ["with NO_COLOR none", { NO_COLOR: "1" }, false],
  ])("is drawn over: %s", async (_, more, coloured) => {
    const cwd = project(image(6));
    const call = onTerminal(["compose", "up", "--no-start"], { columns: 40, rows: 24 }, more, cwd);
    expect(await call.done).toBe(0);
    expect(moves(call.screen()).length).toBeGreaterThan(2);
    expect(colours(call.screen()).length > 0).toBe(coloured);
    expect(widest(call.screen())).toBeLessThan(40);
    await engine.ok(["compose", "down"], { cwd });
  });

  test("without a terminal is lines", async () => {
    const cwd = project(image(2));
    const { stderr, code } = await engine.onggi(["compose", "up", "--no-start"], { cwd });
    expect(code).toBe(0);
    expect(stderr).not.toContain("\x1b");
    expect(stderr).toMatch(/^ Container \S+-a-kick-wheel-1 {2}Created$/m);
    await engine.ok(["compose", "down"], { cwd });
  });
});

describe("an archive on its way", () => {
  test("is one line on a terminal, gone when the result is there", async () => {
    const file = join(engine.base, "rootfs.tar");
    writeFileSync(file, tarOf({ clay: Buffer.alloc(24 << 20) }));
    const call = onTerminal(["import", file], { columns: 40, rows: 24 });
    expect(await call.done).toBe(0);
    expect(call.screen()).toMatch(/^(\r\x1b\[KImporting [^\r\n]{1,28})+\r\x1b\[Ksha256:\w{64}\r\n$/);
    const { stdout, stderr } = await engine.onggi(["import", file]);
    expect([stdout.length, stderr]).toEqual([72, ""]);
    const dumb = onTerminal(["import", file], { columns: 40, rows: 24 }, { TERM: "dumb" });
    expect(await dumb.done).toBe(0);
    expect(dumb.screen()).toMatch(/^sha256:\w{64}\r\n$/);
  });
});

describe("a table", () => {
  const table = ["volume", "ls", "--format", "table {{.Name}}\t{{.Labels}}\t{{.Driver}}"];
  let plain: string;
  beforeAll(async () => {
    await engine.ok(["volume", "create", "--label", "kiln=옹기 🏺", "clay"]);
    await engine.ok(["volume", "create", "--label", "kiln=\x1b[2J\x1b]0;owned\x07\nfake", "glaze"]);
    plain = await engine.ok(table);
  });
  afterAll(() => engine.ok(["volume", "rm", "clay", "glaze"]));

  test("aligns wide characters, and spells out what a terminal would obey", () =>
    expect(plain).toBe(
      [
        "VOLUME NAME   LABELS                               DRIVER",
        "clay          kiln=옹기 🏺                         local",
        "glaze         kiln=\\x1b[2J\\x1b]0;owned\\x07\\nfake   local",
      ].join("\n"),
    ));

  test.each([40, 80, 200])("is the same in %d columns: nothing is cut, coloured or moved", async (columns) => {
    const call = onTerminal(table, { columns, rows: 24 });
    expect(await call.done).toBe(0);
    await call.until("fake   local\r\n");
    expect(call.screen().replaceAll("\r\n", "\n")).toBe(`${plain}\n`);
  });

  test("that is live is drawn on a terminal only", async () => {
    const { process: child, until, output } = startCommand([...onggiCommand, "stats"], { env });
    await until(/^CONTAINER ID .*\n/);
    child.kill("SIGINT");
    expect(await child.exited).toBe(0);
    expect(output()).not.toContain("\x1b");
    const call = onTerminal(["stats"], { columns: 40, rows: 24 });
    await call.until("CONTAINER ID");
    expect(widest(call.screen().replaceAll(/\x1b\[[HKJ]/g, ""))).toBeLessThanOrEqual(40);
    call.write("\x03");
    expect(await call.done).toBe(0);
  });
});

describe("Ctrl-C", () => {
  let shell: TerminalCall;
  beforeAll(async () => {
    shell = startOnTerminal(["sh", "-i"], { env: { ...env, ENV: "" }, cwd: project(image(200)) });
    shell.write("PS1='rea''dy> '; stty -a > before\n");
    await shell.until("ready> ");
  });
  afterAll(() => shell.kill());

  test.each<[command: string, seen: string | RegExp, status: number]>([
    ["pull IMAGE", /Downloading \[=*>/, 130],
    ["compose up", "Pulling", 130],
    ["stats", "CONTAINER ID", 0],
    ["events", "events\r\n", 130],
    ["login -u potter 127.0.0.1:1", "Password:", 125],
  ])("%s leaves the terminal as it was", async (command, seen, status) => {
    const from = shell.screen().length;
    const screen = (): string => shell.screen().slice(from);
    const shows = (text: string | RegExp) =>
      eventually(`${text} on the screen`, () => (typeof text === "string" ? screen().includes(text) : text.test(screen()))).catch(
        (error) => {
          throw new Error(`${error.message}: ${JSON.stringify(screen())}`);
        },
      );
    shell.write(`$ONGGI ${command.replace("IMAGE", image(200))}\n`);
    await shows(seen);
    await Bun.sleep(150);
    shell.write("\x03");
    await shows("ready> ");
    shell.write("echo ended with $?; stty -a | cmp - before && echo sa''ne\n");
    await shows(/ended with \d+\r\n(.*\r\n)?sane\r\n/);
    expect(/ended with (\d+)\r/.exec(screen())?.[1]).toBe(`${status}`);
    expect(screen()).not.toContain("\x1b[?25l");
    await eventually("the registry is asked for no more", () => registry.connections === 0);
  });
});
