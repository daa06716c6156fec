import { OnggiError } from "../../lib/errors.ts";
import { DotenvError, parseDotenv, parseRawEnv } from "./dotenv.ts";
import type { FileSource } from "./files.ts";
import type { Lookup } from "./interpolate.ts";

/** Of a file of variables, in bytes. */
const LIMIT = 2 ** 20;

/**
 * What files of variables say, later ones over earlier ones; `caller` stands above them in their own variables. Throws OnggiError
 * `env_file_not_found`, `invalid_env_file`.
 */
export async function readEnvFiles(
  paths: readonly string[],
  caller: ReadonlyMap<string, string>,
  source: FileSource,
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const path of paths) {
    if (!(await readEnvFile(path, found, (name) => caller.get(name), source))) {
      throw new OnggiError("env_file_not_found", `couldn't find env file: ${path}`);
    }
  }
  return found;
}

/** Reads one file into `into`; false if there is none. Throws OnggiError `invalid_env_file`. */
export async function readEnvFile(
  path: string,
  into: Map<string, string>,
  lookup: Lookup,
  source: FileSource,
  format = "",
): Promise<boolean> {
  const text = await source.read(path, LIMIT);
  if (text === undefined) return false;
  try {
    if (format === "raw") parseRawEnv(text, into, lookup);
    else parseDotenv(text, into, lookup);
  } catch (error) {
    if (!(error instanceof DotenvError)) throw error;
    throw new OnggiError("invalid_env_file", `${path}:${error.line}: ${error.message}`);
  }
  return true;
}
