import { open, rename, rm } from "node:fs/promises";
import { define } from "./command.ts";
import { UsageError } from "./errors.ts";
import { text } from "./flags.ts";

export const command = define({
  usage: "[flags] CONTAINER",
  summary: "write a container's file system as a tar",
  flags: { output: text("o", "FILE", "where to (standard output)", { complete: "file" }) },
  args: [1, 1],
  complete: "container",
  examples: [["export -o web.tar web", "the whole file system, without volumes"]],
  async run(context, { output }, [container = ""]) {
    if (output === undefined) {
      if ((await context.terminal()).isTerminal(1)) throw new UsageError("give a file with -o: standard output is a terminal");
      await context.call("export", { container }, { stdout: (chunk) => context.stdout.write(chunk) });
      return 0;
    }
    // Whole or not there, as the archive is told to be complete only at its end.
    const path = output.startsWith("/") ? output : `${context.cwd}/${output}`;
    const temporary = `${path}.${process.pid}.tmp`;
    const file = await open(temporary, "wx", 0o600);
    try {
      const write = async (chunk: Uint8Array): Promise<void> => void (await file.writeFile(chunk));
      await context.call("export", { container }, { stdout: write });
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    } finally {
      await file.close();
    }
    return 0;
  },
});
