import { messageOf } from "../lib/errors.ts";
import { UsageError } from "./errors.ts";

/** Reads a small text file named by `flag`. Throws UsageError with the reason. */
export async function readText(path: string, flag: string): Promise<string> {
  try {
    return await Bun.file(path).text();
  } catch (error) {
    throw new UsageError(`${flag} ${path}: ${messageOf(error)}`);
  }
}

/**
 * "KEY=VALUE" lines; a key alone takes its value from `env` and is left out if it has none there; empty lines and lines that
 * begin with # are skipped. Throws UsageError for a key with spaces.
 */
export function keyValueLines(content: string, file: string, env: Readonly<Record<string, string | undefined>>): string[] {
  const pairs: string[] = [];
  for (const [index, raw] of content
    .replace(/^\uFEFF/, "")
    .split("\n")
    .entries()) {
    const line = raw.replace(/\r$/, "").trimStart();
    if (line === "" || line.startsWith("#")) continue;
    const key = line.split("=", 1)[0]!;
    if (key === "" || /\s/.test(key)) throw new UsageError(`${file}:${index + 1}: "${key}" is not a name; write NAME=VALUE`);
    const pair = fromEnvironment(line, env);
    if (pair !== undefined) pairs.push(pair);
  }
  return pairs;
}

/** "KEY=VALUE" as it is; "KEY" with its value here; undefined if it has none. */
export function fromEnvironment(pair: string, env: Readonly<Record<string, string | undefined>>): string | undefined {
  if (pair.includes("=")) return pair;
  const value = env[pair];
  return value === undefined ? undefined : `${pair}=${value}`;
}
