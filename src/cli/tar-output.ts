import { open, rename, rm } from "node:fs/promises";
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
  const temporary = `${path}.${process.pid}.tmp`;
  const file = await open(temporary, "wx", 0o600);
  try {
    await send(async (chunk) => void (await file.writeFile(chunk)));
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}
