import { resolve } from "node:path";
import { TarDecoder } from "../archive/tar.ts";
import { parseMeta } from "../contexts/contexts.ts";
import { messageOf } from "../lib/errors.ts";
import { define } from "./command.ts";
import { type Context, line } from "./context.ts";
import { ContextStore } from "./context-store.ts";
import { UsageError } from "./errors.ts";

/** Bytes of what is read: Docker's limit. */
const LIMIT = 10 * 1024 * 1024;

export const command = define({
  usage: "CONTEXT FILE|-",
  summary: "make a context of a file that export wrote, docker's too",
  flags: {},
  args: [2, 2],
  complete: "file",
  examples: [["context import build build.dockercontext", ""]],
  async run(context, _, [name = "", file = ""]) {
    const store = new ContextStore(context.env);
    store.create({ ...parseMeta(metaIn(await bytesOf(context, file), file), `${file}: meta.json`), Name: name });
    await line(context.stdout, name);
    await line(context.stderr, `Successfully imported context "${name}"`);
    return 0;
  },
});

async function bytesOf(context: Context, file: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const stream = file === "-" ? context.stdin() : Bun.file(resolve(context.cwd, file)).stream();
  try {
    for await (const chunk of stream) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > LIMIT) break;
    }
  } catch (error) {
    throw new UsageError(`${file}: ${messageOf(error)}`);
  }
  if (length > LIMIT) throw new UsageError(`${file}: a context has at most ${LIMIT} bytes`);
  return Buffer.concat(chunks);
}

/** The text of `meta.json` in a tar. Throws UsageError. */
function metaIn(archive: Uint8Array, file: string): string {
  const parts: Buffer[] = [];
  let found = false;
  let inside = false;
  const decoder = new TarDecoder({
    entry({ type, name }) {
      inside = type === "file" && name === "meta.json" && !found;
      found ||= inside;
    },
    data(bytes) {
      if (inside) parts.push(Buffer.from(bytes));
    },
  });
  try {
    decoder.push(archive);
    decoder.end();
  } catch (error) {
    throw new UsageError(`${file} is no tar of a context: ${messageOf(error)}`);
  }
  if (!found) throw new UsageError(`${file} is no tar of a context: it has no meta.json`);
  return Buffer.concat(parts).toString("utf8");
}
