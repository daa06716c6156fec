/** Who on this host holds a port: for error messages. Looks only where a look is cheap, and never fails. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { Protocol } from "./types.ts";

/** A line of /proc/net/tcp and its kin. */
export interface SocketLine {
  readonly port: number;
  /** Of all addresses. */
  readonly any: boolean;
  /** 0x0A: it listens. */
  readonly state: number;
  readonly inode: string;
}

/** The lines of /proc/net/tcp, tcp6, udp or udp6; those that are none are left out. */
export function parseSocketTable(text: string): SocketLine[] {
  const lines: SocketLine[] = [];
  for (const line of text.split("\n")) {
    const fields = line.trim().split(/\s+/);
    const local = /^([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})$/.exec(fields[1] ?? "");
    if (local === null || !/^[0-9A-F]{2}$/.test(fields[3] ?? "") || !/^[0-9]+$/.test(fields[9] ?? "")) continue;
    lines.push({
      port: Number.parseInt(local[2]!, 16),
      any: /^0+$/.test(local[1]!),
      state: Number.parseInt(fields[3]!, 16),
      inode: fields[9]!,
    });
  }
  return lines;
}

const MOST_PROCESSES = 2000;

function safely<T>(look: () => T, otherwise: T): T {
  try {
    return look();
  } catch {
    return otherwise;
  }
}

/** "nginx (process 812)"; null if it cannot be told. */
export function portHolder(protocol: Protocol, hostIp: string, port: number): string | null {
  if (protocol === "sctp") return null;
  const text = safely(() => readFileSync(`/proc/thread-self/net/${protocol}${hostIp.includes(":") ? "6" : ""}`, "latin1"), "");
  const inodes = new Set(
    parseSocketTable(text)
      .filter((line) => line.port === port && line.inode !== "0")
      .map(({ inode }) => `socket:[${inode}]`),
  );
  if (inodes.size === 0) return null;
  const pids = safely(() => readdirSync("/proc"), []).filter((name) => /^[0-9]+$/.test(name));
  for (const pid of pids.slice(0, MOST_PROCESSES)) {
    const fds = safely(() => readdirSync(`/proc/${pid}/fd`), []);
    if (!fds.some((fd) => inodes.has(safely(() => readlinkSync(`/proc/${pid}/fd/${fd}`), "")))) continue;
    return `${safely(() => readFileSync(`/proc/${pid}/comm`, "utf8").trim(), "a process")} (process ${pid})`;
  }
  return null;
}
