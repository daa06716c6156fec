import { basename, dirname } from "node:path";
import { errno, SysError } from "../sys/errno.ts";
import { close, isErrno, openDir, SOCK, unixConnect, writeSocket } from "../sys/index.ts";

/** How long a receiver whose queue is full is waited for, and how often it is looked at, in milliseconds. */
const PATIENCE_MS = 10_000;
const AGAIN_MS = 5;

/** Messages to a unix datagram socket. Nothing else in the engine waits while the receiver's queue is full. */
export class UnixDatagrams {
  private fd: number;

  /** Throws SysError when nobody is there. */
  constructor(path: string) {
    const directory = openDir(dirname(path));
    try {
      this.fd = unixConnect(directory, basename(path), { type: SOCK.SOCK_DGRAM, nonblock: true });
    } finally {
      close(directory);
    }
  }

  async send(messages: readonly (string | Uint8Array)[]): Promise<void> {
    for (const message of messages) await this.one(typeof message === "string" ? Buffer.from(message) : message);
  }

  private async one(message: Uint8Array): Promise<void> {
    for (let waited = 0; waited < PATIENCE_MS; waited += AGAIN_MS) {
      if (this.fd === -1) throw new SysError("send", errno.ENOTCONN, {});
      try {
        writeSocket(this.fd, message);
        return;
      } catch (error) {
        if (!isErrno(error, "EAGAIN")) throw error;
        await Bun.sleep(AGAIN_MS);
      }
    }
    throw new SysError("send", errno.EAGAIN, { detail: "the receiver takes nothing" });
  }

  close(): void {
    if (this.fd !== -1) close(this.fd);
    this.fd = -1;
  }
}
