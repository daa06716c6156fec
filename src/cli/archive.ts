import type { CallHandlers } from "../api/control/client.ts";
import type { CallName } from "../api/control/protocol.ts";
import type { Context } from "./context.ts";
import { UsageError } from "./errors.ts";

/** Where `import` and `load` read from: a file, which the engine opens itself, or this process's standard input. */
export interface Source {
  path?: string;
}

/** Throws UsageError for a file that is not there, and for a terminal. */
export async function sourceOf(context: Context, file: string | undefined): Promise<Source> {
  if (file === undefined || file === "-") {
    const terminal = await context.terminal();
    if (terminal.isTerminal(0))
      throw new UsageError("name a file, or give the archive on standard input: there it is a terminal");
    return {};
  }
  const path = file.startsWith("/") ? file : `${context.cwd}/${file}`;
  if (!(await Bun.file(path).exists())) throw new UsageError(`${file}: no such file`);
  return { path };
}

/** Sends standard input when the source is that, and shows progress on a terminal. */
export function transfer<K extends CallName>(context: Context, source: Source, quiet: boolean): CallHandlers<K> {
  return {
    ...(quiet ? {} : { progress: (step) => showProgress(context, step) }),
    opened: (input) => {
      if (source.path !== undefined) return;
      void (async () => {
        for await (const chunk of context.stdin()) await input.stdin(chunk);
        input.endStdin();
      })().catch(() => input.endStdin());
    },
  };
}

/** One line that is written over, on a terminal only; gone when the result is printed. */
export async function showProgress(context: Context, step: unknown): Promise<void> {
  const terminal = await context.terminal();
  if (!terminal.isTerminal(2)) return;
  const { decimalSize } = await import("../lib/units.ts");
  const { message = "", current, total } = step as { message?: string; current?: number; total?: number };
  const done = current === undefined ? "" : ` ${decimalSize(current)}${total ? ` of ${decimalSize(total)}` : ""}`;
  await context.stderr.write(`\r\x1b[K${message}${done}\r`);
}
