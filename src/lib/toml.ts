/** TOML with errors that say where. Pure. */
import { messageOf } from "./errors.ts";

export type Table = Readonly<Record<string, unknown>>;

export const isTable = (value: unknown): value is Table =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);

const failureOf = (text: string): string | null => {
  try {
    Bun.TOML.parse(text);
    return null;
  } catch (error) {
    return messageOf(error);
  }
};

/** The parser does not say where it stopped: after the first line with which the text fails as the whole does, and so does all after it. */
const lineOf = (lines: readonly string[], failure: string): number => {
  const fails = (count: number): boolean => {
    const text = lines.slice(0, count).join("\n");
    return failureOf(text) === failure || failureOf(`${text}\n`) === failure;
  };
  let count = lines.length;
  while (count > 1 && fails(count - 1)) count--;
  return count;
};

/** Keys keep the order they are written in. Throws Error: "line 3: reason". */
export const parseToml = (text: string): Table => {
  const failure = failureOf(text);
  if (failure === null) return Bun.TOML.parse(text) as Table;
  const reason = failure.replace(/^TOML Parse error: /, "").slice(0, 200);
  throw new Error(`line ${lineOf(text.split("\n"), failure)}: ${reason}`);
};
