import { openSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { archiveEnd, encodeEntry } from "../archive/tar-encode.ts";
import { DEFAULT } from "../contexts/contexts.ts";
import { messageOf } from "../lib/errors.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { ContextStore } from "./context-store.ts";
import { UsageError } from "./errors.ts";

export const command = define({
  usage: "CONTEXT [FILE|-]",
  summary: "write a context to a file that other hosts import, docker too",
  flags: {},
  args: [1, 2],
  complete: "context",
  examples: [["context export build - | ssh there onggi context import build -", "to another host"]],
  async run(context, _, [name = "", file]) {
    if (name === DEFAULT) throw new UsageError('context "default" is the engine of this host: it cannot be exported');
    const meta = JSON.stringify(new ContextStore(context.env).get(name));
    const archive = Buffer.concat([
      encodeEntry({ type: "file", name: "meta.json", mode: 0o644 }, Buffer.from(meta)),
      archiveEnd(),
    ]);
    if (file === "-") {
      if ((await context.terminal()).isTerminal(1))
        throw new UsageError("cowardly refusing to export to a terminal, specify a file path");
      await context.stdout.write(archive);
      return 0;
    }
    const target = file ?? `${name}.dockercontext`;
    try {
      writeFileSync(openSync(resolve(context.cwd, target), "wx", 0o600), archive);
    } catch (error) {
      throw new UsageError(`${target}: ${messageOf(error)}`);
    }
    await line(context.stderr, `Written file ${JSON.stringify(target)}`);
    return 0;
  },
});
