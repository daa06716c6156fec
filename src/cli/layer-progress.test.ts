import { expect, test } from "bun:test";
import type { Context } from "./context.ts";
import { layerProgress } from "./layer-progress.ts";

/** A context whose standard output is a terminal of so many rows, and what was written to it. */
function terminalOf(rows: () => number | undefined) {
  let written = "";
  const size = () => {
    const found = rows();
    return found === undefined ? undefined : { rows: found, columns: 80 };
  };
  const context = {
    env: {},
    stdout: {
      write: async (chunk: string) => {
        written += chunk;
      },
    },
    terminal: async () => ({ isTerminal: () => true, size }),
  } as unknown as Context;
  return { context, written: () => written };
}

/** How many lines the last drawing went up before it drew, and how many it drew. */
const lastDrawing = (written: string): [up: number, lines: number] => {
  const at = written.lastIndexOf("\x1b[K") < 0 ? 0 : written.lastIndexOf("A\x1b[K");
  const drawing = written.slice(written.lastIndexOf("\x1b[", at - 1));
  return [Number(/^\x1b\[(\d+)A/.exec(drawing)?.[1] ?? 0), drawing.split("\n").length - 1];
};

async function show(rows: () => number | undefined, layers = 5): Promise<() => string> {
  const { context, written } = terminalOf(rows);
  const progress = await layerProgress(context, "stdout");
  for (let layer = 0; layer < layers; layer++) await progress.step({ id: `l${layer}`, message: "Already exists" });
  return written;
}

test.each([
  [3, 1],
  [4, 2],
  [24, 5],
  [undefined, 5],
])("a terminal of %p rows is drawn over %p lines at a time", async (rows, lines) =>
  expect(lastDrawing((await show(() => rows))())).toEqual([Math.min(lines, 4), lines]),
);

test.each([1, 2])("one of %p rows is written to line by line", async (rows) =>
  expect((await show(() => rows))()).toBe(
    "l0: Already exists\nl1: Already exists\nl2: Already exists\nl3: Already exists\nl4: Already exists\n",
  ),
);

test("one that becomes too small keeps one line", async () => {
  let asked = 0;
  const written = await show(() => (asked++ === 0 ? 24 : 1));
  expect(lastDrawing(written())).toEqual([1, 1]);
});
