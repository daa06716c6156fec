import type { CallHandlers } from "../api/control/client.ts";
import type { CallName } from "../api/control/protocol.ts";
import { type Context, isDrawable, isRemote } from "./context.ts";
import { UsageError } from "./errors.ts";

/**
 * Where `import` and `load` read from: a file that an engine of this host opens itself, or what this process sends, standard input
 * or a file. What is sent is not part of the request.
 */
export interface Source {
  readonly request: { readonly path?: string };
  readonly sent: (() => ReadableStream<Uint8Array>) | undefined;
}

/** The engine reads nothing from here. */
export const nothing: Source = { request: {}, sent: undefined };

/** Throws UsageError for a file that is not there, and for a terminal. */
export async function sourceOf(context: Context, file: string | undefined): Promise<Source> {
  if (file === undefined || file === "-") {
    const terminal = await context.terminal();
    if (terminal.isTerminal(0))
      throw new UsageError("name a file, or give the archive on standard input: there it is a terminal");
    return { request: {}, sent: () => context.stdin() };
  }
  const path = file.startsWith("/") ? file : `${context.cwd}/${file}`;
  if (!(await Bun.file(path).exists())) throw new UsageError(`${file}: no such file`);
  return isRemote(context) ? { request: {}, sent: () => Bun.file(path).stream() } : { request: { path }, sent: undefined };
}

/** Sends what is to be sent, and shows progress on a terminal. */
export function transfer<K extends CallName>(context: Context, source: Source, quiet: boolean): CallHandlers<K> {
  return {
    ...(quiet ? {} : { progress: (step) => showProgress(context, step) }),
    opened: (input) => {
      const { sent } = source;
      if (sent === undefined) return;
      void (async () => {
        for await (const chunk of sent()) await input.stdin(chunk);
        input.endStdin();
      })().catch(() => input.endStdin());
    },
  };
}

/** One line that is written over, on a terminal only; gone when the result is printed. */
export async function showProgress(context: Context, step: unknown): Promise<void> {
  if (!(await isDrawable(context, 2))) return;
  const { decimalSize } = await import("../lib/units.ts");
  const { message = "", current, total } = step as { message?: string; current?: number; total?: number };
  const done = current === undefined ? "" : ` ${decimalSize(current)}${total ? ` of ${decimalSize(total)}` : ""}`;
  await context.stderr.write(`\r\x1b[K${message}${done}\r`);
}
