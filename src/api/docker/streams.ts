/** A container's streams as Docker's API carries them: both outputs on one connection, or as a terminal has them. */
import type { ClientStreams } from "../../engine/index.ts";
import type { HttpAnswer, HttpRequest, RawStream } from "../http/types.ts";
import { isAtLeast } from "./versions.ts";

const RAW = "application/vnd.docker.raw-stream";
const MULTIPLEXED = "application/vnd.docker.multiplexed-stream";

/** How a stream is called: before 1.42 every one is "raw". */
export const streamType = (tty: boolean, version: string): string => (!tty && isAtLeast(version, "1.42") ? MULTIPLEXED : RAW);

const numbers = { stdout: 1, stderr: 2 } as const;

/** The header of a frame: which stream, three zeros, length (big-endian). */
export function frameHeader(stream: "stdout" | "stderr", length: number): Uint8Array {
  const header = new Uint8Array(8);
  header[0] = numbers[stream];
  new DataView(header.buffer).setUint32(4, length);
  return header;
}

/** One frame; of a terminal the bytes alone. */
export function framed(tty: boolean, stream: "stdout" | "stderr", data: Uint8Array): Uint8Array {
  if (tty) return data;
  const bytes = new Uint8Array(8 + data.length);
  bytes.set(frameHeader(stream, data.length));
  bytes.set(data, 8);
  return bytes;
}

export interface Wanted {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
  /** The process's input ends with the client's; else it stays open for the next client. */
  readonly endsInput: boolean;
}

const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });

async function* withoutEnd(input: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  yield* input;
  await untilAborted(signal);
  throw signal.reason;
}

/** A client that has taken its connection over. */
export const clientOf = (stream: RawStream, { tty, endsInput, ...streams }: Wanted): ClientStreams => ({
  ...streams,
  sigProxy: false,
  signal: stream.signal,
  output: (name, data) => stream.write(framed(tty, name, data)),
  input: endsInput ? stream.input : withoutEnd(stream.input, stream.signal),
  // sizes, signals and leaving are requests of their own, or are the connection's end
  onResize: () => {},
  onSignal: () => {},
  onDetach: () => {},
});

/** A client that wants nothing of a process but that it runs. */
export const noClient = (signal: AbortSignal): ClientStreams => ({
  stdin: false,
  stdout: false,
  stderr: false,
  sigProxy: false,
  signal,
  output: () => {},
  input: (async function* () {})(),
  onResize: () => {},
  onSignal: () => {},
  onDetach: () => {},
});

/** Hands the connection over: behind 101 if the client asked for an upgrade, as Docker, else behind 200. */
export function takeOver({ headers }: HttpRequest, type: string, serve: (stream: RawStream) => Promise<void>): HttpAnswer {
  const upgrade = headers.get("upgrade") !== undefined;
  return {
    status: upgrade ? 101 : 200,
    headers: { "Content-Type": type, ...(upgrade ? { Connection: "Upgrade", Upgrade: "tcp" } : {}) },
    hijack: serve,
  };
}
