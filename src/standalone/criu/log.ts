/** What criu's log says of a failure. */
import { readFileSync } from "node:fs";
import { messageOf, OnggiError } from "../../lib/errors.ts";
import { CriuGone, CriuRefused } from "./conversation.ts";

/** Errors that follow from the first ones are many. */
const SHOWN = 5;

/** The lines that tell of errors: "(00.123456) Error (criu/mount.c:1): ...", without their time. */
export const errorsIn = (log: string): string[] =>
  log
    .split("\n")
    .filter((line) => line.includes("Error ("))
    .map((line) => line.replace(/^\([\d.]+\)\s*/, "").trim());

/** The error as it came, or, when criu has failed, one that also says what the log has. */
export function explained(error: unknown, path: string): unknown {
  if (!(error instanceof CriuRefused || error instanceof CriuGone)) return error;
  let lines: string[];
  try {
    lines = errorsIn(readFileSync(path, "utf8"));
  } catch (unread) {
    return new OnggiError("criu_failed", `${error.message}; its log cannot be read: ${messageOf(unread)}`, { cause: error });
  }
  const said = lines.length === 0 ? "" : `: ${lines.slice(-SHOWN).join("; ")}`;
  return new OnggiError("criu_failed", `${error.message}; log file: ${path}${said}`, { cause: error });
}
