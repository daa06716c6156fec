import { visible } from "../lib/printable.ts";
import { ellipsis } from "../lib/table.ts";
import { type Context, isDrawable, line, type Sink } from "./context.ts";

/** What the engine tells of a layer on its way. */
interface Step {
  readonly id: string;
  readonly message: string;
  readonly current?: number;
  readonly total?: number;
}

export interface LayerProgress {
  begin(text: string): Promise<void>;
  step(step: unknown): Promise<void>;
  end(): Promise<void>;
}

const BAR = 30;
/** Of a terminal that does not say. */
const ROWS = 24;
/** Rows that are left to what was there before, and to the cursor. A terminal with no more is written to as a file is. */
const MARGIN = 2;
/** Milliseconds between two drawings. */
const EVERY = 80;

/**
 * Layers on their way. On a terminal one line each, with a bar, drawn over and over; elsewhere a line when a layer is there, as
 * Docker's; as JSON every step.
 */
export async function layerProgress(context: Context, output: "stdout" | "stderr" | "json" | "none"): Promise<LayerProgress> {
  const nothing = async (): Promise<void> => {};
  if (output === "none") return { begin: nothing, step: nothing, end: nothing };
  if (output === "json") return { begin: nothing, end: nothing, step: (step) => line(context.stdout, JSON.stringify(step)) };
  const sink = context[output];
  const terminal = await context.terminal();
  const fd = output === "stdout" ? 1 : 2;
  const rows = terminal.size(fd)?.rows ?? ROWS;
  if (!(await isDrawable(context, fd)) || rows <= MARGIN) return plain(sink);
  const { decimalSize } = await import("../lib/units.ts");
  return drawn(sink, () => terminal.size(fd), decimalSize);
}

const ends = /^(Pull complete|Already exists|Pushed|Layer already exists|Mounted from .*)$/;
const isEnd = (message: string): boolean => ends.test(message);

function plain(sink: Sink): LayerProgress {
  const told = new Map<string, string>();
  return {
    begin: (text) => line(sink, text),
    end: async () => {},
    async step(given) {
      const { id, message } = given as Step;
      if (!isEnd(message) || told.get(id) === message) return;
      told.set(id, message);
      await line(sink, `${id}: ${message}`);
    },
  };
}

function drawn(
  sink: Sink,
  size: () => { readonly columns: number; readonly rows: number } | undefined,
  bytes: (count: number) => string,
): LayerProgress {
  const steps = new Map<string, Step>();
  let lines = 0;
  let last = 0;
  const row = ({ id, message, current = 0, total = 0 }: Step): string => {
    if (!/^(Downloading|Pushing)$/.test(message) || total === 0) return `${id}: ${message}`;
    const full = Math.min(BAR, Math.floor((BAR * current) / total));
    return `${id}: ${message} [${"=".repeat(full)}>${" ".repeat(BAR - full)}] ${bytes(current)}/${bytes(total)}`;
  };
  const draw = async (all: boolean): Promise<void> => {
    const { columns = 80, rows = ROWS } = size() ?? {};
    const up = lines > 0 ? `\x1b[${lines}A` : "";
    // Lines that have left the screen cannot be drawn over: the latest ones that fit are shown, at the end all of them.
    const shown = [...steps.values()].slice(all ? 0 : -Math.max(1, rows - MARGIN));
    lines = shown.length;
    last = Date.now();
    await sink.write(`${up}${shown.map((step) => `\x1b[K${ellipsis(visible(row(step)), columns - 1)}\n`).join("")}`);
  };
  return {
    begin: (text) => line(sink, text),
    async step(given) {
      const step = given as Step;
      steps.set(step.id, step);
      if (isEnd(step.message) || Date.now() - last >= EVERY) await draw(false);
    },
    end: () => draw(true),
  };
}
