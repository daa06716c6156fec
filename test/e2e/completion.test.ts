/** Shells complete commands, flags and the names of what there is, by the scripts that `onggi completion` prints. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { startCommand, startOnTerminal } from "../kit/command.ts";
import { type Engine, onggiCommand, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { skipLoudly } from "../kit/skip.ts";

let engine: Engine;
let env: Record<string, string>;

beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
  await engine.ok(["create", "--name", "teapot", "busybox", "true"]);
  await engine.ok(["network", "create", "kiln"]);
  await engine.ok(["volume", "create", "clay"]);
  const programs = join(engine.base, "programs");
  mkdirSync(programs);
  symlinkSync(onggiCommand[0]!, join(programs, "onggi"));
  env = { PATH: `${programs}:${process.env.PATH}`, ONGGI_ROOT: engine.root, ONGGI_RUN: engine.run };
}, 120_000);
afterAll(() => engine.close(), 120_000);

/** What is typed, and what it becomes or what is offered. */
const lines: readonly (readonly [typed: string, ...offered: string[]])[] = [
  ["onggi unp", "unpause"],
  ["onggi network disc", "disconnect"],
  ["onggi run --memory-s", "--memory-swap"],
  ["onggi run --userns h", "host"],
  ["onggi run --network ki", "kiln"],
  ["onggi network rm ki", "kiln"],
  ["onggi volume rm ", "clay"],
  ["onggi rm ", "teapot"],
  ["onggi run busybox:la", "busybox:latest"],
];

const hasShell = (name: string): boolean => {
  if (Bun.which(name)) return true;
  skipLoudly(`${name} is not installed: its completion`);
  return false;
};

const offeredBy = async (words: readonly string[]): Promise<string[]> => {
  const { stdout, stderr } = await startCommand(words, { env, stdin: "" }).done;
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
    const shell = startOnTerminal(["zsh", "-f"], { env }, { columns: 120, rows: 40 });
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
