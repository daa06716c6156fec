/**
 * The processes of a container as ps(1) shows them. The columns of `ps -ef` come from /proc; for others the host's ps is run, with the
 * words that were given and no shell, and of its lines those of the container are kept.
 */
import { readFileSync } from "node:fs";
import { messageOf, OnggiError } from "../lib/errors.ts";
import type { Container } from "./container.ts";
import type { Context } from "./context.ts";
import type { ProcessList } from "./types.ts";

/** USER_HZ, which is 100 wherever Linux runs us (time(7)). */
const TICKS = 100;

/** Throws `not_running`, and `invalid_ps_arguments` for what ps refuses or gives no pids for. */
export async function listProcesses(context: Context, container: Container, args: readonly string[]): Promise<ProcessList> {
  const { record } = container;
  if (!container.isUp) throw new OnggiError("not_running", `container ${record.name} is not running`);
  const pids = new Set(context.cgroups.processes(record.cgroupPath));
  const plain = args.length === 0 || (args.length === 1 && args[0] === "-ef");
  return plain ? fullList([...pids].sort((a, b) => a - b)) : await psList(args, pids);
}

interface Facts {
  readonly users: ReadonlyMap<number, string>;
  /** Seconds since the epoch. */
  readonly bootedAt: number;
  readonly now: number;
}

function fullList(pids: readonly number[]): ProcessList {
  const bootedAt = Number(/^btime (\d+)/m.exec(readFileSync("/proc/stat", "utf8"))?.[1] ?? 0);
  const facts = { users: hostUsers(), bootedAt, now: Date.now() / 1000 };
  return {
    titles: ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"],
    processes: pids.flatMap((pid) => {
      try {
        return [processLine(pid, facts)];
      } catch {
        return []; // it has ended
      }
    }),
  };
}

function hostUsers(): Map<number, string> {
  try {
    const lines = readFileSync("/etc/passwd", "utf8").split("\n");
    return new Map(lines.map((line) => line.split(":")).map(([name = "", , uid]) => [Number(uid), name]));
  } catch {
    return new Map();
  }
}

function processLine(pid: number, { users, bootedAt, now }: Facts): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const [, name = "", rest = ""] = /^\d+ \((.*)\) (.*)$/s.exec(stat) ?? [];
  // proc(5): from the state, which is field 3
  const field = (number: number): number => Number(rest.split(" ")[number - 3]);
  const uid = Number(/^Uid:\s+\d+\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").join(" ").trim();
  const used = (field(14) + field(15)) / TICKS;
  const started = bootedAt + field(22) / TICKS;
  const share = Math.floor((100 * used) / Math.max(1, now - started));
  return [
    users.get(uid) ?? String(uid),
    String(pid),
    String(field(4)),
    String(Math.min(99, share)),
    startTime(started, now),
    terminal(field(7)),
    clock(used),
    words === "" ? `[${name}]` : words,
  ];
}

/** Of today its time, of this year its day. */
function startTime(started: number, now: number): string {
  const at = new Date(started * 1000);
  const today = new Date(now * 1000);
  if (at.toDateString() === today.toDateString()) return at.toTimeString().slice(0, 5);
  if (at.getFullYear() !== today.getFullYear()) return String(at.getFullYear());
  return `${at.toString().slice(4, 7)}${String(at.getDate()).padStart(2, "0")}`;
}

/** The name of a terminal by its device number: major in bits 8 to 15, minor in the others (proc(5), tty_nr). */
function terminal(device: number): string {
  const major = (device >> 8) & 0xff;
  const minor = (device & 0xff) | ((device >> 12) & 0xfff00);
  if (major >= 136 && major <= 143) return `pts/${(major - 136) * 256 + minor}`;
  return major === 4 && minor < 64 ? `tty${minor}` : "?";
}

function clock(seconds: number): string {
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  return `${two(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
}

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

async function runPs(args: readonly string[]): Promise<Ran> {
  const ps = Bun.spawn(["ps", ...args], { stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: 10_000 });
  const [out, error, code] = await Promise.all([new Response(ps.stdout).text(), new Response(ps.stderr).text(), ps.exited]);
  return { code, out, error };
}

async function psList(args: readonly string[], pids: ReadonlySet<number>): Promise<ProcessList> {
  const refuse = (why: string) => new OnggiError("invalid_ps_arguments", `ps ${args.join(" ")}: ${why}`);
  let ran: Ran;
  try {
    // the processes by name, or words such as "-o pid" show those of the caller's terminal; some words exclude that
    ran = await runPs([...args, `q${[...pids].join(",")}`]);
    if (ran.code !== 0) ran = await runPs(args);
  } catch (error) {
    throw refuse(`the host's ps cannot be run: ${messageOf(error)}`);
  }
  if (ran.code !== 0) throw refuse(ran.error.trim().split("\n")[0] || `it ended with ${ran.code}`);
  const [head = "", ...lines] = ran.out.split("\n").filter((line) => line.trim() !== "");
  const titles = head.trim().split(/\s+/);
  const column = titles.indexOf("PID");
  if (column < 0) throw refuse("couldn't find PID field in ps output");
  const rows = lines.map((line) => cells(line, titles.length));
  return { titles, processes: rows.filter((row) => pids.has(Number(row[column]))) };
}

/** The last column may hold blanks. */
function cells(line: string, count: number): string[] {
  const words = line.trim().split(/\s+/);
  return [...words.slice(0, count - 1), words.slice(count - 1).join(" ")];
}
