/** Questions to whoever sits at the terminal. */
import type { Context, Terminal } from "./context.ts";
import { UsageError } from "./errors.ts";

export interface Prompt {
  /** A line, shown as it is typed. */
  line(question: string): Promise<string>;
  /** A line that is not shown. */
  secret(question: string): Promise<string>;
  close(): Promise<void>;
}

const END = new Set(["\u0003", "\u0004"]);
const RUB_OUT = new Set(["\u007f", "\b"]);

/** Throws UsageError where standard input is no terminal; so do its questions that are given no answer: at the end, on Ctrl-C. */
export async function openPrompt(context: Context): Promise<Prompt> {
  const terminal = await context.terminal();
  if (!terminal.isTerminal(0)) throw new UsageError("standard input is no terminal to ask on: give -u and --password-stdin");
  const typed = characters(context.stdin());
  return {
    async line(question) {
      await context.stderr.write(question);
      return answer(typed);
    },
    secret: (question) => hidden(context, terminal, typed, question),
    async close() {
      await typed.return(undefined);
    },
  };
}

/** What is typed beyond one answer is the beginning of the next. */
async function* characters(stdin: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const chunk of stdin) yield* decoder.decode(chunk, { stream: true });
}

async function hidden(context: Context, terminal: Terminal, typed: AsyncGenerator<string>, question: string): Promise<string> {
  const restore = terminal.raw(0);
  try {
    await context.stderr.write(question);
    return await answer(typed);
  } finally {
    restore();
    await context.stderr.write("\n");
  }
}

async function answer(typed: AsyncGenerator<string>): Promise<string> {
  const line: string[] = [];
  for (;;) {
    const { done, value } = await typed.next();
    if (done || END.has(value)) throw new UsageError("no answer was given");
    if (value === "\r" || value === "\n") return line.join("");
    if (RUB_OUT.has(value)) line.pop();
    else line.push(value);
  }
}
