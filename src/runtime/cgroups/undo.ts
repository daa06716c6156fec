/**
 * All or nothing for a group that lives: what its files held before they were written, and how they get it back.
 *
 * Runs where `apply.ts` writes; what is written back is what the kernel itself said of the same file.
 */
import { messageOf } from "../../lib/errors.ts";
import { isErrno } from "../../sys/index.ts";
import { devicesBack } from "./devices.ts";
import { readText, writeText } from "./files.ts";

/** What a file held before it was written; null: nothing, and the kernel has no word for that. */
export interface Held {
  readonly path: string;
  readonly value: string | null;
}

/** `work` tells what it overwrites. If it throws, that is put back, last first; what cannot be is told `warn`. */
export function allOrNothing(warn: (message: string) => void, work: (held: Held[]) => void): void {
  const held: Held[] = [];
  try {
    work(held);
  } catch (error) {
    for (const one of held.reverse()) {
      try {
        putBack(one);
      } catch (failure) {
        warn(`limits that were refused are left in part: ${one.path} cannot be put back: ${messageOf(failure)}`);
      }
    }
    throw error;
  }
}

/** What puts back what a write of `value` to the file will change, in reverse order. Throws SysError where there is no such file. */
export function heldBefore(path: string, value: string): Held[] {
  const [, directory = "", file = ""] = /^(.*)\/([^/]*)$/.exec(path) ?? [];
  if (/^devices\.(allow|deny)$/.test(file)) return [whole(`${directory}/devices.list`)];
  // a group that stops being idle gets the kernel's default of these
  if (file === "cpu.idle") return [...idleWeight(directory), whole(path)];
  try {
    return [{ path, value: before(file, readText(path), value) }];
  } catch (error) {
    // a file that can only be written, such as memory.reclaim: it holds nothing
    if (isErrno(error, "EINVAL", "EACCES")) return [];
    throw error;
  }
}

const whole = (path: string): Held => ({ path, value: readText(path).trim() });

function idleWeight(directory: string): Held[] {
  if (whole(`${directory}/cpu.idle`).value !== "0") return [];
  for (const file of ["cpu.weight", "cpu.shares"]) {
    try {
      return [whole(`${directory}/${file}`)];
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
    }
  }
  return [];
}

/** Files of one line per device or resource, and what such a line says of one that has no limit. */
const byKey: readonly [file: RegExp, unlimited: string | null][] = [
  [/^blkio\.throttle\./, "0"],
  [/^(blkio|io)\..*weight/, "default"],
  [/^io\.max$/, "rbps=max wbps=max riops=max wiops=max"],
  [/^io\.latency$/, "target=0"],
  [/^(io|rdma|misc|dmem)\./, null],
  [/^net_prio\.ifpriomap$/, "0"],
];

/** As it is written, what of the file's `text` a write of `value` changes. */
function before(file: string, text: string, value: string): string | null {
  const lines = text.trim().split("\n");
  if (file === "memory.oom_control") return /^oom_kill_disable (\d)$/m.exec(text)?.[1] ?? null;
  const kind = byKey.find(([pattern]) => pattern.test(file));
  if (!kind) return text.trim();
  const [key, rest] = value.split(" ", 2);
  if (rest === undefined) return lines[0] ?? "";
  const [, unlimited] = kind;
  return lines.find((line) => line.startsWith(`${key} `)) ?? (unlimited === null ? null : `${key} ${unlimited}`);
}

function putBack({ path, value }: Held): void {
  if (value === null) throw new Error("it had no value before");
  const [, directory] = /^(.*)\/devices\.list$/.exec(path) ?? [];
  if (directory === undefined) writeText(path, value === "" ? "\n" : value);
  else for (const write of devicesBack(value, readText(path))) writeText(`${directory}/${write.file}`, write.value);
}
