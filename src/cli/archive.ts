import type { CallInput } from "../api/control/client.ts";
import type { CallName, Calls } from "../api/control/protocol.ts";
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
const nothing: Source = { request: {}, sent: undefined };

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

/** One call that sends what is to be sent, with its progress on one line of a terminal, which is gone at the end. */
export async function transfer<K extends CallName>(
  context: Context,
  name: K,
  request: Calls[K]["request"],
  { source = nothing, quiet = false }: { readonly source?: Source; readonly quiet?: boolean },
): Promise<Calls[K]["result"]> {
  const opened = (input: CallInput): void => {
    if (source.sent) void send(source.sent(), input);
  };
  if (quiet || !(await isDrawable(context, 2))) return context.call(name, request, { opened });
  let isShown = false;
  try {
    const progress = (step: unknown): Promise<void> => {
      isShown = true;
      return showProgress(context, step);
    };
    return await context.call(name, request, { opened, progress });
  } finally {
    if (isShown) await context.stderr.write("\r\x1b[K");
  }
}

/** What cannot be read is at its end. */
async function send(chunks: ReadableStream<Uint8Array>, input: CallInput): Promise<void> {
  try {
    for await (const chunk of chunks) await input.stdin(chunk);
  } catch {}
  input.endStdin();
}

async function showProgress(context: Context, step: unknown): Promise<void> {
  const { decimalSize } = await import("../lib/units.ts");
  const { ellipsis } = await import("../lib/table.ts");
  const { visible } = await import("../lib/printable.ts");
  const { message = "", current, total } = step as { message?: string; current?: number; total?: number };
  const done = current === undefined ? "" : ` ${decimalSize(current)}${total ? ` of ${decimalSize(total)}` : ""}`;
  const { columns = 80 } = (await context.terminal()).size(2) ?? {};
  await context.stderr.write(`\r\x1b[K${ellipsis(visible(message + done), columns - 1)}`);
}
