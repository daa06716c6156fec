/** What callers want to have sent to them: a terminal's master, a pidfd. */
import { basename, dirname } from "node:path";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { close, openDir } from "../sys/file.ts";
import { sendFds, unixConnect } from "../sys/socket.ts";

/** Sends one descriptor to whoever listens at `path`, with `note` as the bytes beside it. Throws OnggiError `socket_failed`. */
export function sendDescriptor(what: string, path: string, note: string, fd: number): void {
  try {
    const directory = openDir(dirname(path));
    let socket: number;
    try {
      socket = unixConnect(directory, basename(path));
    } finally {
      close(directory);
    }
    try {
      sendFds(socket, new TextEncoder().encode(note), [fd]);
    } finally {
      close(socket);
    }
  } catch (error) {
    throw new OnggiError("socket_failed", `${what} ${path}: ${messageOf(error)}`, { cause: error });
  }
}
