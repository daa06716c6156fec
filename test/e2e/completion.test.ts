/** Shells complete commands, flags and the names of what there is, by the scripts that `onggi completion` prints. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startCommand, startOnTerminal } from "../kit/command.ts";
import { type Engine, onggiCommand, slowness, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { skipLoudly } from "../kit/skip.ts";

let engine: Engine;
let env: Record<string, string>;
/** Where the shells are: a compose file, files with blanks and quotes in their names. */
let cwd: string;

beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
  await engine.ok(["create", "--name", "teapot", "busybox", "true"]);
  await engine.ok(["network", "create", "kiln"]);
  await engine.ok(["volume", "create", "clay"]);
  const programs = join(engine.base, "programs");
  mkdirSync(programs);
  symlinkSync(onggiCommand[0]!, join(programs, "onggi"));
  cwd = join(engine.base, "here");
  mkdirSync(join(cwd, "glazed $(touch bad)"), { recursive: true });
  writeFileSync(join(cwd, "a 'quoted' jar.tar"), "");
  writeFileSync(join(cwd, "pottery.yaml"), "services: {kick-wheel: {image: busybox}, kiln: {image: busybox, profiles: [hot]}}\n");
  env = { PATH: `${programs}:${process.env.PATH}`, ONGGI_ROOT: engine.root, ONGGI_RUN: engine.run };
}, 120_000);
afterAll(() => engine.close(), 120_000);

/** What is typed, and what it becomes or what is offered. */
const lines: readonly (readonly [typed: string, ...offered: string[]])[] = [
  ["onggi unp", "unpause"],
  ["onggi network disc", "disconnect"],
  ["onggi run --memory-r", "--memory-reservation"],
  ["onggi run --userns h", "host"],
  ["onggi run --network ki", "kiln"],
  ["onggi network rm ki", "kiln"],
  ["onggi volume rm ", "clay"],
  ["onggi rm ", "teapot"],
  ["onggi run busybox:la", "busybox:latest"],
  ["onggi run -it --rm --pull a", "always"],
  ["onggi network create -d over", "overlay"],
  ["onggi compose -f pottery.yaml up kick", "kick-wheel"],
  ["onggi compose -f pottery.yaml --profile x run --rm kiln", "kiln"],
  ["onggi compose -f pottery.yaml up --exit-code-from kick", "kick-wheel"],
  ["onggi compose --ansi n", "never"],
  ["onggi -c def", "default"],
  ["onggi -c default network disc", "disconnect"],
  ["onggi context rm def", "default"],
];

const hasShell = (name: string): boolean => {
  if (Bun.which(name)) return true;
  skipLoudly(`${name} is not installed: its completion`);
  return false;
};

const offeredBy = async (words: readonly string[]): Promise<string[]> => {
  const { stdout, stderr } = await startCommand(words, { env, cwd, stdin: "" }).done;
  if (stderr !== "") throw new Error(stderr);
  return stdout.split("\n").filter(Boolean);
};

describe.skipIf(!hasShell("bash"))("bash", () => {
  test.each(lines)("%s", async (typed, ...offered) => {
    const probe = `source <(onggi completion bash); COMP_LINE=$1 COMP_POINT=\${#1}; _onggi; printf '%s\\n' "\${COMPREPLY[@]}"`;
    // what is behind the last colon is all that bash wants
    const wanted = offered.map((word) => (typed.includes(":") ? word.replace(/^.*:/, "") : word));
    expect(await offeredBy(["bash", "--norc", "-c", probe, "bash", typed])).toEqual(wanted);
  });
});

describe.skipIf(!hasShell("fish"))("fish", () => {
  test.each(lines)("%s", async (typed, ...offered) => {
    const found = await offeredBy(["fish", "-N", "-c", 'onggi completion fish | source; complete -C "$argv[1]"', typed]);
    expect(found.map((line) => line.split("\t")[0]!)).toEqual(offered);
  });
});

describe.skipIf(!hasShell("zsh"))("zsh", () => {
  test("every line", async () => {
    const shell = startOnTerminal(["zsh", "-f"], { env, cwd }, { columns: 120, rows: 40 });
    shell.write(
      "autoload -U compinit; compinit -u -D; source <(onggi completion zsh); unsetopt zle_bracketed_paste; PS1='rea''dy> '\n",
    );
    await shell.until("ready> ");
    for (const [typed, ...offered] of lines) {
      const before = shell.screen().length;
      shell.write(`${typed}\t`);
      const shown = () => shell.screen().slice(before);
      for (let at = 0; at < 200 && !offered.every((word) => shown().includes(word)); at += 1) await Bun.sleep(25);
      expect([typed, ...offered.filter((word) => shown().includes(word))]).toEqual([typed, ...offered]);
      shell.write("\u0015");
    }
    shell.write("exit\n");
    await shell.done;
  }, 60_000);
});

/** Files are the shell's own affair, quoted as it does that. */
describe("files with blanks and quotes in their names", () => {
  test.skipIf(!hasShell("bash"))("bash", async () => {
    const shell = startOnTerminal(["bash", "--norc", "--noprofile"], { env, cwd }, { columns: 120, rows: 40 });
    shell.write("source <(onggi completion bash); bind 'set enable-bracketed-paste off'; PS1='rea''dy> '\n");
    await shell.until("ready> ");
    for (const [typed, shown] of [
      ["onggi load -i a\t", "a\\ \\'quoted\\'\\ jar.tar"],
      ["onggi load -i 'pot\t", "'pottery.yaml'"],
      ["onggi compose --project-directory gl\t", "glazed\\ \\$\\(touch\\ bad\\)/"],
    ] as const) {
      shell.write(typed);
      await shell.until(shown, 5000);
      shell.write("\u0015");
    }
    shell.write("exit\n");
    expect(await shell.done).toBe(0);
  });
});

test("completing starts no engine, and waits for none", async () => {
  const run = join(engine.base, "nobody");
  const started = performance.now();
  const nobody = { ...env, ONGGI_RUN: run, ONGGI_ROOT: join(engine.base, "nothing") };
  const { stdout, stderr, code } = await startCommand([...onggiCommand, "__complete", "container"], {
    env: nobody,
    cwd,
    stdin: "",
  }).done;
  expect([stdout, stderr, code]).toEqual(["", "", 1]);
  expect(performance.now() - started).toBeLessThan(1000 * slowness);
  expect(existsSync(run)).toBe(false);
});
