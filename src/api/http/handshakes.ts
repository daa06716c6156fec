import { throttled } from "../../lib/throttled.ts";

/** What of a socket counts while TLS is agreed on. */
interface Shaking {
  readonly remoteAddress: string;
  readonly authorized: boolean;
  terminate(): void;
}

/** Milliseconds a client may take to agree on TLS, however it dribbles. */
const TIME = 10_000;

/** Sockets whose TLS handshake has not ended: nothing they send counts before it has, and shown the client's certificate to be good. */
export class Handshakes {
  readonly #deadlines = new Map<Shaking, number>();
  readonly #tell: (message: string) => void;

  constructor(log: (message: string) => void) {
    this.#tell = throttled(log);
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
    this.#tell(`TLS handshake with ${socket.remoteAddress}: ${reason}`);
    socket.terminate();
  }
}
