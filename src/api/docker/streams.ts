/** A container's streams as Docker's API carries them: both outputs on one connection, or as a terminal has them. */
import type { ClientStreams } from "../../engine/index.ts";
import { DEFAULT_DETACH_KEYS, DetachScanner, parseDetachKeys } from "../../lib/detach-keys.ts";
import type { HttpAnswer, HttpRequest, RawStream } from "../http/types.ts";
import { ApiError } from "./errors.ts";
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
  /** Both outputs as they are, not framed; absent: as a terminal's. */
  readonly raw?: boolean;
  /** Of a terminal: what is to be typed to leave; absent: Docker's. See `detachKeysOf`. */
  readonly detachKeys?: Uint8Array;
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

/** What is typed, up to the keys; behind them nothing comes any more, not even an end. */
async function* untilKeys(
  input: AsyncIterable<Uint8Array>,
  keys: Uint8Array,
  signal: AbortSignal,
  leave: () => void,
): AsyncGenerator<Uint8Array> {
  const scanner = new DetachScanner(keys);
  for await (const chunk of input) {
    const { pass, detached } = scanner.scan(chunk);
    if (pass.length > 0) yield pass;
    if (!detached) continue;
    leave();
    await untilAborted(signal);
    throw signal.reason;
  }
}

/** "ctrl-p,ctrl-q" as Docker reads it; absent: those are it. Throws ApiError 400. */
export function detachKeysOf(text: string | undefined, kind = "detach"): Uint8Array {
  try {
    return parseDetachKeys(text || DEFAULT_DETACH_KEYS);
  } catch {
    throw new ApiError(400, `Invalid ${kind} keys (${text}) provided`);
  }
}

/** A client that has taken its connection over. */
export function clientOf(stream: RawStream, wanted: Wanted): ClientStreams {
  const { tty, raw = tty, endsInput, detachKeys = detachKeysOf(undefined), ...streams } = wanted;
  const left = Promise.withResolvers<void>();
  const typed = tty ? untilKeys(stream.input, detachKeys, stream.signal, left.resolve) : stream.input;
  return {
    ...streams,
    sigProxy: false,
    signal: stream.signal,
    output: (name, data) => stream.write(framed(raw, name, data)),
    input: endsInput ? typed : withoutEnd(typed, stream.signal),
    // sizes and signals are requests of their own
    onResize: () => {},
    onSignal: () => {},
    onDetach: (listener) => void left.promise.then(listener),
  };
}

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
