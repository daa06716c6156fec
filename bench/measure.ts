/** Taking measurements: one command's time by a stopwatch that costs next to nothing, several commands in turns, medians. */
import { existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";

export { residentBytes } from "../test/kit/leaks.ts";

export const repository = resolve(import.meta.dirname, "..");

/** A command to time. `before` and `after` run outside the measured time. */
export interface Contestant {
  readonly name: string;
  readonly command: (round: number) => readonly string[];
  /** What the stopwatch itself is started under, outside the measured time: `nsenter` into a namespace. */
  readonly under?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Its processor time, user and system, in place of time. */
  readonly processor?: boolean;
  readonly before?: (round: number) => void | Promise<void>;
  readonly after?: (round: number) => void | Promise<void>;
}

/** Milliseconds per round, in the order they were taken. */
export type Samples = Record<string, number[]>;

const stopwatch = (() => {
  const source = join(repository, "bench/stopwatch.c");
  const file = join(repository, "build/stopwatch");
  if (!existsSync(file) || statSync(file).mtimeMs < statSync(source).mtimeMs) {
    mkdirSync(join(repository, "build"), { recursive: true });
    const result = Bun.spawnSync(["cc", "-O2", "-Wall", "-Werror", "-static", "-o", file, source], { stderr: "inherit" });
    if (result.exitCode !== 0) throw new Error("bench/stopwatch.c does not compile");
  }
  return file;
})();

/** Milliseconds from posix_spawn to the end of wait. Throws when the command fails. */
export function time(
  command: readonly string[],
  options: {
    env?: Readonly<Record<string, string>>;
    cwd?: string;
    runs?: number;
    width?: number;
    under?: readonly string[];
    /** Of processor time, user and system, in place of time. */
    processor?: boolean;
  } = {},
): number {
  const many = options.processor ? ["-c"] : options.runs ? ["-n", String(options.runs), "-p", String(options.width ?? 1)] : [];
  const result = Bun.spawnSync([...(options.under ?? []), stopwatch, ...many, ...command], {
    ...(options.env ? { env: options.env } : {}),
    ...(options.cwd ? { cwd: options.cwd } : {}),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  if (result.exitCode !== 0)
    throw new Error(`${command.join(" ")} exited with ${result.exitCode}: ${result.stderr.toString().trim().slice(-500)}`);
  return Number(result.stdout.toString()) / 1e6;
}

/**
 * Bytes that the largest of all the processes of a command has had resident at its peak. The command leaves one process behind,
 * whose pid it writes to `pidFile`: that one is killed, and counted with the rest. Throws when the command fails.
 */
export function peakMemory(command: readonly string[], pidFile: string): number {
  const errors = `${pidFile}.stderr`;
  const result = Bun.spawnSync([stopwatch, "-m", pidFile, ...command], {
    stdin: "ignore",
    stdout: "pipe",
    // a file: the process that is left behind holds it, and a pipe would have to wait for that one's end
    stderr: Bun.file(errors),
  });
  if (result.exitCode !== 0)
    throw new Error(`${command.join(" ")} exited with ${result.exitCode}: ${readFileSync(errors, "utf8").trim().slice(-500)}`);
  return Number(result.stdout.toString()) * 1024;
}

/**
 * Lets every contestant run once per round, each round beginning with another one, so that what the machine does meanwhile hits
 * all of them alike. Two rounds before the first are not counted.
 */
export async function interleave(contestants: readonly Contestant[], rounds: number, warmUp = 2): Promise<Samples> {
  const samples: Samples = Object.fromEntries(contestants.map(({ name }) => [name, []]));
  for (let round = -warmUp; round < rounds; round += 1) {
    for (let turn = 0; turn < contestants.length; turn += 1) {
      const contestant = contestants[(turn + round + warmUp) % contestants.length]!;
      const number = round + warmUp;
      await contestant.before?.(number);
      const ms = time(contestant.command(number), {
        ...(contestant.env ? { env: contestant.env } : {}),
        ...(contestant.cwd ? { cwd: contestant.cwd } : {}),
        ...(contestant.under ? { under: contestant.under } : {}),
        ...(contestant.processor ? { processor: true } : {}),
      });
      await contestant.after?.(number);
      if (round >= 0) samples[contestant.name]!.push(ms);
    }
  }
  return samples;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** By linear interpolation between the closest ranks. NaN of nothing. */
export function quantile(values: readonly number[], at: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = values.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * at;
  const low = Math.floor(position);
  return sorted[low]! + (sorted[Math.ceil(position)]! - sorted[low]!) * (position - low);
}

/** Bytes of a process's memory that no other process shares (smaps_rollup, Private_*). */
export function privateBytes(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return [...text.matchAll(/^Private_\w+:\s+(\d+) kB$/gm)].reduce((sum, match) => sum + Number(match[1]) * 1024, 0);
}

/** The most a process has had resident so far, in bytes (VmHWM). */
export function highestResident(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) * 1024;
}

/** Writes out what is dirty, so that one contestant's writes do not slow the next one's. */
export function settle(): void {
  Bun.spawnSync(["sync"]);
}
