import { afterEach, describe, expect, test } from "bun:test";
import type { Context } from "../context.ts";
import { type Display, openDisplay } from "./progress.ts";

interface Around {
  readonly terminal?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  readonly columns?: () => number;
}

let display: Display;
afterEach(() => display.end());

async function shown({ terminal = true, env = {}, columns = () => 80 }: Around, globals = {}): Promise<string> {
  let written = "";
  const stderr = {
    write: async (chunk: string) => {
      written += chunk;
    },
  };
  const context = {
    env,
    stderr,
    terminal: async () => ({ isTerminal: () => terminal, size: () => (terminal ? { columns: columns(), rows: 24 } : undefined) }),
  } as unknown as Context;
  display = await openDisplay(context, globals, "Running");
  const id = "Container a-project-of-pots-kick-wheel-1";
  display.tell({ id, text: "Starting", status: "working" });
  display.say("careful");
  await Bun.sleep(120);
  display.tell({ id, text: "Started", status: "done" });
  await display.end();
  return written;
}

const MOVES = /\x1b\[\d*[AJKH]/;
const COLOURS = /\x1b\[\d+m/;

describe("progress", () => {
  test("on a terminal is drawn over, in colours, and hides no cursor", async () => {
    const text = await shown({});
    expect(text).toMatch(MOVES);
    expect(text).toMatch(COLOURS);
    expect(text).not.toContain("\x1b[?25l");
  });

  test.each<[string, Around, object]>([
    ["without a terminal", { terminal: false }, {}],
    ["on a dumb one", { env: { TERM: "dumb" } }, {}],
    ["with --ansi never", {}, { ansi: "never" }],
    ["with --progress plain", {}, { progress: "plain" }],
  ])("%s is lines", async (_, around, globals) =>
    expect(await shown(around, globals)).toBe(
      " Container a-project-of-pots-kick-wheel-1  Starting\ncareful\n Container a-project-of-pots-kick-wheel-1  Started\n",
    ),
  );

  test("with NO_COLOR is drawn over without colours; an empty one means nothing", async () => {
    const text = await shown({ env: { NO_COLOR: "1" } });
    expect(text).toMatch(MOVES);
    expect(text).not.toMatch(COLOURS);
    expect(await shown({ env: { NO_COLOR: "" } })).toMatch(COLOURS);
  });

  test("--progress quiet says nothing but warnings", async () =>
    expect(await shown({}, { progress: "quiet" })).toBe("careful\n"));

  test.each([30, 40, 80, 200])("stays within %d columns, also of a terminal that has shrunk", async (columns) => {
    let asked = 0;
    const text = await shown({ columns: () => (asked++ === 0 ? 200 : columns) });
    const last = text.slice(text.lastIndexOf("\x1b[J"));
    for (const line of last.split("\n")) expect(Bun.stringWidth(line)).toBeLessThan(columns);
    expect(last).toContain("Started");
  });
});
