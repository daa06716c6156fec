/**
 * The frames of docs/shim.md: how engine and shim speak over the unix socket. Pure: bytes in, values out.
 *
 *     u32 payload length | u16 type | u16 process | payload          little-endian
 */
import { OnggiError } from "../lib/errors.ts";

export const PROTOCOL_VERSION = 1;
export const FRAME_HEADER = 8;
/** Largest payload the shim sends, and takes for anything but a plan. */
export const MAX_PAYLOAD = 1 << 20;
/** Largest encoded plan. */
export const MAX_PLAN = 16 << 20;

/** Frame types that go to the shim. */
export const request = {
  hello: 1,
  start: 2,
  attach: 3,
  detach: 4,
  stdin: 5,
  resize: 6,
  kill: 7,
  exec: 8,
  status: 9,
  logs: 10,
  release: 11,
  update: 12,
} as const;

/** Frame types that come from the shim. */
export const reply = {
  hello: 64,
  created: 65,
  started: 66,
  failed: 67,
  stdout: 68,
  stderr: 69,
  exit: 70,
  dropped: 71,
  execed: 72,
  error: 73,
  status: 74,
  outputEnd: 75,
} as const;

/** Bits of ATTACH and of EXEC's attach word. */
export const stream = { stdin: 1, stdout: 2, stderr: 4 } as const;
/** In ATTACH's second word; in EXEC's attach word it is `execLossless`. */
export const lossless = 1;
export const execLossless = 8;

export interface Frame {
  readonly type: number;
  readonly process: number;
  readonly payload: Uint8Array;
}

/** Where a set-up failed: a section of the plan, the `clone3` between them, or the plan's own encoding. */
export type FailedSection = "before" | "clone" | "after" | "child" | "decode";

/** FAILED. */
export interface Failure {
  readonly section: FailedSection;
  /** Index of the operation in its section; null where none is to blame. */
  readonly index: number | null;
  /** 0: no call failed; `text` says what happened. */
  readonly errno: number;
  /** The kind of the operation, or what was wrong. */
  readonly text: string;
}

/** CREATED. Times are CLOCK_MONOTONIC in nanoseconds. */
export interface Created {
  readonly pid: number;
  readonly shimStart: bigint;
  readonly decoded: bigint;
  readonly cloned: bigint;
  /** The parent's section of the plan was done. */
  readonly setUp: bigint;
  readonly created: bigint;
}

/** STARTED. */
export interface Started {
  readonly pid: number;
  /** CLOCK_MONOTONIC, nanoseconds. */
  readonly at: bigint;
}

/** EXIT, and the exit record. */
export interface Exit {
  /** As wait(2) gives it. */
  readonly waitStatus: number;
  /** What a shell would say: the exit code, or 128 plus the signal. */
  readonly exitCode: number;
  /** Signal that ended it, 0: it exited. */
  readonly signal: number;
  readonly oomKilled: boolean;
  /** CLOCK_REALTIME, nanoseconds. */
  readonly at: bigint;
  /** Set-up failed before `execve`. */
  readonly neverStarted: boolean;
}

export type ProcessState = "creating" | "created" | "running" | "exited";

/** One process in STATUS. */
export interface ProcessStatus {
  readonly process: number;
  readonly pid: number;
  readonly state: ProcessState;
  readonly waitStatus: number;
  readonly oomKilled: boolean;
  /** CLOCK_REALTIME, nanoseconds; 0: it has not exited. */
  readonly exitedAt: bigint;
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const text = new TextDecoder();

const malformed = (what: string) =>
  new OnggiError("shim_protocol", `the shim sent ${what}; it is not an onggi-shim or is damaged`);

function need(frame: Frame, length: number): DataView {
  if (frame.payload.length < length) {
    throw malformed(`a frame of type ${frame.type} with ${frame.payload.length} bytes where ${length} are needed`);
  }
  return viewOf(frame.payload);
}

/** One frame as bytes. Throws RangeError for a payload over the limit of its type. */
export function encodeFrame(type: number, process: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const limit = type === request.exec ? MAX_PLAN + 8 : MAX_PAYLOAD;
  if (length > limit) throw new RangeError(`a frame of type ${type} carries at most ${limit} bytes, not ${length}`);
  const bytes = new Uint8Array(FRAME_HEADER + length);
  const view = viewOf(bytes);
  view.setUint32(0, length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, process, true);
  let at = FRAME_HEADER;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** u32 words as a payload. */
export function words(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = viewOf(bytes);
  values.forEach((value, i) => {
    view.setUint32(4 * i, value, true);
  });
  return bytes;
}

/** RESIZE's payload. */
export function size(rows: number, columns: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint16(0, rows, true);
  viewOf(bytes).setUint16(2, columns, true);
  return bytes;
}

/** UPDATE's payload. */
export function logLimits(maxSize: number, maxFiles: number): Uint8Array {
  const bytes = new Uint8Array(12);
  viewOf(bytes).setBigUint64(0, BigInt(maxSize), true);
  viewOf(bytes).setUint32(8, maxFiles, true);
  return bytes;
}

/**
 * Takes a stream's pieces, gives whole frames. A payload is a view of the piece it came in where it lies in one, so a
 * caller that keeps it copies it. Throws OnggiError `shim_protocol` for a length over the limit; nothing can be decoded after that.
 */
export class FrameDecoder {
  private kept: Uint8Array = new Uint8Array(0);
  private have = 0;

  /** Calls `take` for every frame that is complete with this piece, in order. */
  push(piece: Uint8Array, take: (frame: Frame) => void): void {
    let bytes = piece;
    while (this.have > 0 && bytes.length > 0) {
      bytes = bytes.subarray(this.keep(bytes));
      if (this.have < this.wanted()) continue;
      const whole = this.kept.subarray(0, this.have);
      this.kept = new Uint8Array(0);
      this.have = 0;
      take(frameOf(whole));
    }
    while (bytes.length >= FRAME_HEADER) {
      const length = FRAME_HEADER + payloadLength(bytes);
      if (bytes.length < length) break;
      take(frameOf(bytes.subarray(0, length)));
      bytes = bytes.subarray(length);
    }
    if (bytes.length > 0) this.keep(bytes);
  }

  /** Bytes of a frame that is not complete yet. */
  get pending(): number {
    return this.have;
  }

  private wanted(): number {
    return this.have < FRAME_HEADER ? FRAME_HEADER : FRAME_HEADER + payloadLength(this.kept);
  }

  /** Keeps what the frame at hand lacks, at most; returns how much that was. */
  private keep(bytes: Uint8Array): number {
    const known =
      this.have > 0 ? this.wanted() : bytes.length >= FRAME_HEADER ? FRAME_HEADER + payloadLength(bytes) : FRAME_HEADER;
    const taken = Math.min(bytes.length, known - this.have);
    if (this.kept.length < known) {
      const grown = new Uint8Array(known);
      grown.set(this.kept.subarray(0, this.have));
      this.kept = grown;
    }
    this.kept.set(bytes.subarray(0, taken), this.have);
    this.have += taken;
    return taken;
  }
}

function payloadLength(bytes: Uint8Array): number {
  const length = viewOf(bytes).getUint32(0, true);
  if (length > MAX_PAYLOAD) throw malformed(`a frame of ${length} bytes`);
  return length;
}

function frameOf(bytes: Uint8Array): Frame {
  const view = viewOf(bytes);
  return { type: view.getUint16(4, true), process: view.getUint16(6, true), payload: bytes.subarray(FRAME_HEADER) };
}

/** HELLO: the shim's pid. Throws OnggiError `shim_protocol` for version 0. */
export function decodeHello(frame: Frame): { version: number; pid: number } {
  const view = need(frame, 8);
  const version = view.getUint32(0, true);
  if (version < 1) throw malformed(`protocol version ${version}`);
  return { version, pid: view.getUint32(4, true) };
}

export function decodeCreated(frame: Frame): Created {
  const view = need(frame, 48);
  const time = (i: number) => view.getBigUint64(8 + 8 * i, true);
  return {
    pid: view.getUint32(0, true),
    shimStart: time(0),
    decoded: time(1),
    cloned: time(2),
    setUp: time(3),
    created: time(4),
  };
}

export function decodeStarted(frame: Frame): Started {
  const view = need(frame, 16);
  return { pid: view.getUint32(0, true), at: view.getBigUint64(8, true) };
}

const sections: Readonly<Record<number, FailedSection>> = { 0: "before", 1: "clone", 2: "after", 3: "child", 255: "decode" };

/** The section of a number on the wire, in FAILED or in the exit record. */
export function sectionOf(number: number): FailedSection {
  const section = sections[number];
  if (section === undefined) throw malformed(`a failure in section ${number}`);
  return section;
}

/** 0xffffffff stands for no operation. */
export const indexOf = (number: number): number | null => (number === 0xffffffff ? null : number);

export function decodeFailed(frame: Frame): Failure {
  const view = need(frame, 16);
  return {
    section: sectionOf(view.getUint32(0, true)),
    index: indexOf(view.getUint32(4, true)),
    errno: view.getUint32(8, true),
    text: text.decode(frame.payload.subarray(16)),
  };
}

/** Splits a wait status, as WIFEXITED and its kin in wait(2) do. */
export function waitStatus(status: number): { exitCode: number; signal: number } {
  const signal = status & 0x7f;
  return signal === 0 ? { exitCode: (status >> 8) & 0xff, signal: 0 } : { exitCode: 128 + signal, signal };
}

export function decodeExit(frame: Frame): Exit {
  const view = need(frame, 20);
  const status = view.getInt32(0, true);
  return {
    waitStatus: status,
    ...waitStatus(status),
    oomKilled: (view.getUint32(4, true) & 1) !== 0,
    at: view.getBigUint64(8, true),
    neverStarted: view.getUint32(16, true) === 1,
  };
}

/** DROPPED: bytes of output lost. */
export const decodeDropped = (frame: Frame): number => Number(need(frame, 8).getBigUint64(0, true));

/** ERROR. */
export function decodeError(frame: Frame): { request: number; errno: number; text: string } {
  const view = need(frame, 8);
  return {
    request: view.getUint32(0, true),
    errno: view.getUint32(4, true),
    text: text.decode(frame.payload.subarray(8)),
  };
}

const states: readonly (ProcessState | undefined)[] = [undefined, "creating", "created", "running", "exited"];
const STATUS_SIZE = 28;

export function decodeStatus(frame: Frame): ProcessStatus[] {
  const view = need(frame, 0);
  const found: ProcessStatus[] = [];
  for (let at = 0; at + STATUS_SIZE <= view.byteLength; at += STATUS_SIZE) {
    const state = states[view.getUint32(at + 8, true)];
    if (state === undefined) throw malformed(`a process in state ${view.getUint32(at + 8, true)}`);
    found.push({
      process: view.getUint32(at, true),
      pid: view.getUint32(at + 4, true),
      state,
      waitStatus: view.getInt32(at + 12, true),
      oomKilled: (view.getUint32(at + 16, true) & 1) !== 0,
      exitedAt: view.getBigUint64(at + 20, true),
    });
  }
  return found;
}
