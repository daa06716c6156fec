import { OnggiError } from "../../lib/errors.ts";
import type { FileSource } from "./files.ts";

/** Files by absolute path, for tests and for what is not on a disk. */
export const memoryFiles = (files: Readonly<Record<string, string>>): FileSource => ({
  async read(path, limit) {
    const text = Object.hasOwn(files, path) ? files[path]! : undefined;
    if (text !== undefined && text.length > limit) {
      throw new OnggiError(
        "file_too_large",
        `${path} has ${text.length} bytes; of a file of compose's at most ${limit} are read`,
      );
    }
    return text;
  },
  exists: async (path) => Object.hasOwn(files, path),
});
