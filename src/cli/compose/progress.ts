import type { Step } from "../../compose/host.ts";
import { visible } from "../../lib/printable.ts";
import { ellipsis } from "../../lib/table.ts";
import { type Context, isDrawable, type Sink } from "../context.ts";
import type { Globals } from "./flags.ts";

/** How the work on a project is shown, on standard error. */
export interface Display {
  tell(step: Step): void;
  /** Something beside the steps: a warning. */
  say(text: string): void;
  /** Shows what has not been shown. */
  end(): Promise<void>;
}

export type Mode = "tty" | "plain" | "json" | "quiet";

const EVERY = 100;
/** Rows left to the cursor and to the line above. */
const MARGIN = 3;
/** Columns left to what is said about a thing, and to the time. */
const SAID = 20;
const SPINNER = [..."⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"];

export async function modeOf(context: Context, globals: Globals): Promise<Mode> {
  const asked = globals.progress ?? context.env.COMPOSE_PROGRESS;
  if (asked === "tty" || asked === "plain" || asked === "json" || asked === "quiet") return asked;
  const ansi = globals.ansi ?? context.env.COMPOSE_ANSI;
  if (ansi === "always") return "tty";
  return ansi !== "never" && (await isDrawable(context, 2)) ? "tty" : "plain";
}

/** Whether what is written to a descriptor has colours. */
export async function hasColours(context: Context, globals: Globals, fd: 1 | 2): Promise<boolean> {
  const ansi = globals.ansi ?? context.env.COMPOSE_ANSI;
  if (ansi === "always" || ansi === "never") return ansi === "always";
  return !context.env.NO_COLOR && isDrawable(context, fd);
}

export async function openDisplay(context: Context, globals: Globals, title: string): Promise<Display> {
  const mode = await modeOf(context, globals);
  if (mode === "tty") {
    const terminal = await context.terminal();
    const size = () => terminal.size(2) ?? { columns: 80, rows: 24 };
    return new Drawn(context.stderr, title, size, await hasColours(context, globals, 2));
  }
  return new Written(context.stderr, mode);
}

/** A line for each change. */
class Written implements Display {
  readonly #sink: Sink;
  readonly #mode: Mode;
  #last: Promise<void> = Promise.resolve();

  constructor(sink: Sink, mode: Mode) {
    this.#sink = sink;
    this.#mode = mode;
  }

  tell(step: Step): void {
    const { id, text, status, detail } = step;
    if (this.#mode === "json")
      this.#write(
        JSON.stringify({ id, status: status[0]!.toUpperCase() + status.slice(1), text, ...(detail ? { details: detail } : {}) }),
      );
    else if (this.#mode === "plain" && !detail) this.#write(` ${id}  ${text}`);
  }

  say(text: string): void {
    this.#write(this.#mode === "json" ? JSON.stringify({ level: "warning", msg: text }) : text);
  }

  end(): Promise<void> {
    return this.#last;
  }

  #write(text: string): void {
    this.#last = this.#sink.write(`${text}\n`);
    this.#last.catch(() => {});
  }
}

interface Row extends Step {
  readonly began: number;
  readonly ended?: number;
}

/** One line for each thing, drawn over and over. */
class Drawn implements Display {
  readonly #sink: Sink;
  readonly #title: string;
  readonly #size: () => { readonly columns: number; readonly rows: number };
  readonly #colours: boolean;
  readonly #rows = new Map<string, Row>();
  readonly #timer: ReturnType<typeof setInterval>;
  #lines = 0;
  #turn = 0;
  #last: Promise<void> = Promise.resolve();
  #above: string[] = [];

  constructor(sink: Sink, title: string, size: () => { readonly columns: number; readonly rows: number }, colours: boolean) {
    this.#sink = sink;
    this.#title = title;
    this.#size = size;
    this.#colours = colours;
    this.#timer = setInterval(() => this.#draw(false), EVERY);
  }

  tell(step: Step): void {
    const former = this.#rows.get(step.id);
    const now = Date.now();
    const restarts = former?.ended !== undefined && step.status === "working" && former.status !== "done";
    const began = former === undefined || restarts ? now : former.began;
    this.#rows.set(step.id, { ...step, began, ...(step.status === "working" ? {} : { ended: now }) });
  }

  say(text: string): void {
    this.#above.push(text);
  }

  async end(): Promise<void> {
    clearInterval(this.#timer);
    this.#draw(true);
    await this.#last;
  }

  #draw(all: boolean): void {
    if (this.#rows.size === 0 && this.#above.length === 0) return;
    this.#turn++;
    const { columns, rows } = this.#size();
    const known = [...this.#rows.values()];
    // lines that have left the screen cannot be drawn over
    const shown = all ? known : known.slice(-Math.max(1, rows - MARGIN));
    const width = Math.min(Math.max(0, ...shown.map(({ id }) => id.length)), Math.max(1, columns - SAID));
    const done = known.filter(({ ended }) => ended !== undefined).length;
    const head = known.length === 0 ? [] : [ellipsis(`[+] ${this.#title} ${done}/${known.length}`, columns - 1)];
    const lines = [...head, ...shown.map((row) => this.#line(row, width, columns))];
    const up = this.#lines > 0 ? `\x1b[${this.#lines}A\r\x1b[J` : "";
    this.#last = this.#sink.write(`${up}${[...this.#above, ...lines].map((line) => `${line}\n`).join("")}`);
    this.#last.catch(() => {});
    this.#above = [];
    this.#lines = lines.length;
  }

  #line({ id, text, status, began, ended = Date.now(), detail = "" }: Row, width: number, columns: number): string {
    const mark = { working: SPINNER[this.#turn % SPINNER.length]!, done: "✔", warning: "!", error: "✘" }[status];
    const colour = { working: "34", done: "32", warning: "33", error: "31" }[status];
    const time = `${((ended - began) / 1000).toFixed(1)}s`;
    const name = ` ${ellipsis(id, width).padEnd(width)}  `;
    const room = Math.max(0, columns - 4 - name.length - time.length);
    const said = ellipsis(visible(`${text}${detail && ` ${detail}`}`), room);
    const gap = " ".repeat(room + 1 - Bun.stringWidth(said));
    const paint = (of: string): string => (this.#colours ? `\x1b[${colour}m${of}\x1b[0m` : of);
    return ` ${paint(mark)}${name}${paint(said)}${gap}${time}`;
  }
}
