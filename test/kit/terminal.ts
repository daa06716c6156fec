/** The receiving end of --console-socket: gets the terminal's master by SCM_RIGHTS, reads and writes it. */
import {
  AT,
  accept,
  close,
  isErrno,
  O,
  openat,
  read,
  recvFds,
  setNonblocking,
  setWindowSize,
  unixListen,
  writeAll,
} from "../../src/sys/index.ts";

export class ConsoleSocket {
  readonly path: string;
  readonly #listener: number;

  constructor(directory: string, name = "console.sock") {
    this.path = `${directory}/${name}`;
    const fd = openat(AT.AT_FDCWD, directory, O.O_PATH | O.O_DIRECTORY);
    this.#listener = unixListen(fd, name, 8, { nonblock: true });
    close(fd);
  }

  /** Waits for somebody to send one descriptor, with its message. */
  async receive(ms = 10_000): Promise<{ fd: number; message: string }> {
    const connection = await retry(() => accept(this.#listener, true), ms);
    try {
      const { data, fds } = await retry(() => recvFds(connection, 65_536), ms);
      if (fds.length !== 1) throw new Error(`${fds.length} descriptors came`);
      return { fd: fds[0]!, message: new TextDecoder().decode(data) };
    } finally {
      close(connection);
    }
  }

  async terminal(): Promise<Terminal> {
    return new Terminal((await this.receive()).fd);
  }

  close(): void {
    close(this.#listener);
  }
}

/** A terminal's master. */
export class Terminal {
  readonly fd: number;
  #screen = "";
  readonly #decoder = new TextDecoder();

  constructor(fd: number) {
    this.fd = fd;
    setNonblocking(fd, true);
  }

  write(text: string): void {
    writeAll(this.fd, text);
  }

  resize(rows: number, columns: number): void {
    setWindowSize(this.fd, { rows, columns });
  }

  /** Reads until the screen holds the text, or to the end if none is given. Returns the whole screen. */
  async until(text?: string, ms = 10_000): Promise<string> {
    const buffer = new Uint8Array(4096);
    for (const deadline = Date.now() + ms; text === undefined || !this.#screen.includes(text); ) {
      if (Date.now() > deadline) throw new Error(`no ${text ?? "end"} on the terminal, only ${JSON.stringify(this.#screen)}`);
      try {
        const count = read(this.fd, buffer);
        if (count === 0) break;
        this.#screen += this.#decoder.decode(buffer.subarray(0, count), { stream: true });
      } catch (error) {
        if (isErrno(error, "EIO")) break;
        if (!isErrno(error, "EAGAIN")) throw error;
        await Bun.sleep(5);
      }
    }
    return this.#screen;
  }

  close(): void {
    close(this.fd);
  }
}

async function retry<T>(call: () => T, ms: number): Promise<T> {
  for (const deadline = Date.now() + ms; ; await Bun.sleep(5)) {
    try {
      return call();
    } catch (error) {
      if (!isErrno(error, "EAGAIN") || Date.now() > deadline) throw error;
    }
  }
}
