/** What of a socket counts while TLS is agreed on. */
interface Shaking {
  readonly remoteAddress: string;
  readonly authorized: boolean;
  terminate(): void;
}

/** Milliseconds a client may take to agree on TLS, however it dribbles. */
const TIME = 10_000;
/** Milliseconds in which one refusal is told, so that a port scan does not fill the log. */
const TELL_EVERY = 1000;

/** Sockets whose TLS handshake has not ended: nothing they send counts before it has, and shown the client's certificate to be good. */
export class Handshakes {
  readonly #deadlines = new Map<Shaking, number>();
  readonly #log: (message: string) => void;
  #told = 0;
  #untold = 0;

  constructor(log: (message: string) => void) {
    this.#log = log;
  }

  get size(): number {
    return this.#deadlines.size;
  }

  begin(socket: Shaking): void {
    this.#deadlines.set(socket, Date.now() + TIME);
  }

  /** Whether the client may go on; else its socket is closed. */
  end(socket: Shaking, success: boolean, error: Error | null): boolean {
    if (!this.#deadlines.delete(socket)) return false;
    if (success && socket.authorized) return true;
    this.#refuse(socket, error?.message ?? "it has no certificate that counts here");
    return false;
  }

  forget(socket: Shaking): void {
    this.#deadlines.delete(socket);
  }

  expire(now: number): void {
    for (const [socket, deadline] of this.#deadlines) {
      if (deadline > now) continue;
      this.#deadlines.delete(socket);
      this.#refuse(socket, "it took too long");
    }
  }

  #refuse(socket: Shaking, reason: string): void {
    const now = Date.now();
    if (now - this.#told < TELL_EVERY) this.#untold++;
    else {
      const more = this.#untold > 0 ? ` (and ${this.#untold} more)` : "";
      this.#log(`TLS handshake with ${socket.remoteAddress}${more}: ${reason}`);
      this.#told = now;
      this.#untold = 0;
    }
    socket.terminate();
  }
}
