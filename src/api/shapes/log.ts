/** Docker's options of log drivers. */
import type { LogConfig } from "../../engine/types.ts";
import { OnggiError } from "../../lib/errors.ts";
import { parseBytes } from "../../lib/units.ts";

/** Bounds that hold where none are given: of what one container wrote. */
const MOST_BYTES = 100 * 2 ** 20;
const MOST_FILES = 3;

/** What options belong to which driver the engine knows. Throws `usage` for bounds that are none. */
export function logConfigOf(driver: LogConfig["driver"] = "json-file", options: Readonly<Record<string, string>>): LogConfig {
  const size = options["max-size"] ?? options["cache-max-size"];
  const files = options["max-file"] ?? options["cache-max-file"];
  if (files !== undefined && !/^[1-9]\d*$/.test(files))
    throw new OnggiError("usage", `max-file=${files}: give a number from 1 on`);
  return {
    driver,
    maxSize: size === undefined ? MOST_BYTES : size === "-1" ? 0 : parseBytes(size, "max-size"),
    // as with Docker, a size alone means one file
    maxFiles: files === undefined ? (size === undefined ? MOST_FILES : 1) : Number(files),
    ...(Object.keys(options).length > 0 ? { options: { ...options } } : {}),
  };
}
