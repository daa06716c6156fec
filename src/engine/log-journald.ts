/** The entries of a container in systemd's journal, by its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL), with Docker's fields. */
import type { LogSink } from "./log-forward.ts";
import type { LogEntry } from "./logs.ts";
import { UnixDatagrams } from "./unix-datagrams.ts";

const SOCKET = "/run/systemd/journal/socket";

const utf8 = new TextEncoder();

/** "NAME=value", or, for a value of several lines, with its length. */
function field(name: string, value: string): Uint8Array {
  if (!value.includes("\n")) return utf8.encode(`${name}=${value}\n`);
  const bytes = utf8.encode(value);
  const head = utf8.encode(`${name}\n`);
  const whole = new Uint8Array(head.length + 8 + bytes.length + 1);
  whole.set(head);
  new DataView(whole.buffer).setBigUint64(head.length, BigInt(bytes.length), true);
  whole.set(bytes, head.length + 8);
  whole[whole.length - 1] = 10;
  return whole;
}

/** The journal takes capitals, digits and "_", and keeps names that begin with "_" for itself. */
export const fieldName = (name: string): string =>
  name
    .toUpperCase()
    .replace(/[^A-Z0-9_]/g, "_")
    .replace(/^[_0-9]+/, "")
    .slice(0, 64);

/** One entry as a datagram. */
export function journalMessage(fields: Readonly<Record<string, string>>, { text, time, stream }: LogEntry): Uint8Array {
  const parts = Object.entries({
    ...fields,
    PRIORITY: stream === "stderr" ? "3" : "6",
    SYSLOG_TIMESTAMP: time,
    ...(text.endsWith("\n") ? {} : { CONTAINER_PARTIAL_MESSAGE: "true" }),
    MESSAGE: text.replace(/\n$/, ""),
  });
  return Buffer.concat(parts.filter(([name]) => name !== "").map(([name, value]) => field(name, value)));
}

export class JournaldSink implements LogSink {
  private socket: UnixDatagrams | null = null;
  private readonly fields: Readonly<Record<string, string>>;

  /** `fields`: what every entry has. ONGGI_JOURNAL_SOCKET names another journal, for tests. */
  constructor(fields: Readonly<Record<string, string>>) {
    this.fields = fields;
  }

  async send(entries: readonly LogEntry[]): Promise<void> {
    try {
      this.socket ??= new UnixDatagrams(process.env.ONGGI_JOURNAL_SOCKET ?? SOCKET);
      await this.socket.send(entries.map((entry) => journalMessage(this.fields, entry)));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    this.socket?.close();
    this.socket = null;
  }
}
