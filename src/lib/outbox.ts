/** What an outbox needs of a socket: takes what it can, says how much that was (-1: closed). */
export interface Writable {
  write(bytes: Uint8Array): number;
}

/**
 * Sends bytes over a non-blocking socket, in order.
 *
 * Guarantee: what a caller that awaits every `send` makes this hold is what one of them leaves over; nothing else is buffered.
 * Once the socket is closed everything is dropped and every wait ends: a sender learns of the close elsewhere.
 */
export class Outbox {
  readonly #socket: Writable;
  #queue: Uint8Array[] = [];
  #waiting: (() => void)[] = [];
  #closed = false;

  constructor(socket: Writable) {
    this.#socket = socket;
  }

  /** Sends bytes that stay as they are. Resolves, or returns undefined at once, when the socket has taken everything. */
  send(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#closed) return undefined;
    if (this.#queue.length > 0) this.#queue.push(bytes);
    else this.#write(bytes);
    return this.#settled();
  }

  /** Sends header and payload without joining them unless they are small; a payload that has to wait is copied. */
  sendParts(header: Uint8Array, payload: Uint8Array): Promise<void> | undefined {
    if (payload.length <= 4096) {
      const joined = new Uint8Array(header.length + payload.length);
      joined.set(header);
      joined.set(payload, header.length);
      return this.send(joined);
    }
    if (this.#closed) return undefined;
    if (this.#queue.length === 0) this.#write(header);
    else this.#queue.push(header);
    if (this.#queue.length > 0) this.#queue.push(payload.slice());
    else this.#write(payload);
    return this.#settled();
  }

  /** The socket can take more. */
  drained(): void {
    const queue = this.#queue;
    this.#queue = [];
    for (const [index, bytes] of queue.entries()) {
      this.#write(bytes);
      if (this.#queue.length > 0) {
        this.#queue.push(...queue.slice(index + 1));
        return;
      }
    }
    this.#release();
  }

  /** The socket is gone. */
  close(): void {
    this.#closed = true;
    this.#queue = [];
    this.#release();
  }

  /** Resolves when everything sent so far has left. */
  flushed(): Promise<void> {
    return this.#settled() ?? Promise.resolve();
  }

  #write(bytes: Uint8Array): void {
    const taken = Math.max(0, this.#socket.write(bytes));
    // the caller may reuse its buffer: what stays is copied
    if (taken < bytes.length) this.#queue.push(bytes.slice(taken));
  }

  #settled(): Promise<void> | undefined {
    if (this.#closed || this.#queue.length === 0) return undefined;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #release(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
