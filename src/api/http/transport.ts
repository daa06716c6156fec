import type { Transport } from "./connection.ts";

/** Bun's type does not tell of its descriptor. */
type WithDescriptor = Transport & { readonly fd?: number };

/**
 * A socket as a connection has it. Bun does not tell of the end of one that is paused: whoever watches over connections asks
 * `isLost`, lest a client that has left a process which reads nothing stays for ever.
 */
export class SocketTransport implements Transport {
  readonly #socket: WithDescriptor;
  readonly #isHungUp: (fd: number) => boolean;
  #paused = false;

  constructor(socket: Transport, isHungUp: (fd: number) => boolean) {
    this.#socket = socket;
    this.#isHungUp = isHungUp;
  }

  get fd(): number {
    return this.#socket.fd ?? -1;
  }

  /** It is paused, and the other side has closed it; one that has only ended its own side has not. */
  get isLost(): boolean {
    return this.#paused && this.fd >= 0 && this.#isHungUp(this.fd);
  }

  write(bytes: Uint8Array): number {
    return this.#socket.write(bytes);
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#socket.resume();
  }

  shutdown(): void {
    this.#socket.shutdown();
  }

  end(): void {
    this.#socket.end();
  }

  terminate(): void {
    this.#socket.terminate();
  }
}
