import { open, realpath, rename, rm, stat } from "node:fs/promises";
import type { Context } from "./context.ts";
import { UsageError } from "./errors.ts";

/**
 * Has `send` write an archive to a file, which is there whole or not at all, for it is told to be complete only at its end; without
 * a file to standard output. Throws UsageError where that is a terminal.
 */
export async function writeArchive(
  context: Context,
  output: string | undefined,
  send: (write: (chunk: Uint8Array) => Promise<void>) => Promise<unknown>,
): Promise<void> {
  if (output === undefined || output === "-") {
    if ((await context.terminal()).isTerminal(1)) throw new UsageError("give a file with -o: standard output is a terminal");
    await send((chunk) => context.stdout.write(chunk));
    return;
  }
  const path = output.startsWith("/") ? output : `${context.cwd}/${output}`;
  const there = await stat(path).catch(() => undefined);
  if (there?.isDirectory()) throw new UsageError(`-o ${output} is a directory: name a file in it`);
  // a device or a FIFO is written to, and stays what it is
  if (there && !there.isFile()) await writeInto(path, "w", send);
  else await writeWhole(there ? await realpath(path) : path, send);
}

type Send = Parameters<typeof writeArchive>[2];

async function writeWhole(path: string, send: Send): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await writeInto(temporary, "wx", send);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

async function writeInto(path: string, flags: "w" | "wx", send: Send): Promise<void> {
  const file = await open(path, flags, 0o600);
  try {
    await send(async (chunk) => void (await file.writeFile(chunk)));
  } finally {
    await file.close();
  }
}
