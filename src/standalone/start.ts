/** `start`: the process that waits at its FIFO goes on. */
import { unlinkSync } from "node:fs";
import { OnggiError } from "../lib/errors.ts";
import { decodeResult } from "../native/oneshot.ts";
import { O, POLL } from "../sys/constants.ts";
import { isErrno } from "../sys/errno.ts";
import { close, openat } from "../sys/file.ts";
import { poll, read, write } from "../sys/io.ts";
import type { Container } from "./container.ts";
import { RESULT_FIFO, START_FIFO } from "./directory.ts";
import { failureAfterStart } from "./failure.ts";
import { tryHooks } from "./hooks.ts";

/** To be called under the container's lock. Returns when execve has succeeded; throws OnggiError when it has not. */
export function startContainer(container: Container, warn: (message: string) => void): void {
  const { record, directory } = container;
  const status = container.status();
  if (status === "stopped") throw new OnggiError("already_stopped", "cannot start a container that has stopped");
  if (status !== "created")
    throw new OnggiError("already_running", `cannot start an already running container: ${record.id} is ${status}`);
  const result = openat(directory.fd, RESULT_FIFO, O.O_RDONLY | O.O_NONBLOCK | O.O_CLOEXEC);
  try {
    knock(directory.fd);
    unlinkSync(`${directory.path}/${START_FIFO}`);
    const failure = decodeResult(waitForResult(result));
    if (failure) throw failureAfterStart(directory.readSteps(), failure);
  } finally {
    close(result);
  }
  unlinkSync(`${directory.path}/${RESULT_FIFO}`);
  tryHooks("poststart", record, "running", container.init?.pid ?? 0, warn);
}

function knock(directory: number): void {
  let start: number;
  try {
    start = openat(directory, START_FIFO, O.O_WRONLY | O.O_NONBLOCK | O.O_CLOEXEC);
  } catch (error) {
    if (!isErrno(error, "ENXIO")) throw error;
    throw new OnggiError("already_stopped", "cannot start a container that has stopped", { cause: error });
  }
  try {
    write(start, new Uint8Array([1]));
  } finally {
    close(start);
  }
}

/** What the child has to say: 8 bytes of a failure, or nothing, once execve (or its end) has closed its descriptor. */
function waitForResult(result: number): Uint8Array {
  const bytes = new Uint8Array(8);
  for (;;) {
    if (poll(result, POLL.POLLIN) === 0) continue; // interrupted
    const length = read(result, bytes);
    return bytes.subarray(0, length);
  }
}
