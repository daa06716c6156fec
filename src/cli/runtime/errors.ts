/**
 * What went wrong, in the words that callers look for. containerd's shim, dockerd, CRI-O and Podman know runc's conditions by
 * their text only: "container does not exist", "container not running", "executable file not found in $PATH". This file is
 * the one place with those words. Loaded when something has failed.
 *
 * The runtime throws OnggiErrors; their codes are the contract:
 *
 *   code                    thrown by                            printed
 *   container_not_found     every operation on an id             container does not exist
 *   container_exists        create, run, restore                 container with given ID already exists
 *   invalid_id              every operation on an id             invalid container ID format
 *   not_running             kill, pause, update, stats, ...      container not running
 *                           exec                                 cannot exec in a stopped container
 *   exec_not_running        exec                                 the message
 *   paused                  exec                                 cannot exec in a paused container (use --ignore-paused ...)
 *   already_running         start                                cannot start an already running container
 *   already_stopped         start                                cannot start a container that has stopped
 *   not_paused              resume                               container not paused
 *   not_stopped             delete                               cannot delete container ID that is not stopped: STATUS
 *   command_not_found       start, run, exec                     the message, which has the words "executable file not found in
 *                                                                $PATH", or for a path "no such file or directory"
 *   command_not_executable  start, run, exec                     the message, which has the errno's words
 *
 * What is told by its message alone is printed as it is, and so is every other code. The message of the command_* codes names
 * the command, `exec: "CMD": ...`: dockerd looks for it. Errors of system calls are told as Go would:
 * `open /x: no such file or directory`.
 */
import { messageOf, OnggiError } from "../../lib/errors.ts";
import { lookUp } from "../../lib/tables.ts";

/** Conditions that are told in runc's words alone; the caller knows the container. */
const conditions: Readonly<Record<string, string>> = {
  container_not_found: "container does not exist",
  container_exists: "container with given ID already exists",
  invalid_id: "invalid container ID format",
  not_running: "container not running",
  already_running: "cannot start an already running container",
  already_stopped: "cannot start a container that has stopped",
  not_paused: "container not paused",
  paused: "cannot exec in a paused container (use --ignore-paused to override)",
};

/** One line for whatever `command` ("exec") has thrown. */
export function wordsOf(error: unknown, command: string): string {
  if (!(error instanceof OnggiError)) return systemWords(error);
  const { code, message } = error;
  if (code === "not_running" && command === "exec") return "cannot exec in a stopped container";
  return lookUp(conditions, code) ?? message;
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
