/** What goes wrong: every error that the SDK throws is an OnggiError with a stable `code`, but those of a caller's own AbortSignal. */
import { OnggiError } from "../lib/errors.ts";

export { OnggiError };

/** Codes that programs ask for most. The engine has more; docs/sdk.md says which are whose. */
export type ErrorCode =
  | "engine_unreachable"
  | "engine_start_failed"
  | "connection_lost"
  | "version_mismatch"
  | "binary_missing"
  | "binary_damaged"
  | "context_not_found"
  | "contexts_invalid"
  | "invalid_endpoint"
  | "container_not_found"
  | "image_not_found"
  | "network_not_found"
  | "volume_not_found"
  | "path_not_found"
  | "name_in_use"
  | "not_running"
  | "paused"
  | "port_in_use"
  | "invalid_option"
  | "wait_timeout"
  | "container_exited"
  | "exec_failed"
  | "output_lost"
  | (string & {});

/**
 * Whether something thrown is an OnggiError, with one of these codes if any are named; also where another copy of this package has thrown
 * it, which `instanceof` does not tell.
 *
 *     try { await engine.containers.get("web"); } catch (error) { if (!isOnggiError(error, "container_not_found")) throw error; }
 */
export function isOnggiError(error: unknown, ...codes: readonly [WaitErrorCode, ...WaitErrorCode[]]): error is WaitError;
export function isOnggiError(error: unknown, code: "exec_failed"): error is ExecError;
export function isOnggiError(error: unknown, ...codes: readonly ErrorCode[]): error is OnggiError;
export function isOnggiError(error: unknown, ...codes: readonly ErrorCode[]): error is OnggiError {
  // two copies of this package may be loaded: the class is not what matters
  if (!(error instanceof Error) || error.name !== "OnggiError") return false;
  return codes.length === 0 || codes.includes((error as OnggiError).code);
}

export type WaitErrorCode = "wait_timeout" | "container_exited";

/** `wait_timeout` or `container_exited`: a container did not become ready. The message ends with its last lines of output. */
export class WaitError extends OnggiError {
  /** What was waited for, in words. */
  readonly waitedFor: string;
  /** Of the container's log, oldest first. */
  readonly lastLines: readonly string[];

  /** @internal */
  constructor(code: WaitErrorCode, message: string, waitedFor: string, lastLines: readonly string[]) {
    const log =
      lastLines.length > 0 ? `; its log ends with\n${lastLines.map((line) => `  ${line}`).join("\n")}` : "; its log is empty";
    super(code, `${message}${log}`);
    this.waitedFor = waitedFor;
    this.lastLines = lastLines;
  }
}

/** `exec_failed`: a command that had to succeed (`check: true`) did not. */
export class ExecError extends OnggiError {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;

  /** @internal */
  constructor(command: readonly string[], result: { exitCode: number; stdout: string; stderr: string }) {
    const said = result.stderr.trim() || result.stdout.trim();
    super("exec_failed", `"${command.join(" ")}" ended with ${result.exitCode}${said ? `: ${said.slice(-2000)}` : ""}`);
    this.exitCode = result.exitCode;
    this.stdout = result.stdout;
    this.stderr = result.stderr;
  }
}

/** `invalid_option`: what was asked for cannot be. */
export const invalid = (message: string): OnggiError => new OnggiError("invalid_option", message);
