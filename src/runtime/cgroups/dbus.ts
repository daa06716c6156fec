/**
 * A client of the system bus, as small as calls to systemd need it, and synchronous: a cgroup is made between two other
 * kernel calls of a start. The D-Bus libraries for JavaScript are asynchronous (and dbus-next is no longer kept up).
 *
 * Runs in the engine as root. It believes nothing the bus says beyond the message format; strings it sends are checked by
 * their callers.
 */
import { messageOf, OnggiError } from "../../lib/errors.ts";
import { close, geteuid, isErrno, MSG, O, open, POLL, poll, read, sysRaw, unixConnect } from "../../sys/index.ts";
import { decodeMessage, encodeMessage, MESSAGE, type Message, messageSize } from "./dbus-message.ts";

export const SYSTEM_BUS = "/run/dbus/system_bus_socket";

/** How long an answer may take, in milliseconds. */
const PATIENCE = 10_000;

/** The bus itself, as it is called. */
const BUS = {
  destination: "org.freedesktop.DBus",
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
} as const;

export interface Call {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature?: string;
  readonly body?: readonly unknown[];
}

/** An error the called service answered with, by its name ("org.freedesktop.systemd1.NoSuchUnit"). */
export class DbusError extends OnggiError {
  readonly remote: string;

  constructor(call: Call, remote: string, text: string) {
    super("dbus_call_failed", `${call.destination} ${call.member}: ${remote}: ${text}`);
    this.remote = remote;
  }
}

/** The bus's address in the environment, if it is a plain path; the standard path otherwise. */
export function systemBusPath(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  const path = /^unix:path=([^,;%]+)$/.exec(environment.DBUS_SYSTEM_BUS_ADDRESS ?? "")?.[1];
  return path ?? SYSTEM_BUS;
}

export class Dbus {
  readonly #fd: number;
  #serial = 0;
  #input: Uint8Array = new Uint8Array();
  #signals: Message[] = [];

  /** Connects, authenticates and says Hello. Throws `dbus_unavailable`. */
  constructor(path: string = systemBusPath()) {
    this.#fd = connect(path);
    try {
      this.#authenticate();
      this.call({ ...BUS, member: "Hello" });
    } catch (error) {
      this.close();
      throw new OnggiError("dbus_unavailable", `D-Bus at ${path}: ${messageOf(error)}`, { cause: error });
    }
  }

  close(): void {
    close(this.#fd);
  }

  /** Calls a method and waits for its answer: the reply's values. Throws DbusError, or `dbus_protocol`. */
  call(call: Call): readonly unknown[] {
    this.#serial++;
    const serial = this.#serial;
    this.#send(encodeMessage({ type: MESSAGE.call, flags: 0, serial, body: [], ...call }));
    for (;;) {
      const message = this.#receive(`the answer to ${call.member}`);
      if (message.type === MESSAGE.signal) this.#signals.push(message);
      if (message.replySerial !== serial) continue;
      if (message.type === MESSAGE.error) throw new DbusError(call, message.error ?? "", String(message.body[0] ?? ""));
      if (message.type === MESSAGE.reply) return message.body;
    }
  }

  /** Asks the bus for the signals that a match rule covers. Throws DbusError. */
  subscribe(rule: string): void {
    this.call({ ...BUS, member: "AddMatch", signature: "s", body: [rule] });
  }

  /** Waits for a signal, of those that came since `forgetSignals` too. */
  waitFor(member: string, matches: (body: readonly unknown[]) => boolean): readonly unknown[] {
    const wanted = (message: Message): boolean =>
      message.type === MESSAGE.signal && message.member === member && matches(message.body);
    const past = this.#signals.find(wanted);
    if (past) return past.body;
    for (;;) {
      const message = this.#receive(`signal ${member}`);
      if (wanted(message)) return message.body;
    }
  }

  forgetSignals(): void {
    this.#signals = [];
  }

  /** SASL EXTERNAL: the kernel tells the bus who we are; we only name the uid ("Authentication Protocol"). */
  #authenticate(): void {
    const uid = Buffer.from(String(geteuid())).toString("hex");
    this.#send(Buffer.from(`\0AUTH EXTERNAL ${uid}\r\n`));
    let line = "";
    while (!line.endsWith("\r\n")) {
      if (line.length > 4096) throw new OnggiError("dbus_protocol", "authentication: an endless line");
      line += String.fromCharCode(...this.#some("the answer to AUTH", 1));
    }
    if (!line.startsWith("OK ")) throw new OnggiError("dbus_protocol", `authentication was refused: ${line.trim()}`);
    this.#send(Buffer.from("BEGIN\r\n"));
  }

  #send(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const rest = bytes.subarray(done);
      const sent = sysRaw("sendto", this.#fd, rest, rest.length, MSG.MSG_NOSIGNAL, null, 0);
      if (sent < 0) throw new OnggiError("dbus_unavailable", `the connection broke (errno ${-sent})`);
      done += sent;
    }
  }

  #some(what: string, most: number): Uint8Array {
    if (!(poll(this.#fd, POLL.POLLIN, PATIENCE) & (POLL.POLLIN | POLL.POLLHUP))) {
      throw new OnggiError("dbus_timeout", `${what} did not come within ${PATIENCE / 1000} s`);
    }
    const buffer = new Uint8Array(most);
    const got = read(this.#fd, buffer);
    if (got === 0) throw new OnggiError("dbus_unavailable", `the bus closed the connection before ${what}`);
    return buffer.subarray(0, got);
  }

  #receive(what: string): Message {
    for (;;) {
      const size = messageSize(this.#input);
      if (size !== null && this.#input.length >= size) {
        const message = decodeMessage(this.#input.slice(0, size));
        this.#input = this.#input.slice(size);
        return message;
      }
      this.#input = Buffer.concat([this.#input, this.#some(what, 1 << 16)]);
    }
  }
}

function connect(path: string): number {
  const slash = path.lastIndexOf("/");
  let directory: number | undefined;
  try {
    directory = open(path.slice(0, slash) || "/", O.O_PATH | O.O_DIRECTORY);
    return unixConnect(directory, path.slice(slash + 1));
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ECONNREFUSED", "EACCES")) throw error;
    throw new OnggiError(
      "dbus_unavailable",
      `the systemd driver needs systemd's bus at ${path}: ${messageOf(error)}; use the cgroupfs driver where systemd does not run`,
      { cause: error },
    );
  } finally {
    if (directory !== undefined) close(directory);
  }
}
