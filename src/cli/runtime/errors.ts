/**
 * What went wrong, in the words that callers look for. containerd's shim, dockerd, CRI-O and Podman know runc's conditions by
 * their text only: "container does not exist", "container not running", "executable file not found in $PATH". This file is
 * the one place with those words. Loaded when something has failed.
 *
 * The runtime throws OnggiErrors; their codes are the contract:
 *
 *   code                       thrown by                          printed
 *   container_not_found        every operation on an id           container does not exist
 *   container_exists           create, run, restore               container with given ID already exists
 *   invalid_container_id       every operation on an id           invalid container ID format
 *   not_running                kill, pause, stats, checkpoint     container not running
 *                              exec                               cannot exec in a stopped container
 *   process_finished           kill: it ended meanwhile           os: process already finished
 *   already_running            start                              cannot start an already running container
 *   already_stopped            start                              cannot start a container that has stopped
 *   not_paused                 resume                             container not paused
 *   container_paused           exec                               cannot exec in a paused container (use --ignore-paused ...)
 *   not_stopped                delete                             the message, which ends: that is not stopped: STATUS
 *   bundle_not_found           create, run, restore               the message: no such file or directory
 *   spec_not_found             create, run, restore               JSON specification file config.json not found
 *   command_not_found          start, run, exec                   unable to start ...: exec: "CMD": executable file not found in $PATH
 *   command_not_executable     start, run, exec                   unable to start ...: exec: "CMD": permission denied
 *   working_directory_missing  start, run, exec                   unable to start ...: the message: no such file or directory
 *
 * The message of the command_* codes is `exec: "CMD"`, with or without the words; that of the others may say anything, it is
 * printed where the table says "the message". Errors with any other code are printed as they are, and errors of system calls
 * as Go would: `open /x: no such file or directory`.
 */
import { messageOf, OnggiError } from "../../lib/errors.ts";
import { lookUp } from "../../lib/tables.ts";

/** Conditions that are told in runc's words alone. */
const conditions: Readonly<Record<string, string>> = {
  container_not_found: "container does not exist",
  container_exists: "container with given ID already exists",
  invalid_container_id: "invalid container ID format",
  not_running: "container not running",
  process_finished: "os: process already finished",
  already_running: "cannot start an already running container",
  already_stopped: "cannot start a container that has stopped",
  not_paused: "container not paused",
  container_paused: "cannot exec in a paused container (use --ignore-paused to override)",
  spec_not_found: "JSON specification file config.json not found",
};

/** Causes whose message says more; these words have to end it. */
const causes: Readonly<Record<string, string>> = {
  bundle_not_found: "no such file or directory",
  command_not_found: "executable file not found in $PATH",
  command_not_executable: "permission denied",
  working_directory_missing: "no such file or directory",
};

const startFailures = ["command_not_found", "command_not_executable", "working_directory_missing"];

/** One line for whatever `command` ("exec") has thrown. */
export function wordsOf(error: unknown, command: string): string {
  if (!(error instanceof OnggiError)) return systemWords(error);
  const { code, message } = error;
  if (code === "not_running" && command === "exec") return "cannot exec in a stopped container";
  const condition = lookUp(conditions, code);
  if (condition !== undefined) return condition;
  const cause = lookUp(causes, code);
  const told = cause === undefined || message.includes(cause) ? message : `${message}: ${cause}`;
  return startFailures.includes(code) ? `unable to start container process: ${told}` : told;
}

/** "ENOENT: no such file or directory, open '/x'" and "open /x: ENOENT (no such file or directory)" the way Go has it. */
function systemWords(error: unknown): string {
  const message = messageOf(error);
  const { code, syscall, path } = error as { code?: unknown; syscall?: unknown; path?: unknown };
  if (typeof code !== "string") return message;
  if (typeof syscall === "string" && message.startsWith(`${code}: `)) {
    const end = message.indexOf(`, ${syscall}`);
    const text = message.slice(code.length + 2, end < 0 ? undefined : end);
    return typeof path === "string" ? `${syscall} ${path}: ${text}` : `${syscall}: ${text}`;
  }
  const start = message.indexOf(`${code} (`);
  const end = message.indexOf(")", start);
  if (start < 0 || end < 0) return message;
  return message.slice(0, start) + message.slice(start + code.length + 2, end) + message.slice(end + 1);
}
