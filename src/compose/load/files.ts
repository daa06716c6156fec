import { stat } from "node:fs/promises";
import { OnggiError } from "../../lib/errors.ts";
import type { Node } from "./node.ts";
import { Problems } from "./problems.ts";
import { BOUNDS, parseYaml } from "./yaml.ts";

/** What loading reads: files by absolute path, "-" for the standard input. */
export interface FileSource {
  /** Undefined: there is none. Throws OnggiError for what is no file or larger than `limit` bytes. */
  read(path: string, limit: number): Promise<string | undefined>;
  /** Whether there is a file at `path`; a directory is none. */
  exists(path: string): Promise<boolean>;
}

/** Files of the disk; `stdin` gives the standard input. */
export const diskFiles = (stdin: () => ReadableStream<Uint8Array>): FileSource => ({
  async read(path, limit) {
    if (path === "-") return bounded(stdin(), "the standard input", limit);
    const found = await statOf(path);
    if (found === undefined) return undefined;
    if (found.isDirectory()) throw new OnggiError("not_a_file", `${path} is a directory; name a file in it`);
    // pipes too: <(command) is one
    if (!found.isFile() && !found.isFIFO()) throw new OnggiError("not_a_file", `${path} is no file`);
    if (found.size > limit) throw tooLarge(`${path} has ${found.size} bytes`, limit);
    return bounded(Bun.file(path).stream(), path, limit);
  },
  exists: async (path) => path === "-" || (await statOf(path))?.isDirectory() === false,
});

const tooLarge = (what: string, limit: number): OnggiError =>
  new OnggiError("file_too_large", `${what}; of a file of compose's at most ${limit} are read`);

/** Text that does not say how much it is. */
async function bounded(stream: ReadableStream<Uint8Array>, what: string, limit: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    if (bytes > limit) throw tooLarge(`${what} has more than ${limit} bytes`, limit);
    chunks.push(chunk.slice());
  }
  return Buffer.concat(chunks).toString("utf8");
}

async function statOf(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}

/** The YAML files of one load, each read once. */
export class YamlFiles {
  readonly #source: FileSource;
  readonly #directory: string;
  readonly #documents = new Map<string, Node[]>();

  /** Problems name files relative to `directory`. */
  constructor(source: FileSource, directory: string) {
    this.#source = source;
    this.#directory = directory;
  }

  /** The documents of a file. Throws ComposeFileError, `file_not_found`, `file_too_large`, `not_a_file`. */
  async documents(path: string): Promise<Node[]> {
    const known = this.#documents.get(path);
    if (known !== undefined) return known;
    const text = await this.#source.read(path, BOUNDS.bytes);
    if (text === undefined) throw new OnggiError("file_not_found", `open ${path}: no such file or directory`);
    const problems = new Problems(this.#directory);
    const documents = parseYaml(text, path, problems);
    problems.throwIfAny();
    this.#documents.set(path, documents);
    return documents;
  }
}
