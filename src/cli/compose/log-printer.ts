import type { LogLine } from "../../compose/logs.ts";
import type { Context } from "../context.ts";

/** Colours of marks, in turn; as Docker's: cyan, yellow, green, magenta, blue, then bright ones. */
const COLOURS = ["36", "33", "32", "35", "34", "96", "93", "92", "95", "94"];

export interface PrinterOptions {
  readonly colours: boolean;
  /** Without the containers' names. */
  readonly bare: boolean;
  readonly timestamps: boolean;
}

/** "web-1  | what it wrote", each container in a colour of its own. */
export class LogPrinter {
  readonly #context: Context;
  readonly #options: PrinterOptions;
  readonly #colours = new Map<string, string>();
  #width = 0;

  constructor(context: Context, options: PrinterOptions) {
    this.#context = context;
    this.#options = options;
  }

  /** Makes room for a mark. */
  register(mark: string): void {
    if (this.#colours.has(mark)) return;
    this.#colours.set(mark, COLOURS[this.#colours.size % COLOURS.length]!);
    this.#width = Math.max(this.#width, mark.length);
  }

  write({ container, stream, text, time }: LogLine): Promise<void> {
    const { stdout, stderr } = this.#context;
    return (stream === "stdout" ? stdout : stderr).write(
      `${this.#prefix(container.mark)}${this.#options.timestamps ? `${time} ` : ""}${text}\n`,
    );
  }

  /** Something about a container: "web-1 exited with code 0". */
  status(mark: string, text: string): Promise<void> {
    return this.#context.stdout.write(`${this.#paint(mark, `${mark} ${text}`)}\n`);
  }

  #prefix(mark: string): string {
    if (this.#options.bare) return "";
    this.register(mark);
    return this.#paint(mark, `${mark.padEnd(this.#width + 1)} | `);
  }

  #paint(mark: string, text: string): string {
    this.register(mark);
    return this.#options.colours ? `\x1b[${this.#colours.get(mark)}m${text}\x1b[0m` : text;
  }
}
