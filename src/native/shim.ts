/**
 * The engine's end of a shim: spawn one, or find the one an earlier engine left, and speak to it.
 *
 * Terms. A **shim** supervises one container. Its **process 0** is the container's first; an **exec** adds one. An
 * **attachment** is one consumer of a process's streams, on a connection of its own, so that a slow one holds back nobody else.
 *
 * Life. `Shim.spawn` -> `main.created` -> `start()` -> `main.started` -> `main.exited` -> `release()`. `created` and
 * `started` reject with SetupFailed when the set-up failed, every promise with ShimGone when the connection ended before
 * it was told; none raises an unhandled rejection when nobody waits for it. `exited` resolves after a failed set-up too.
 *
 * Guarantees. Whatever was sent on any connection before `start()` was called takes effect before the process starts,
 * so an attachment that was awaited first sees the first byte. Losing the connection changes nothing in the container.
 *
 *     const shim = await Shim.spawn({ shimPath, id, stateDir, plan: encode(plan), passedFds: [] });
 *     shim.start();
 *     const { exitCode } = await shim.main.exited;
 *     shim.release();
 */
import { OnggiError } from "../lib/errors.ts";
import { errnoName, isErrno } from "../sys/errno.ts";
import { close, memfd, openDir, unlinkat } from "../sys/file.ts";
import { writeAll } from "../sys/io.ts";
import { unixListen } from "../sys/socket.ts";
import { Attachment, type AttachOptions, streamBits } from "./attachment.ts";
import { Connection, ShimGone, SOCKET_NAME } from "./connection.ts";
import { SetupFailed, ShimProcess } from "./process.ts";
import {
  decodeError,
  decodeHello,
  decodeStatus,
  encodeFrame,
  execLossless,
  type Frame,
  logLimits,
  PROTOCOL_VERSION,
  type ProcessStatus,
  reply,
  request,
  size,
  words,
} from "./protocol.ts";

export { Attachment, type AttachOptions, SetupFailed, ShimGone, ShimProcess };

/** How long a shim may take to greet. It greets before it does anything else; only a stopped or strange process does not. */
const GREETING_MS = 10_000;

export interface SpawnOptions {
  /** The executable, see embed.ts. */
  readonly shimPath: string;
  /** Recognises the shim in `ps`; has no other meaning. */
  readonly id: string;
  /** Directory of log, exit record and socket; it exists. A socket that an earlier shim left is replaced. */
  readonly stateDir: string;
  /** An encoded plan. */
  readonly plan: Uint8Array;
  /** Descriptors the plan finds in `reg.passed`, `reg.passed + 1`, ...; at most 16; they stay the caller's to close. */
  readonly passedFds: readonly number[];
  /** Where the shim's own complaints go; stays the caller's. Default: the caller's standard error. */
  readonly stderrFd?: number;
}

/** An answer that is waited for on the control connection; answers come in the order of the questions. */
interface Question {
  readonly type: number;
  answer(frame: Frame): void;
  refuse(error: Error): void;
}

export class Shim {
  /** The container's first process. */
  readonly main: ShimProcess;
  /** The connection has ended: with ShimGone if process 0 had not exited and `disconnect` was not called, else with null. */
  readonly closed: Promise<ShimGone | null>;

  private readonly stateDir: string;
  private readonly known = new Map<number, ShimProcess>();
  private readonly questions: Question[] = [];
  private control!: Connection;
  private shimPid = 0;
  private leaving = false;
  private tellClosed!: (error: ShimGone | null) => void;
  private greeted!: () => void;
  private readonly greeting: Promise<void>;

  private constructor(stateDir: string) {
    this.stateDir = stateDir;
    this.main = this.process(0);
    this.closed = new Promise((resolve) => {
      this.tellClosed = resolve;
    });
    this.greeting = new Promise((resolve) => {
      this.greeted = resolve;
    });
  }

  /**
   * Starts a shim. Resolves as soon as it exists: what is asked of it from then on it finds when it is ready, and how its
   * set-up goes, or that it ended without a word, `main` tells.
   * @throws SysError for the state directory; what Bun.spawn throws for the executable
   */
  static async spawn(options: SpawnOptions): Promise<Shim> {
    if (options.passedFds.length > 16) throw new RangeError(`a shim takes 16 descriptors, not ${options.passedFds.length}`);
    const shim = new Shim(options.stateDir);
    const owned: number[] = [];
    const own = (fd: number) => {
      owned.push(fd);
      return fd;
    };
    try {
      const dir = own(openDir(options.stateDir));
      const listener = own(listenAnew(dir));
      const plan = own(memfd("onggi-plan"));
      writeAll(plan, options.plan);
      // Connected before the shim runs: nothing it says can be missed, and no wait for it to listen.
      shim.control = await Connection.open(dir, shim.handlers());
      shim.hello();
      try {
        const child = Bun.spawn({
          cmd: [options.shimPath, options.id],
          argv0: "onggi-shim",
          env: {},
          cwd: "/",
          stdio: ["ignore", "ignore", options.stderrFd ?? 2, listener, plan, dir, ...options.passedFds],
        });
        child.unref();
        shim.shimPid = child.pid;
      } catch (error) {
        shim.disconnect();
        throw error;
      }
    } finally {
      for (const fd of owned) close(fd);
    }
    return shim;
  }

  /**
   * Finds the shim that an earlier engine left; what it has told already, `main` tells again.
   * @throws ShimGone when nobody answers in `stateDir`
   */
  static async connect(stateDir: string): Promise<Shim> {
    const shim = new Shim(stateDir);
    shim.control = await shim.open(shim.handlers());
    shim.hello();
    await shim.wasGreeted();
    return shim;
  }

  /** The shim's own pid. */
  get pid(): number {
    return this.shimPid;
  }

  /**
   * A process by number, as far as this connection has been told of it: after a reconnection only `exited` of a running
   * exec can still settle. An exec that has exited is forgotten; whoever waits for it holds the object that `exec` gave.
   */
  process(number: number): ShimProcess {
    const known = this.known.get(number);
    if (known) return known;
    const process = new ShimProcess(number);
    this.known.set(number, process);
    return process;
  }

  /** Lets a process that stands, or will stand, at `created` go on to execve. No effect on one that has gone on. */
  start(process = 0): void {
    this.control.post(encodeFrame(request.start, process));
  }

  /**
   * Joins a process's streams. Output from now on; all of it if this was awaited before `start`.
   * @throws ShimGone, or OnggiError `shim_refused` when there is no such process
   */
  async attach(process: number, options: AttachOptions): Promise<Attachment> {
    const attachment = new Attachment(this.process(process), options);
    const connection = await this.open(attachment.handlers());
    attachment.use(connection);
    connection.post(encodeFrame(request.attach, process, words(streamBits(options), options.lossless ? 1 : 0)));
    if (process !== 0) await attachment.confirm();
    return attachment;
  }

  /**
   * Runs an encoded plan beside process 0. Resolves once the shim has numbered the process; `created`, `started` and
   * `exited` of the process tell the rest. With `attach`, its streams are handed over from the first byte.
   * @throws ShimGone, or OnggiError `shim_refused` when process 0 has ended
   */
  async exec(plan: Uint8Array, attach?: AttachOptions): Promise<{ process: ShimProcess; attachment: Attachment | null }> {
    const attachment = new Attachment(null, attach ?? {}, (number) => this.process(number));
    // On a connection of its own: an exec may have to wait for another one, and whatever is behind it waits too.
    const connection = await this.open(attachment.handlers());
    attachment.use(connection);
    const bits = attach ? streamBits(attach) | (attach.lossless ? execLossless : 0) : 0;
    connection.post(encodeFrame(request.exec, 0, words(0, bits), plan));
    try {
      const process = await attachment.numbered;
      if (attach) return { process, attachment };
    } catch (error) {
      attachment.detach();
      throw error;
    }
    attachment.detach();
    return { process: attachment.process, attachment: null };
  }

  /** Terminal size; taken when the terminal exists. No effect on a process without one. */
  resize(process: number, rows: number, columns: number): void {
    this.control.post(encodeFrame(request.resize, process, size(rows, columns)));
  }

  /**
   * Sends a signal to a process, or with `all` to every descendant of the shim; resolves once that is done.
   * @throws OnggiError `shim_refused` (ESRCH: it has exited); ShimGone
   */
  async kill(process: number, signal: number, all = false): Promise<void> {
    const kill = encodeFrame(request.kill, process, words(signal, all ? 1 : 0));
    // in one piece: a shim whose process is gone by the first of them ends without waiting for more
    await this.ask(request.kill, Buffer.concat([kill, encodeFrame(request.status, 0)]), () => {});
  }

  /** Process 0 first, then living execs, then the last execs that ended. */
  async status(): Promise<ProcessStatus[]> {
    return this.ask(request.status, encodeFrame(request.status, 0), decodeStatus);
  }

  /** Somebody else rotated the log: opens it by its path again. */
  reopenLogs(): void {
    this.control.post(encodeFrame(request.logs, 0, words(0)));
  }

  /** New limits of the log, from the next entry on. */
  updateLogs(maxSize: number, maxFiles: number): void {
    this.control.post(encodeFrame(request.update, 0, logLimits(maxSize, maxFiles)));
  }

  /** The exit is recorded: the shim may end. Ends the connection. Does not end a running process. */
  release(): void {
    this.control.post(encodeFrame(request.release, 0));
    this.disconnect();
  }

  /** Ends the connection; shim and container go on. Idempotent. */
  disconnect(): void {
    this.leaving = true;
    this.control.close();
  }

  private async open(handlers: Parameters<typeof Connection.open>[1]): Promise<Connection> {
    const dir = openStateDir(this.stateDir);
    try {
      return await Connection.open(dir, handlers);
    } finally {
      close(dir);
    }
  }

  private hello(): void {
    this.control.post(encodeFrame(request.hello, 0, words(PROTOCOL_VERSION)));
  }

  private async wasGreeted(): Promise<void> {
    let timer: Timer | undefined;
    const late = new Promise<ShimGone>((resolve) => {
      timer = setTimeout(
        () => resolve(new ShimGone(`the shim in ${this.stateDir} did not answer within ${GREETING_MS} ms`)),
        GREETING_MS,
      );
    });
    const failed = await Promise.race([this.greeting, this.closed, late]);
    clearTimeout(timer);
    if (this.shimPid !== 0) return;
    this.disconnect();
    throw failed ?? new ShimGone(`the shim in ${this.stateDir} ended without a word; its complaint is in the engine's error log`);
  }

  private ask<T>(type: number, frame: Uint8Array, read: (answer: Frame) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.questions.push({ type, answer: (answer) => resolve(read(answer)), refuse: reject });
      this.control.send(frame).catch(reject);
    });
  }

  private handlers() {
    return {
      frame: (frame: Frame) => this.take(frame),
      closed: (error: Error | null) => this.onClosed(error),
    };
  }

  private take(frame: Frame): void {
    switch (frame.type) {
      case reply.hello:
        this.shimPid = decodeHello(frame).pid;
        this.greeted();
        return;
      case reply.execed:
        this.answer((question) => question.type === request.exec)?.answer(frame);
        return;
      case reply.status:
        this.answer((question) => question.type !== request.exec)?.answer(frame);
        return;
      case reply.error:
        this.refuse(frame);
        return;
    }
    this.process(frame.process).take(frame);
    if (frame.type === reply.exit && frame.process !== 0) this.known.delete(frame.process);
  }

  private answer(fits: (question: Question) => boolean): Question | undefined {
    const index = this.questions.findIndex(fits);
    return index === -1 ? undefined : this.questions.splice(index, 1)[0];
  }

  /** A KILL's refusal comes before the STATUS that was asked after it: that one then has no question left to answer. */
  private refuse(frame: Frame): void {
    const refusal = decodeError(frame);
    if (refusal.request !== request.exec && refusal.request !== request.kill) return;
    const question = this.questions.find(({ type }) => type === refusal.request);
    question?.refuse(refused(frame));
    if (question && refusal.request === request.exec) this.questions.splice(this.questions.indexOf(question), 1);
  }

  private onClosed(error: Error | null): void {
    const expected = this.leaving || this.main.hasExited;
    const gone = new ShimGone(
      `the shim in ${this.stateDir} ${this.leaving ? "was disconnected from" : "is gone: it was killed or has crashed"}`,
      error ? { cause: error } : undefined,
    );
    for (const process of this.known.values()) process.lose(gone);
    for (const { refuse } of this.questions.splice(0)) refuse(gone);
    this.tellClosed(expected ? null : gone);
  }
}

/** The shim said ERROR. */
export function refused(frame: Frame): OnggiError {
  const { errno, text } = decodeError(frame);
  return new OnggiError("shim_refused", `the shim refused a request for process ${frame.process}: ${text}: ${errnoName(errno)}`);
}

function listenAnew(dir: number): number {
  try {
    return unixListen(dir, SOCKET_NAME, 128, { mode: 0o600 });
  } catch (error) {
    if (!isErrno(error, "EADDRINUSE")) throw error;
    unlinkat(dir, SOCKET_NAME);
    return unixListen(dir, SOCKET_NAME, 128, { mode: 0o600 });
  }
}

function openStateDir(path: string): number {
  try {
    return openDir(path);
  } catch (error) {
    throw new ShimGone(`no shim: its state directory ${path} cannot be opened`, { cause: error });
  }
}
