/** What a shim has told of one process. */
import { OnggiError } from "../lib/errors.ts";
import { errnoName } from "../sys/errno.ts";
import {
  type Created,
  decodeCreated,
  decodeExit,
  decodeFailed,
  decodeStarted,
  type Exit,
  type Failure,
  type Frame,
  reply,
  type Started,
} from "./protocol.ts";

/** The process never reached execve. */
export class SetupFailed extends OnggiError {
  readonly failure: Failure;

  constructor(failure: Failure) {
    const { section, index, errno, text } = failure;
    const where = index === null ? section : `${section} ${index}`;
    super("setup_failed", `the plan failed at ${where} (${text})${errno === 0 ? "" : `: ${errnoName(errno)}`}`);
    this.name = "SetupFailed";
    this.failure = failure;
  }
}

/** A promise with its ends. Nobody has to wait for it. */
class Told<T> {
  readonly promise: Promise<T>;
  resolve!: (value: T) => void;
  reject!: (error: Error) => void;

  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.promise.catch(() => {});
  }
}

export class ShimProcess {
  /** 0: the container's first process. */
  readonly number: number;
  private readonly onCreated = new Told<Created>();
  private readonly onStarted = new Told<Started>();
  private readonly onExit = new Told<Exit>();
  private failed: Failure | null = null;
  private over = false;

  constructor(number: number) {
    this.number = number;
  }

  /** Set up, waiting to be started. */
  get created(): Promise<Created> {
    return this.onCreated.promise;
  }

  /** execve succeeded. */
  get started(): Promise<Started> {
    return this.onStarted.promise;
  }

  /** It has ended and its exit is recorded; `neverStarted` after a failed set-up. */
  get exited(): Promise<Exit> {
    return this.onExit.promise;
  }

  /** Why its set-up failed, once that is known. */
  get failure(): Failure | null {
    return this.failed;
  }

  get hasExited(): boolean {
    return this.over;
  }

  /** Takes a frame about this process; others are ignored. Being told twice changes nothing. */
  take(frame: Frame): void {
    switch (frame.type) {
      case reply.created:
        this.onCreated.resolve(decodeCreated(frame));
        return;
      case reply.started:
        this.onStarted.resolve(decodeStarted(frame));
        return;
      case reply.failed: {
        this.failed = decodeFailed(frame);
        const error = new SetupFailed(this.failed);
        this.onCreated.reject(error);
        this.onStarted.reject(error);
        return;
      }
      case reply.exit:
        this.over = true;
        this.onExit.resolve(decodeExit(frame));
        return;
    }
  }

  /** Nothing more will be told. */
  lose(error: Error): void {
    this.onCreated.reject(error);
    this.onStarted.reject(error);
    this.onExit.reject(error);
  }
}
