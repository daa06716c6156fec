import { OnggiError } from "../lib/errors.ts";

/** The command line was used wrongly; ends with exit code 125, as Docker's. */
export class UsageError extends OnggiError {
  constructor(message: string) {
    super("usage", message);
  }
}

/** Ends the command with a code and nothing more to say. */
export class Exit extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`exit ${exitCode}`);
    this.exitCode = exitCode;
  }
}

/** Exit codes of conditions that have one of their own, whatever the command. */
const codes: Readonly<Record<string, number>> = {
  usage: 125,
  invalid_endpoint: 125,
  command_not_executable: 126,
  command_not_found: 127,
};

/**
 * The exit code of an error, as docker(1): what the engine says; else the condition's own; else `fallback`, which is 125 for
 * commands that make a container and 1 for the others.
 */
export function exitCodeOf(error: unknown, fallback: number): number {
  if (error instanceof Exit) return error.exitCode;
  const { exitCode, code } = error as { exitCode?: unknown; code?: unknown };
  if (typeof exitCode === "number") return exitCode;
  return (typeof code === "string" ? codes[code] : undefined) ?? fallback;
}
