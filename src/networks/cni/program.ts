/**
 * Running a program of others: in a session and process group of its own, with pipes as its streams, for a limited time, with limited
 * output. It is noted before it gets its input.
 */
import { close, F, fcntl, isErrno, O, pipe2, write } from "../../sys/index.ts";
import { killGroup, noteRunning } from "./running.ts";

export interface Limits {
  readonly timeoutMs: number;
  /** Bytes of standard output: who prints more is killed. */
  readonly output: number;
  /** Bytes of standard error that are kept; the rest is read and dropped. */
  readonly errors: number;
}

export interface Ended {
  readonly stdout: string;
  readonly stderr: string;
  /** "ended with exit code 1"; null: well. */
  readonly failure: string | null;
}

/** How long output is waited for that others than the program itself hold open, and for a killed one to go, in milliseconds. */
const GRACE_MS = 1000;
/** How soon a full pipe is tried again, in milliseconds. */
const RETRY_MS = 5;

/**
 * Three pipes. Bun's own would be sockets, which a shell cannot open as /dev/stdin. What is read waits in Bun's event loop, not on a
 * thread; the end that is written to never blocks.
 */
class Pipes {
  readonly theirs: readonly [stdin: number, stdout: number, stderr: number];
  readonly ours: readonly [stdin: number, stdout: number, stderr: number];
  readonly #open = new Set<number>();

  constructor() {
    const pipe = (): [number, number] => {
      const ends = pipe2();
      for (const end of ends) this.#open.add(end);
      return ends;
    };
    try {
      const [[input, feed], [stdout, output], [stderr, errors]] = [pipe(), pipe(), pipe()];
      this.theirs = [input, output, errors];
      this.ours = [feed, stdout, stderr];
      fcntl(feed, F.F_SETFL, O.O_NONBLOCK);
    } catch (error) {
      this.close(...this.#open);
      throw error;
    }
  }

  /** Each is closed once. */
  close(...ends: readonly number[]): void {
    for (const end of ends) if (this.#open.delete(end)) close(end);
  }

  get isFed(): boolean {
    return !this.#open.has(this.ours[0]);
  }
}

/** Writes all of it, unless the program ends or does not want it; then closes. */
async function feed(pipes: Pipes, input: Buffer): Promise<void> {
  const [fd] = pipes.ours;
  for (let rest = input; rest.length > 0 && !pipes.isFed; ) {
    try {
      rest = rest.subarray(write(fd, rest));
    } catch (error) {
      if (isErrno(error, "EPIPE")) break;
      if (!isErrno(error, "EAGAIN")) throw error;
      await Bun.sleep(RETRY_MS);
    }
  }
  pipes.close(fd);
}

/** Reads a stream to its end and keeps at most `most` bytes; `overflow` is called when there are more. */
function collect(fd: number, most: number, overflow: () => void) {
  const reader = Bun.file(fd).stream().getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  const drain = async (): Promise<void> => {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      if (size < most) chunks.push(next.value.slice(0, most - size));
      size += next.value.length;
      if (size > most) overflow();
    }
  };
  return {
    done: drain().catch(() => {}),
    stop: () => reader.cancel().catch(() => {}),
    text: () => Buffer.concat(chunks).toString("utf8"),
  };
}

/** `notes` is the directory of running programs. @throws an error where the program cannot be started */
export async function runProgram(
  path: string,
  {
    env,
    input,
    limits,
    notes,
  }: { readonly env: Record<string, string>; readonly input: string; readonly limits: Limits; readonly notes: string },
): Promise<Ended> {
  const pipes = new Pipes();
  try {
    const [stdin, stdout, stderr] = pipes.theirs;
    const child = Bun.spawn([path], { cwd: "/", env, detached: true, stdin, stdout, stderr });
    pipes.close(...pipes.theirs);
    return await attended(child, pipes, input, limits, notes);
  } finally {
    pipes.close(...pipes.theirs, ...pipes.ours);
  }
}

async function attended(child: Bun.Subprocess, pipes: Pipes, input: string, limits: Limits, notes: string): Promise<Ended> {
  let killed: string | null = null;
  const gone = Promise.withResolvers<void>();
  void child.exited.then(() => gone.resolve());
  const end = (why: string): void => {
    if (killed !== null) return;
    killed = why;
    killGroup(child.pid);
    // one that the kernel does not let go keeps nobody
    setTimeout(gone.resolve, GRACE_MS).unref();
  };
  const timer = setTimeout(() => end(`took more than ${limits.timeoutMs / 1000} s and was killed`), limits.timeoutMs);
  const [, output, errors] = pipes.ours;
  const stdout = collect(output, limits.output, () => end(`printed more than ${limits.output / 1024} KiB and was killed`));
  const stderr = collect(errors, limits.errors, () => {});
  let forget = (): void => {};
  try {
    forget = noteRunning(notes, child.pid);
    const fed = feed(pipes, Buffer.from(input));
    await gone.promise;
    pipes.close(pipes.ours[0]);
    await fed;
    await Promise.race([Promise.all([stdout.done, stderr.done]), Bun.sleep(GRACE_MS)]);
    const failure = killed ?? (child.exitCode === 0 ? null : `ended with ${child.signalCode ?? `exit code ${child.exitCode}`}`);
    return { stdout: stdout.text(), stderr: stderr.text(), failure };
  } catch (error) {
    killGroup(child.pid);
    throw error;
  } finally {
    clearTimeout(timer);
    await Promise.all([stdout.stop(), stderr.stop()]);
    forget();
  }
}
