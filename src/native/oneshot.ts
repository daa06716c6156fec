/**
 * The OCI runtime's end of the front, the process that its caller started (docs/shim.md, "One shot").
 *
 * Everything blocks: a runtime's command does one thing after another, and nobody else waits for it.
 *
 *     const front = OneShot.fromEnvironment();
 *     front.launch(encode(plan), [stateDir, ...passed], preserveFds);
 *     for (;;) { const answer = front.next(); ... front.go() }
 *     front.exit(0);
 */
import { OnggiError } from "../lib/errors.ts";
import { F, POLL } from "../sys/constants.ts";
import { isErrno } from "../sys/errno.ts";
import { close, fcntl, memfd } from "../sys/file.ts";
import { poll, writeAll } from "../sys/io.ts";
import { getppid } from "../sys/process.ts";
import { recvFds, sendFds } from "../sys/socket.ts";
import { type Failure, indexOf, sectionOf, waitStatus } from "./protocol.ts";

export type Answer =
  /** The child stands at `event` and goes on with `go`. `fd`: what it sent along; the caller closes it. */
  | { readonly type: "event"; readonly event: number; readonly pid: number; readonly fd: number | null }
  /** `master`: the terminal's; the caller closes it. */
  | { readonly type: "created"; readonly pid: number; readonly master: number | null }
  | { readonly type: "started" }
  | { readonly type: "failed"; readonly failure: Failure }
  | { readonly type: "exit"; readonly exitCode: number };

const order = { go: 1, wait: 2, leave: 3, adopt: 4, launch: 16, exit: 17 } as const;
const answer = { event: 1, created: 2, started: 3, failed: 4, exit: 5 } as const;
const waitFlags = { subreaper: 1, terminal: 2 } as const;
const MESSAGE_MAX = 256;
/** How long an answer is waited for before the front is looked after, in milliseconds. */
const PATIENCE = 100;
const VARIABLE = "ONGGI_FRONT";

/** The front ended, or was killed, before it was told to. */
export class FrontGone extends OnggiError {
  constructor(options?: ErrorOptions) {
    super("front_gone", "onggi-runtime was killed, or ended, while its container was being set up", options);
    this.name = "FrontGone";
  }
}

const text = new TextDecoder();

const malformed = (what: string) =>
  new OnggiError("front_protocol", `onggi-runtime sent ${what}; it and onggi are not of one build, or damaged`);

/** Bytes of each answer at the least, its number included. */
const least: Readonly<Record<number, number>> = {
  [answer.event]: 12,
  [answer.created]: 8,
  [answer.started]: 4,
  [answer.failed]: 16,
  [answer.exit]: 8,
};

/** Null: an answer of a newer front's. Throws OnggiError `front_protocol`. */
function decodeAnswer(data: Uint8Array, fd: number | null): Answer | null {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (data.length < 4) throw malformed(`${data.length} bytes where 4 or more are needed`);
  const type = view.getUint32(0, true);
  if (data.length < (least[type] ?? 0)) throw malformed(`answer ${type} with ${data.length} bytes, want ${least[type]}`);
  switch (type) {
    case answer.event:
      return { type: "event", event: view.getUint32(4, true), pid: view.getInt32(8, true), fd };
    case answer.created:
      return { type: "created", pid: view.getInt32(4, true), master: fd };
    case answer.started:
      return { type: "started" };
    case answer.failed:
      return {
        type: "failed",
        failure: {
          section: sectionOf(view.getUint32(4, true)),
          index: indexOf(view.getUint32(8, true)),
          errno: view.getUint32(12, true),
          text: text.decode(data.subarray(16)),
        },
      };
    case answer.exit:
      return { type: "exit", exitCode: waitStatus(view.getInt32(4, true)).exitCode };
    default:
      return null;
  }
}

export class OneShot {
  /** The socket to the front, for poll(2). */
  readonly fd: number;

  private readonly front: number;

  private constructor(fd: number) {
    this.fd = fd;
    this.front = getppid();
  }

  /** @throws OnggiError `no_front` when this program was not started by one */
  static fromEnvironment(): OneShot {
    const fd = Number(process.env[VARIABLE]);
    delete process.env[VARIABLE];
    if (!Number.isInteger(fd) || fd < 3) {
      throw new OnggiError("no_front", "containers are made by dist/onggi-runtime, which starts this program");
    }
    fcntl(fd, F.F_SETFD, 1);
    return new OneShot(fd);
  }

  /**
   * Hands a plan over, to be carried out at once.
   * @param fds the state directory, then what the plan finds in `reg.passed`, ...; at most 17; they stay the caller's
   */
  launch(plan: Uint8Array, fds: readonly number[]): void {
    const file = memfd("onggi-plan");
    try {
      writeAll(file, plan);
      this.send(order.launch, 0, [file, ...fds]);
    } finally {
      close(file);
    }
  }

  /** Lets a child go on that stands at an event, or at `created`. */
  go(): void {
    this.send(order.go);
  }

  /** The front stands for the program from now on: signals sent to it are passed on. */
  wait(options: { readonly subreaper: boolean; readonly terminal: boolean }): void {
    this.send(order.wait, (options.subreaper ? waitFlags.subreaper : 0) | (options.terminal ? waitFlags.terminal : 0));
  }

  /** Like `go`, and the process is its caller's from now on, whatever becomes of the front. */
  leave(): void {
    this.send(order.leave);
  }

  /** Once what was launched has ended: a process that it has made the front's child takes its place. */
  adopt(pid: number): void {
    this.send(order.adopt, pid);
  }

  /** Ends the front with an exit code, and the process with it unless the front has left that. One that is gone needs no telling. */
  exit(code: number): void {
    try {
      this.send(order.exit, code);
    } catch (error) {
      if (!(error instanceof FrontGone)) throw error;
    }
  }

  /** Waits for the next answer. @throws FrontGone, OnggiError `front_protocol` for what is no answer */
  next(): Answer {
    for (;;) {
      const { data, fds } = this.receive();
      const [fd = null] = fds;
      let found: Answer | null = null;
      try {
        found = decodeAnswer(data, fd);
      } finally {
        if (fd !== null && found?.type !== "event" && found?.type !== "created") close(fd);
      }
      if (found) return found;
    }
  }

  private receive(): { data: Uint8Array; fds: readonly number[] } {
    let received: ReturnType<typeof recvFds>;
    // A process that shares the front's descriptors keeps the socket open when the front is killed: that it is there still is
    // known by its being this program's parent.
    while (poll(this.fd, POLL.POLLIN, PATIENCE) === 0) if (getppid() !== this.front) throw new FrontGone();
    try {
      received = recvFds(this.fd, MESSAGE_MAX, 1);
    } catch (error) {
      if (isErrno(error, "ECONNRESET")) throw new FrontGone({ cause: error });
      if (isErrno(error, "EMSGSIZE")) throw malformed("more than one descriptor, or one that this process has no room for");
      throw error;
    }
    const { data, fds } = received;
    if (data.length > 0 && fds.length <= 1) return received;
    // the control buffer, whose length is aligned, has room for a second one
    for (const fd of fds) close(fd);
    throw data.length === 0 ? new FrontGone() : malformed(`${fds.length} descriptors`);
  }

  private send(type: number, value = 0, fds: readonly number[] = []): void {
    try {
      sendFds(this.fd, new Uint8Array(new Uint32Array([type, value]).buffer), fds);
    } catch (error) {
      if (isErrno(error, "EPIPE", "ECONNRESET", "ENOTCONN")) throw new FrontGone({ cause: error });
      throw error;
    }
  }
}

/** Decodes what a started child wrote to its `result` FIFO when it failed (native/execute.c); null: it did not. */
export function decodeResult(bytes: Uint8Array): Failure | null {
  if (bytes.length < 8) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const index = view.getUint16(2, true);
  return { section: "child", index: index === 0xffff ? null : index, errno: view.getInt32(4, true), text: "" };
}
