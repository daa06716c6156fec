/**
 * The log in logrus's two formats. containerd's go-runc and Podman's conmon read from the file of --log, in the JSON format,
 * why a command has failed: the last line of level "error"; Podman takes the file only if that is its one line. Loaded when
 * there is something to log; a log with nothing in it is not made.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import type { Level, RuntimePorts } from "./command.ts";
import { wordsOf } from "./errors.ts";

export interface LogConfig {
  /** Absent: standard error. Appended to, made if need be. */
  readonly file?: string | undefined;
  readonly format: "text" | "json";
}

/** A line with its end. */
export function logLine(format: LogConfig["format"], level: Level, message: string, time = new Date()): string {
  const seconds = `${time.toISOString().slice(0, 19)}Z`;
  if (format === "json") return `${JSON.stringify({ level, msg: message, time: seconds })}\n`;
  return `time="${seconds}" level=${level} msg=${quoted(message)}\n`;
}

/** logrus quotes what has a character outside of these. */
const quoted = (text: string): string => (/^[A-Za-z0-9\-._/@^+]*$/.test(text) ? text : quote(text));

/** Go's %q. */
function quote(text: string): string {
  const escapes: Readonly<Record<string, string>> = {
    "\x07": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    '"': '\\"',
    "\\": "\\\\",
  };
  const escaped = (letter: string) => escapes[letter] ?? `\\x${letter.charCodeAt(0).toString(16).padStart(2, "0")}`;
  return `"${text.replace(/[\x00-\x1f\x7f"\\]/g, escaped)}"`;
}

/** Writes a line to the log. If its file cannot be opened, says so and writes to standard error. */
export function writeLog(ports: RuntimePorts, config: LogConfig, level: Level, message: string): void {
  const line = logLine(config.format, level, message);
  try {
    if (config.file === undefined) ports.stderr(line);
    else append(config.file, line);
  } catch (error) {
    ports.stderr(logLine(config.format, "error", wordsOf(error, "log")) + line);
  }
}

/** One write: lines of processes that log at the same time do not mix. */
function append(file: string, line: string): void {
  const fd = openSync(file, "a", 0o644);
  try {
    writeSync(fd, line);
  } finally {
    closeSync(fd);
  }
}

/** The error that ends a command: in the log, and plainly on standard error if the log is elsewhere. */
export function writeFailure(ports: RuntimePorts, config: LogConfig, message: string): void {
  writeLog(ports, config, "error", message);
  if (config.file !== undefined) ports.stderr(`${message}\n`);
}
