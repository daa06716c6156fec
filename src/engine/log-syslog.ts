/** The entries of a container as syslog messages: RFC 3164, RFC 5424, over udp, tcp, TLS and unix sockets. */
import { createSocket, type Socket as Datagrams } from "node:dgram";
import { readFileSync } from "node:fs";
import { connect, isIP, isIPv6, type Socket } from "node:net";
import { hostname } from "node:os";
import { connect as connectTls } from "node:tls";
import { fixedWidth, parseRfc3339 } from "../lib/time.ts";
import type { LogSink } from "./log-forward.ts";
import type { SyslogOptions } from "./log-options.ts";
import type { LogEntry } from "./logs.ts";
import { UnixDatagrams } from "./unix-datagrams.ts";

const INFO = 6;
const ERROR = 3;
/** How long a connection may take to come, or to take what is written, in milliseconds. */
const PATIENCE_MS = 10_000;

const LOCAL = ["/dev/log", "/var/run/syslog", "/var/run/log"];

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/** Go's time.Stamp, in this machine's time zone, as RFC 3164 asks. */
function stamp(time: string): string {
  const at = new Date(Number((parseRfc3339(time) ?? 0n) / 1_000_000n));
  const two = (value: number) => String(value).padStart(2, "0");
  const clock = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":");
  return `${MONTHS[at.getMonth()]} ${String(at.getDate()).padStart(2, " ")} ${clock}`;
}

/** One message with its end, in the form that is asked for; `tag` names the container. */
export function syslogMessage({ facility, format, address }: SyslogOptions, tag: string, entry: LogEntry): string {
  const priority = facility * 8 + (entry.stream === "stderr" ? ERROR : INFO);
  const text = entry.text.replace(/\n$/, "");
  const { pid } = process;
  if (format === "") return `<${priority}>${stamp(entry.time)} ${tag}[${pid}]: ${text}\n`;
  if (format === "rfc3164") return `<${priority}>${stamp(entry.time)} ${hostname()} ${tag}[${pid}]: ${text}\n`;
  const digits = format === "rfc5424micro" ? 20 + 6 : 19;
  const time = `${fixedWidth(entry.time).slice(0, digits)}Z`;
  const message = `<${priority}>1 ${time} ${hostname()} ${tag} ${pid} ${tag} - ${text}\n`;
  // RFC 5425: over TLS the length comes first
  return address.kind === "tcp+tls" ? `${Buffer.byteLength(message)} ${message}` : message;
}

type Wire = { send(messages: readonly string[]): Promise<void>; close(): void };

/** Opens what messages go through. Throws, or rejects at the first send, when nobody is there. */
async function open({ address, tls }: SyslogOptions): Promise<Wire> {
  switch (address.kind) {
    case "udp":
      return await udp(address.host, address.port);
    case "unixgram":
      return new UnixDatagrams(address.path);
    case "local":
      return local();
    case "unix":
      return await stream(connect({ path: address.path }), "connect");
    case "tcp":
      return await stream(connect({ host: address.host, port: address.port }), "connect");
    case "tcp+tls": {
      const file = (path: string | undefined) => (path === undefined ? undefined : readFileSync(path));
      const [ca, cert, key] = [file(tls.ca), file(tls.cert), file(tls.key)];
      const options = {
        host: address.host,
        port: address.port,
        ...(isIP(address.host) ? {} : { servername: address.host }),
        rejectUnauthorized: tls.verify,
      };
      return await stream(
        connectTls({ ...options, ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) }),
        "secureConnect",
      );
    }
  }
}

function local(): Wire {
  let failed: unknown;
  for (const path of LOCAL) {
    try {
      return new UnixDatagrams(path);
    } catch (error) {
      failed ??= error;
    }
  }
  throw failed;
}

async function udp(host: string, port: number): Promise<Wire> {
  const socket: Datagrams = createSocket(isIPv6(host) ? "udp6" : "udp4");
  socket.on("error", () => {}); // told by send
  const send = (message: string) =>
    new Promise<void>((resolve, reject) => {
      socket.send(Buffer.from(message), port, host, (error) => (error ? reject(error) : resolve()));
    });
  return {
    async send(messages) {
      for (const message of messages) await send(message);
    },
    close: () => socket.close(),
  };
}

async function stream(socket: Socket, ready: "connect" | "secureConnect"): Promise<Wire> {
  let gone: Error | undefined;
  const fail = (error: Error) => {
    gone ??= error;
    socket.destroy();
  };
  socket.setTimeout(0);
  socket.on("error", fail);
  socket.on("close", () => fail(new Error("the connection was closed")));
  socket.resume(); // it says nothing; its end is noticed
  socket.on("end", () => fail(new Error("the connection was closed")));
  /** Until `done` is called; fails when the connection does, or with the patience. */
  const until = (start: (done: (error?: Error | null) => void) => void) =>
    new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => fail(new Error("no answer in time")), PATIENCE_MS);
      const closed = () => settle(gone ?? new Error("the connection was closed"));
      const settle = (error?: Error | null) => {
        clearTimeout(timer);
        socket.off("close", closed);
        if (error ?? gone) reject(error ?? gone);
        else resolve();
      };
      socket.once("close", closed);
      start(settle);
    });
  await until((done) => void socket.once(ready, () => done()));
  return {
    async send(messages) {
      if (gone) throw gone;
      await until((done) => void socket.write(messages.join(""), (error) => done(error)));
    },
    close: () => void socket.destroy(),
  };
}

export class SyslogSink implements LogSink {
  private wire: Wire | null = null;
  private readonly options: SyslogOptions;
  private readonly tag: string;

  constructor(options: SyslogOptions, tag: string) {
    this.options = options;
    this.tag = tag;
  }

  async send(entries: readonly LogEntry[]): Promise<void> {
    try {
      this.wire ??= await open(this.options);
      await this.wire.send(entries.map((entry) => syslogMessage(this.options, this.tag, entry)));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    this.wire?.close();
    this.wire = null;
  }
}
